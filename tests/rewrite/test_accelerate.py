"""accelerate changes what computes a convolution, and nothing else."""

from __future__ import annotations

import contextlib
import copy
import functools
import pickle
import subprocess
import sys
import weakref
from collections.abc import Callable
from typing import Any

import flax.linen
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax import lax
from jax.interpreters import mlir
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

import jtconv
from jtconv import accelerate
from jtconv.dispatch import tag
from jtconv.rewrite import equation
from jtconv.rewrite.function import forced
from tests.compare import assert_close
from tests.programs import convolutions
from tests.selection import exhaustive, rows

# Compiling takes nearly all of the time, and is faster when LLVM does not optimize.
UNOPTIMIZED: dict[str, Any] = {"xla_backend_optimization_level": "0"}
NUMBERS = ("NWC", "WIO", "NWC")


def conv(x: jax.Array, w: jax.Array) -> jax.Array:
    """A convolution in groups, which is replaced wherever it is looked at."""
    return lax.conv_general_dilated(
        x, w, (1,), "SAME", dimension_numbers=NUMBERS, feature_group_count=2
    )


def operands() -> tuple[jax.Array, jax.Array]:
    rng = np.random.default_rng(0)
    shapes = (2, 6, 4), (3, 2, 4)
    x, w = (jnp.asarray(rng.normal(size=shape), jnp.float32) for shape in shapes)
    return x, w


def convolutions_left(f: Callable[..., Any], *args: Any) -> int:
    """How many XLA computes by itself."""
    return convolutions(jax.jit(f).lower(*args).as_text())


def scanned(x, w):
    return lax.scan(lambda carry, _: (jnp.sin(conv(carry, w)), carry.sum()), x, None, length=2)


def switched(x, w):
    branches = (lambda x: conv(x, w), lambda x: conv(conv(x, w), w), lambda x: x)
    return lax.switch(jnp.argmax(x[0, 0]) % 3, branches, x), lax.cond(
        x[0, 0, 0] > 0, lambda x: conv(x, w), lambda x: 2 * conv(x, w), x
    )


@jax.custom_jvp
def by_jvp(x, w):
    return conv(x, w)


@by_jvp.defjvp
def _(primals, tangents):
    (x, w), (dx, dw) = primals, tangents
    return by_jvp(x, w), conv(dx, w) + conv(x, dw)


@jax.custom_vjp
def by_vjp(x, w):
    return conv(x, w)


def backward(residuals, c):
    x, w = residuals
    return jax.vjp(conv, x, 2 * w)[1](c)  # wrong on purpose: a rule is kept


by_vjp.defvjp(lambda x, w: (conv(x, w), (x, w)), backward)


def sharded(x, w):
    mesh = Mesh(np.asarray(jax.devices("cpu")[:2]), ("data",))
    return jax.shard_map(conv, mesh=mesh, in_specs=(P("data"), P()), out_specs=P("data"))(x, w)


def summed_over_devices(x, w):
    """A kernel that is the same everywhere: its gradient is summed over the devices."""
    mesh = Mesh(np.asarray(jax.devices("cpu")[:2]), ("data",))

    def mean(x, w):
        return lax.pmean(jnp.sin(conv(x, w)), "data")

    return jax.shard_map(mean, mesh=mesh, in_specs=(P("data"), P()), out_specs=P())(x, w)


POLICIES = jax.checkpoint_policies
NESTED: dict[str, Callable[..., Any]] = {
    "plain": conv,
    "jit": jax.jit(conv),
    "jit in jit": jax.jit(lambda x, w: jax.jit(conv)(jax.jit(jnp.sin)(x), w)),
    "inlined jit": jax.jit(conv, inline=True),
    "scan": scanned,
    "map": lambda x, w: lax.map(lambda one: conv(one[None], w), x),
    "fori_loop": lambda x, w: lax.fori_loop(0, 2, lambda _, x: jnp.sin(conv(x, w)), x),
    "switch and cond": switched,
    "checkpoint": jax.checkpoint(lambda x, w: conv(jnp.sin(conv(x, w)), w)),
    "checkpoint dots_saveable": jax.checkpoint(
        lambda x, w: conv(jnp.sin(conv(x, w)), w), policy=POLICIES.dots_saveable
    ),
    "checkpoint nothing_saveable": jax.checkpoint(
        lambda x, w: conv(jnp.sin(conv(x, w)), w), policy=POLICIES.nothing_saveable
    ),
    "custom_jvp": by_jvp,
    "custom_vjp": by_vjp,
    "custom_vjp in scan": lambda x, w: lax.scan(lambda c, _: (by_vjp(c, w), 0.0), x, None, 2)[0],
    "vmap": lambda x, w: jax.vmap(conv, (0, None))(x[None], w),
    "vmap both": lambda x, w: jax.vmap(conv)(jnp.stack([x, -x]), jnp.stack([w, 2 * w])),
    "shard_map": sharded,
    "shard_map psum": summed_over_devices,
    "linearize": lambda x, w: jax.linearize(lambda x: conv(x, w), x)[1](2 * x),
    "linear_transpose": lambda x, w: jax.linear_transpose(lambda x: conv(x, w), x)(x),
    "gradient": lambda x, w: jax.grad(lambda x, w: jnp.sum(jnp.sin(conv(x, w))), (0, 1))(x, w),
    "named_call": lambda x, w: jax.named_call(conv, name="here")(x, w),
    "callback": lambda x, w: conv(
        jax.pure_callback(
            lambda x: x, jax.ShapeDtypeStruct(x.shape, x.dtype), lax.stop_gradient(x)
        ),
        w,
    ),
    "pytrees": lambda x, w: {"y": [conv(x, w), None], "w": (w, "name")},
}


def looped(x, w):
    """What has no gradient, and effects."""

    def body(state):
        n, x = state
        jax.debug.callback(SEEN.append, n)
        return n + 1, jnp.sin(conv(x, w))

    return lax.while_loop(lambda state: state[0] < 3, body, (0, x))[1]


SEEN: list[Any] = []


def test_while_loop_and_effects():
    x, w = operands()
    lowered = jax.jit(accelerate(looped)).lower(x, w)
    assert convolutions(lowered.as_text()) == 0
    y = lowered.compile(UNOPTIMIZED)(x, w)
    jax.effects_barrier()
    assert sorted(map(int, SEEN)) == [0, 1, 2]
    for _ in range(3):
        x = jnp.sin(conv(x, w))
    assert_close(y, x, slack=4.0)


def total(f: Callable[..., Any]) -> Callable[..., Any]:
    def scalar(x, w):
        arrays = [leaf for leaf in jax.tree.leaves(f(x, w)) if isinstance(leaf, jax.Array)]
        return sum(jnp.sum(jnp.sin(leaf)) for leaf in arrays)

    return scalar


@pytest.mark.parametrize("name", rows(list(NESTED), default=("custom_vjp in scan",)))
def test_at_any_depth_and_in_gradients(name):
    f, (x, w) = NESTED[name], operands()
    want = jax.jit(jax.value_and_grad(total(f), (0, 1)), compiler_options=UNOPTIMIZED)(x, w)
    first = jax.value_and_grad(total(accelerate(f)), (0, 1))
    last = accelerate(jax.value_and_grad(total(f), (0, 1)))
    for g in (first, last):
        lowered = jax.jit(g).lower(x, w)
        assert convolutions(lowered.as_text()) == 0
        got = lowered.compile(UNOPTIMIZED)(x, w)
        for mine, theirs in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
            assert_close(mine, theirs, slack=8.0)


EAGER = ("plain", "jit", "scan", "checkpoint", "gradient", "pytrees")


@pytest.mark.parametrize("name", rows(EAGER, default=("pytrees",)))
def test_eager(name):
    f, (x, w) = NESTED[name], operands()
    got, want = accelerate(f)(x, w), f(x, w)
    assert str(jax.tree.structure(got)) == str(jax.tree.structure(want))
    for mine, theirs in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        if isinstance(mine, jax.Array):
            assert_close(mine, theirs, slack=4.0)
        else:
            assert mine == theirs


@pytest.mark.parametrize("policy", ["dots_saveable", "nothing_saveable", "everything_saveable"])
def test_a_policy_of_checkpoint_saves_what_it_did(policy):
    x, w = operands()
    f = jax.checkpoint(lambda x, w: conv(jnp.sin(conv(x, w)), w), policy=getattr(POLICIES, policy))
    gradient = jax.grad(total(f), (0, 1))
    ours = jax.make_jaxpr(jax.grad(total(accelerate(f)), (0, 1)))(x, w)
    assert str(ours).count("conv_general_dilated[") == convolutions_left(gradient, x, w)


@exhaustive
def test_second_derivatives():
    x, w = operands()
    f = total(conv)
    want = jax.jit(jax.hessian(f, 1))(x, w)
    for g in (jax.hessian(accelerate(f), 1), accelerate(jax.hessian(f, 1))):
        assert convolutions_left(g, x, w) == 0
        assert_close(jax.jit(g)(x, w), want, slack=8.0)


@exhaustive
def test_before_and_after_a_rule_is_there():
    """The same text, of a program that is not accelerated."""
    code = (
        "import jax, jtconv; from tests.rewrite.test_accelerate import conv, operands\n"
        "g = jax.jit(jax.grad(lambda x, w: conv(x, w).sum(), (0, 1)))\n"
        "one = g.lower(*operands()).as_text()\n"
        "jtconv.accelerate(conv)(*operands()); jax.clear_caches()\n"
        "two = g.lower(*operands()).as_text()\n"
        "assert one == two and one.count('stablehlo.convolution') == 2, two\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_what_is_not_accelerated_is_untouched():
    x, w = operands()
    f = jax.jit(conv)
    accelerate(f)(x, w)
    assert convolutions_left(f, x, w) == 1
    assert convolutions_left(accelerate(f), x, w) == 0
    assert convolutions_left(f, x, w) == 1


def test_an_accelerated_function_comes_back_unchanged():
    f = accelerate(conv)
    assert accelerate(f) is f and accelerate(conv) is f
    assert forced(conv, "gemm") is not f
    traced = []

    def g(x):
        traced.append(x)
        return x

    kept = accelerate(g)
    for _ in range(2):
        jax.jit(accelerate(g))(1.0)
    assert len(traced) == 1 and kept is accelerate(g)


def test_nothing_keeps_a_function_alive():
    def f(x):
        return x

    known, accelerated = weakref.ref(f), accelerate(f)
    del f
    assert known() is not None
    del accelerated
    assert known() is None


def test_attributes_of_a_jitted_function():
    x, w = operands()
    f = accelerate(jax.jit(conv, donate_argnums=0))
    assert f.__name__ == "conv" and f.__doc__ == conv.__doc__
    lowered = f.lower(x, w)
    assert convolutions(lowered.as_text()) == 0
    assert f.eval_shape(x, w).shape == (2, 6, 4)
    with pytest.raises(AttributeError):
        _ = f.nothing_of_the_kind
    f(x, w)
    assert x.is_deleted()  # donation is JAX's


def test_outer_donation():
    x, w = operands()
    f = jax.jit(accelerate(conv), donate_argnums=0)
    assert "tf.aliasing_output" in f.lower(x, w).as_text()


def test_static_arguments_and_keywords():
    x, w = operands()

    def f(x, times, *, w, name="a", flag=False):
        return conv(x * times, w) if flag else name

    jitted = jax.jit(f, static_argnums=1, static_argnames=("name", "flag"))
    assert_close(accelerate(jitted)(x, 2, w=w, flag=True), conv(2 * x, w))
    assert accelerate(f)(x, 2, w=w) == "a"
    whole = jax.jit(accelerate(f), static_argnums=1, static_argnames=("name", "flag"))
    assert_close(whole(x, 2, w=w, flag=True), conv(2 * x, w))
    report = accelerate.report(accelerate(f, static_argnums=1), x, 2, w=w, flag=True)
    assert len(report.rows) == len(report.replaced) == 1


def test_static_arguments_of_a_report():
    x, w = operands()
    times = np.asarray([1, 2])

    def f(x, times, w):
        return [conv(x, w) for _ in range(int(times.sum()))]

    assert len(accelerate.report(accelerate(f, static_argnums=1), x, times, w).rows) == 3
    assert len(accelerate.report(accelerate(f, static_argnums=-2), x, times, w).rows) == 3
    named = accelerate(f, static_argnames="times")
    assert len(accelerate.report(named, x, times=times, w=w).rows) == 3
    with pytest.raises(jax.errors.ConcretizationTypeError):
        accelerate.report(f, x, times, w)


def test_a_closure_over_an_array_that_changes():
    x, w = operands()
    model = {"w": w}
    f = accelerate(lambda x: conv(x, model["w"]))
    assert_close(f(x), conv(x, w))
    model["w"] = 3 * w
    assert_close(f(x), conv(x, 3 * w), slack=3)
    assert f is accelerate(f) and (f(x) > 0).any()


def test_control_flow_of_python():
    x, w = operands()
    f = accelerate(lambda x, w: conv(x, w) if x.sum() > 0 else "negative")
    assert f(-jnp.abs(x), w) == "negative" and f(jnp.abs(x), w).shape == (2, 6, 4)


def test_names_survive():
    def f(x, w):
        with jax.named_scope("block_1"):
            return conv(x, w)

    lowered = jax.jit(accelerate(f)).lower(*operands()).as_text(debug_info=True)
    assert "block_1/jit(_side)" in lowered and "jtconv_fprop_taps" in lowered


@exhaustive
def test_sharded_operands():
    """Auto axes: the numbers are right and the batch stays where it is."""
    x, w = operands()
    mesh = Mesh(np.asarray(jax.devices("cpu")[:2]), ("data",))
    there = jax.device_put(x, NamedSharding(mesh, P("data")))
    f = jax.jit(jax.grad(total(accelerate(conv)), (0, 1)))
    got, want = f(there, w), jax.grad(total(conv), (0, 1))(x, w)
    for mine, theirs in zip(got, want, strict=True):
        assert_close(mine, theirs, slack=8.0)
    assert got[0].sharding.spec == P("data")
    text = str(f.lower(there, w).compile().as_text())
    assert "all-gather" not in text and "all-to-all" not in text


def test_explicit_shardings_are_left_to_xla():
    x, w = operands()
    mesh = jax.make_mesh((2,), ("data",), (AxisType.Explicit,), devices=jax.devices("cpu")[:2])
    with jax.set_mesh(mesh):
        there, kernel = jax.device_put(x, P("data")), jax.device_put(w, P())
        f = jax.jit(accelerate(conv))
        assert_close(f(there, kernel), conv(x, w))
        assert convolutions(f.lower(there, kernel).as_text()) == 1
        assert f(there, kernel).sharding.spec[0] == "data"
        report = accelerate.report(conv, there, kernel)
    assert "explicit" in report.rows[0].reason


def exported(f: Any, *shapes: str) -> Any:
    scope = jax.export.SymbolicScope()
    args = [
        jax.ShapeDtypeStruct(jax.export.symbolic_shape(s, scope=scope), jnp.float32) for s in shapes
    ]
    return jax.export.export(jax.jit(f), platforms=("cpu", "cuda", "tpu"))(*args)


SIZES = {"b": ("b, 6, 4", 0), "b n": ("b, n, 4", 3), "n": ("2, n, 4", 3)}


@pytest.mark.parametrize(("shape", "left"), rows(SIZES, default=()))
def test_export_with_symbolic_sizes(shape, left):
    """A batch may be symbolic; with symbolic space a convolution is left to XLA."""
    x, w = operands()
    f = jax.value_and_grad(total(accelerate(conv)), (0, 1))
    there = exported(f, shape, "3, 2, 4")
    assert convolutions(there.mlir_module()) == 2 * 3 + left  # cuda, tpu; cpu
    again = jax.export.deserialize(there.serialize())
    for mine, theirs in zip(
        jax.tree.leaves(again.call(x, w)), jax.tree.leaves(f(x, w)), strict=True
    ):
        assert_close(mine, theirs, slack=4.0)


def test_a_symbolic_batch_after_the_channels():
    """As JAX writes a kernel gradient; read so, the batch would be channels, to be known."""
    x, w = operands()

    def f(x, w):
        numbers = ("CNW", "WIO", "NWC")
        return lax.conv_general_dilated(
            x, w, (1,), "SAME", dimension_numbers=numbers, feature_group_count=2
        )

    there = exported(accelerate(f), "4, b, 6", "3, 2, 4")
    assert convolutions(there.mlir_module()) == 2  # cuda, tpu
    assert_close(there.call(x.transpose(2, 0, 1), w), conv(x, w))


def test_the_platform_is_that_of_the_lowering():
    x, w = operands()
    f = jax.jit(accelerate(conv)).trace(x, w)
    left = {
        platform: convolutions(f.lower(lowering_platforms=(platform,)).as_text())
        for platform in ("cpu", "cuda", "tpu")
    }
    assert left == {"cpu": 0, "cuda": 1, "tpu": 1}


def test_a_method_that_was_asked_for_is_kept(monkeypatch):
    """A call of jtconv inside is not looked at again, whatever it is lowered to."""
    x, w = operands()

    def f(x, w):
        return jtconv.conv(x, w, padding="SAME", groups=2, method="dilated")

    def text(f: Any) -> str:
        return jax.jit(f).lower(x, w).as_text().replace('jtconv = "faster"', "")

    assert convolutions(text(accelerate(f))) == 1
    looked_at = []
    monkeypatch.setattr(equation, "decide", lambda *a: looked_at.append(a))
    with jax.disable_jit():
        assert_close(accelerate(f)(x[:, 1:], w), f(x[:, 1:], w))
    monkeypatch.undo()
    assert not looked_at
    complex_x, complex_w = x.astype(jnp.complex64), w.astype(jnp.complex64)
    lowered = jax.jit(accelerate(f)).lower(complex_x, complex_w).as_text()
    assert convolutions(lowered) == convolutions_left(f, complex_x, complex_w)


def test_metadata_of_the_user_is_kept():
    from jax.experimental.xla_metadata import set_xla_metadata

    x, w = operands()

    def f(x, w):
        with set_xla_metadata(mine="yes"):
            return conv(x, w)

    g = jax.jit(accelerate(f))
    assert 'mine = "yes"' in g.lower(x, w).as_text() and convolutions_left(g, x, w) == 0


class Holder:
    """A class whose method is accelerated."""

    def __init__(self, w: Any) -> None:
        self.w = w

    @accelerate
    def run(self, x: Any) -> Any:
        """Doc."""
        return conv(x, self.w)


def test_as_a_decorator_of_a_method():
    x, w = operands()
    assert_close(Holder(w).run(x), conv(x, w))
    assert convolutions_left(Holder(w).run, x) == 0
    assert Holder.run.__doc__ == "Doc."


def test_copies_and_pickles():
    f = accelerate(conv)
    assert pickle.loads(pickle.dumps(f)) is f and copy.deepcopy(f) is f


def test_a_function_that_cannot_be_hashed():
    class Unhashable:
        __hash__: Any = None

        def __call__(self, x: Any, w: Any) -> Any:
            return conv(x, w)

    x, w = operands()
    assert_close(accelerate(Unhashable())(x, w), conv(x, w))
    assert_close(accelerate(functools.partial(conv, w=w))(x), conv(x, w))


NOT_FUNCTIONS = {
    "number": (3, "f must be a function of arrays, got 3"),
    "none": (None, "f must be a function"),
    "array": (np.ones(3), "f must be a function"),
    "nnx": (nnx.Linear(1, 1, rngs=nnx.Rngs(0)), r"flax.nnx.*jtconv.nnx.accelerate\(model\)"),
    "nnx class": (nnx.Conv, r"flax.nnx.*jtconv.nnx.accelerate\(model\)"),
    "linen": (flax.linen.Dense(3), r"flax.linen.*with jtconv.linen.accelerate\(\):"),
}


@pytest.mark.parametrize("name", NOT_FUNCTIONS)
def test_what_is_no_function(name):
    value, message = NOT_FUNCTIONS[name]
    with pytest.raises(TypeError, match=message):
        accelerate(value)
    with pytest.raises(TypeError, match=message):
        accelerate.report(value)


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"static_argnums": "x"}, "static_argnums must be an int or a sequence of ints, got 'x'"),
        ({"static_argnums": (True,)}, "static_argnums must be an int"),
        ({"static_argnames": 3}, "static_argnames must be a name or a sequence of names, got 3"),
    ],
)
def test_wrong_arguments(keywords, message):
    with pytest.raises(TypeError, match=message):
        accelerate(conv, **keywords)


def test_wrong_operands_are_told_as_jax_does():
    x, w = operands()
    with pytest.raises(ValueError, match="conv_general_dilated"):
        accelerate(conv)(x, w[:, :1])


def nothing(**_):
    return contextlib.nullcontext()


UNKNOWN = {
    "no rules": (mlir, "_lowerings", None),
    "no rules of platforms": (mlir, "_platform_specific_lowerings", None),
    "a tag that does not arrive": (tag, "set_xla_metadata", nothing),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_a_jax_that_is_not_known(name, monkeypatch):
    where, attribute, value = UNKNOWN[name]
    with monkeypatch.context() as patch:
        patch.setattr(equation, "rule", lambda *a: None)  # another, which is installed anew
        patch.setattr(where, attribute, value)
        with pytest.warns(UserWarning, match=r"does not know the inside of jax .* 0\.10\.2"):
            assert accelerate(conv) is conv
    assert convolutions_left(accelerate(conv), *operands()) == 0
