"""One program for every size: spatial axes that are symbols of ``jax.export``.

Each is exported once, called on several sizes, and compared with the NumPy loop and with what the
same function computes where the sizes are numbers.
"""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as flax_linen
from flax import nnx as flax_nnx
from jax import export
from jax.experimental import checkify, jet

import jtconv
from jtconv import linen, nnx, streaming, unpool, upsampling
from jtconv.problem.padding import BORDERS, NAMES
from tests import oracle
from tests.cases import BY_NAME, CASES, Case
from tests.compare import assert_close
from tests.selection import exhaustive, rows

LETTERS = "hijk"


def assert_all_close(got: Any, want: Any) -> None:
    """Every array of two trees; gradients of gradients err a little more than one operation."""
    got, want = jax.tree.leaves(got), jax.tree.leaves(want)
    assert len(got) == len(want)
    for one, other in zip(got, want, strict=True):
        assert_close(one, other, slack=8)


def least_size(case: Case, op: str, axis: int) -> int:
    """The smallest input of an axis that leaves an output."""
    k, s, d = case.kernel[axis], case.stride[axis], case.dilation[axis]
    lo, hi = case.crops[axis]
    span = d * (k - 1) + 1
    if op == "conv":
        return max(span - lo - hi, 1)
    return max(-(-(1 - span + lo + hi) // s) + 1, 1)


def exported(function: Any, shape: tuple[Any, ...], least: tuple[int, ...], dtype: Any) -> Any:
    """``function`` of one array with a symbolic batch and symbolic space, kept and read again."""
    letters = LETTERS[: len(least)]
    constraints = [f"{letter} >= {size}" for letter, size in zip(letters, least, strict=True)]
    symbols = export.symbolic_shape(", ".join(("n", *letters)), constraints=constraints)
    x = jax.ShapeDtypeStruct((*symbols, shape[-1]), dtype)
    stored = export.export(jax.jit(function))(x).serialize()
    return export.deserialize(stored).call


def with_gradients(function: Any) -> Any:
    """The value, and the gradients by the array and the kernel of a sum that is not linear."""

    def value(x, w):
        return jnp.sum(jnp.sin(function(x, w)))

    return lambda x, w: (function(x, w), jax.grad(value, (0, 1))(x, w))


SWEEP = {f"{case.name}-{op}": (case, op) for case in CASES for op in ("conv_transpose", "conv")}


@pytest.mark.parametrize(
    ("case", "op"),
    rows(SWEEP, ["k3_s2-conv_transpose"]),
)
def test_every_case_at_every_size(case, op, rng):
    """Value and gradients, where crops are beyond the array and where windows leave cells over."""
    keywords = case.keywords if op == "conv_transpose" else case.adjoint_keywords
    w = rng.normal(size=case.w_shape)
    function = jax.jit(with_gradients(lambda x, w: getattr(jtconv, op)(x, w, **keywords)))
    channels = case.channels if op == "conv_transpose" else case.features
    least = tuple(least_size(case, op, axis) for axis in range(len(case.x_size)))
    call = exported(lambda x: function(x, w), (channels,), least, jnp.float64)
    for more in (0, 1, 2, 5) if len(least) < 3 else (0, 2):
        sizes = tuple(n + (more + axis) % 6 for axis, n in enumerate(least))
        x = rng.normal(size=(more % 3 + 1, *sizes, channels))
        got = call(x)
        assert_all_close(got, function(x, w))
        sized = case._replace(x_size=sizes, batch=len(x))
        if op == "conv_transpose":
            assert_close(got[0], oracle.conv_transpose(x, w, sized))


COLUMNS = (*itertools.product((1, 2, 3, 4), (1, 2, 3), (1,)), (3, 1, 2), (3, 2, 2), (2, 3, 2))
NAMED = {
    f"{name}-{op}-k{k}s{s}d{d}": (name, op, k, s, d)
    for names, columns in ((NAMES, COLUMNS), (BORDERS, ((1, 2, 1), (4, 2, 1), (3, 3, 2))))
    for name in names
    for op in ("conv_transpose", "conv")
    for k, s, d in columns
}


@pytest.mark.parametrize(
    ("name", "op", "kernel", "stride", "dilation"),
    rows(NAMED, ["SAME-conv-k4s2d1"]),
)
def test_every_name_at_every_size(name, op, kernel, stride, dilation, rng):
    """Those that pad by the remainder of the size, too."""
    w = rng.normal(size=(kernel, 2, 3))
    options = {"padding": name, "stride": stride, "dilation": dilation}
    function = jax.jit(with_gradients(lambda x, w: getattr(jtconv, op)(x, w, **options)))
    least = dilation * (kernel - 1) + 1 if (name, op) == ("VALID", "conv") else 1
    call = exported(lambda x: function(x, w), (2,), (least,), jnp.float64)
    for size in (least, least + 1, least + 5):
        x = rng.normal(size=(2, size, 2))
        assert_all_close(call(x), function(x, w))


def one_size(
    size_of: str = "l", *constraints: str, after: tuple[int, ...] = (2,)
) -> jax.ShapeDtypeStruct:
    (size,) = export.symbolic_shape(size_of, constraints=constraints)
    return jax.ShapeDtypeStruct((1, size, *after), jnp.float32)


def same_at_sizes(function: Any, sizes: Any = (1, 2, 7)) -> Any:
    """The result's shape, once the export agrees with the function at all of these sizes."""
    function = jax.jit(function)
    program = export.export(function)(one_size())
    for size in sizes:
        x = jnp.asarray(np.random.default_rng(size).normal(size=(1, size, 2)), jnp.float32)
        assert_all_close(program.call(x), function(x))
    return tuple(aval.shape for aval in program.out_avals)


def test_the_plainest_call():
    """2*l + 2 cells, as lax has it."""
    w = jnp.ones((4, 2, 3), jnp.float32)
    (shape,) = same_at_sizes(lambda x: jtconv.conv_transpose(x, w, stride=2))
    assert str(shape) == "(1, 2*l + 2, 3)"
    assert str(jtconv.output_shape(one_size().shape, w.shape, stride=2)) == "(1, 2*l + 2, 3)"


def test_equal_names_of_different_scopes():
    """A symbol belongs to one export: what was kept of another is no answer."""
    w = jnp.ones((4, 2, 3), jnp.float32)
    for constraints in ((), ("l >= 4",), ("l <= 7",), ()):
        program = jax.jit(lambda x: jtconv.conv_transpose(x, w, stride=2, padding=1))
        (out,) = export.export(program)(one_size("l", *constraints)).out_avals
        assert str(out.shape) == "(1, 2*l, 3)"


W, W2 = (np.random.default_rng(0).normal(size=(k, 2, 2)).astype("float32") for k in (4, 3))
B = np.array([1, -2], "float32")


def up(x, w=W, b=None, **options):
    return jtconv.conv_transpose(x, w, b, **{"stride": 2, "padding": 1, **options})


def down(x, w=W, b=None, **options):
    return jtconv.conv(x, w, b, **{"stride": 2, "padding": 2, **options})


def total(function):
    return lambda *arrays: jnp.sum(jnp.sin(function(*arrays)))


def _zeros(x):
    return jnp.zeros_like(x[:, :1], jnp.int32)


TRANSFORMED = {
    "bias": (lambda x: up(x, W, B),),
    "gradient of the bias": (lambda x: jax.grad(lambda b: total(down)(x, W, b))(B),),
    "there and back": (lambda x: down(up(x)),),
    "vmap of the input": (lambda x: jax.vmap(up)(jnp.stack([x, x + 1])),),
    "vmap of the kernel": (lambda x: jax.vmap(up, (None, 0))(x, jnp.stack([W, 2 * W])),),
    "vmap of both": (lambda x: jax.vmap(down)(jnp.stack([x, -x]), jnp.stack([W, 2 * W])),),
    "over the symbol": (lambda x: jax.vmap(lambda a: up(a[None, :, None], W[:, :1]))(x[0]),),
    "jvp": (lambda x: jax.jvp(down, (x,), (x * x,)),),
    "jvp of a gradient": (lambda x: jax.jvp(jax.grad(total(down)), (x,), (x * x,)),),
    "second": (lambda x: jax.grad(lambda x: total(jax.grad(total(up)))(x))(x),),
    "second by the kernel": (
        lambda x: jax.grad(lambda w: jnp.sum(jax.grad(total(down))(x, w) ** 2))(W),
    ),
    "jacobian by the kernel": (lambda x: jax.jacrev(lambda w: jnp.sum(up(x, w), 1))(W),),
    "hessian by the kernel": (lambda x: jax.hessian(lambda w: total(down)(x, w))(W[..., :1]),),
    "remat": (lambda x: jax.grad(jax.checkpoint(total(up)))(x),),
    "scan": (lambda x: jax.lax.scan(lambda x, w: (up(x, w, stride=1), None), x, W2[None])[0],),
    "method by name": (lambda x: up(x, method="dilated"),),
    "the first that can": (lambda x: up(x, method=("matrix", "dilated")),),
    "flip": (lambda x: down(x, flip_kernel=True),),
    "layout": (lambda x: up(x.mT, dimension_numbers=("NCW", "WIO", "NWC")),),
    "unbatched": (lambda x: up(x[0]),),
    "output_padding": (lambda x: up(x, output_padding=1),),
    "symbolic crop": (lambda x: up(x, padding=((x.shape[1] // 2, 1),)),),
    "symbolic crops": (lambda x: up(x, stride=3, padding=1 - x.shape[1]),),
    "symbolic zeros": (lambda x: down(x, padding=[(x.shape[1], 2)]),),
    "jet": (lambda x: jet.jet(down, (x,), ([x, x * x],)),),
    "checkify": (lambda x: checkify.checkify(up, errors=checkify.nan_checks)(x)[1],),
    "half": (lambda x: up(x.astype("bfloat16"), W.astype("bfloat16")),),
    "complex": (lambda x: down(x + 1j * x, W.astype("complex64")),),
    "int8": (lambda x: up(x.astype("int8"), W.astype("int8")),),
    "resize": (lambda x: upsampling.resize(x, 2),),
    "resize linear": (lambda x: upsampling.resize(x, 2, interpolation="linear"),),
    "pixel_shuffle": (lambda x: upsampling.pixel_shuffle(x, 2),),
    "average_unpool": (lambda x: unpool.average_unpool(x, 3, stride=2),),
    "max_unpool": (lambda x: jtconv.max_unpool(x[:, :1], _zeros(x), output_size=3),),
}


@pytest.mark.parametrize("function", rows(TRANSFORMED, ["bias", "symbolic zeros"]))
def test_transformed(function):
    same_at_sizes(function)


W3 = np.random.default_rng(1).normal(size=(3, 4, 2, 2)).astype("float32")
STREAMS = {
    f"{op}-{padding}-s{stride}": (op, {"padding": padding, "stride": stride})
    for op, stride in (("conv_transpose", 1), ("conv_transpose", 2), ("conv", 1))
    for padding in ("CAUSAL", "SAME", 1)
}


def in_one_piece(stream: Any, x: Any) -> Any:
    """The whole, by a stream along the first axis."""
    y, state = stream.step(x, stream.init(x))
    return jnp.concatenate([y, stream.finish(state)], 1)[:, stream.latency :]


@pytest.mark.parametrize(("op", "options"), rows(STREAMS, ["conv_transpose-SAME-s2"]))
def test_a_piece_of_any_length(op, options, rng):
    """What the operation itself gives."""
    stream = getattr(streaming, op)(W, B, **options)
    program = export.export(jax.jit(lambda x: in_one_piece(stream, x)))(one_size("l", "l >= 3"))
    for size in (3, 4, 8):
        x = jnp.asarray(rng.normal(size=(1, size, 2)), jnp.float32)
        assert_close(program.call(x), getattr(jtconv, op)(x, W, B, **options))


@exhaustive
def test_a_piece_of_whole_strides():
    stream = streaming.conv(W, stride=2, padding="SAME")
    same_at_sizes(lambda x: in_one_piece(stream, jnp.repeat(x, 2, axis=1)))


@exhaustive
@pytest.mark.parametrize("op", ["conv", "conv_transpose"])
def test_pieces_as_wide_as_one_likes(op, rng):
    """An axis beside time, padded by the remainder of its size."""
    options = {"stride": (1, 2), "padding": "SAME"}
    stream = getattr(streaming, op)(W3, **options)
    shape = one_size("l", "mod(- l, 2) + l + 2 >= 4", after=(5, 2))
    program = export.export(jax.jit(lambda x: in_one_piece(stream, x.swapaxes(1, 2))))(shape)
    for size in (2, 3, 8):
        x = jnp.asarray(rng.normal(size=(1, size, 5, 2)), jnp.float32)
        assert_close(program.call(x), getattr(jtconv, op)(x.swapaxes(1, 2), W3, **options))


def _layers() -> dict[str, tuple[Any]]:
    """Functions that make a layer: nothing is made before a test asks for it."""
    table: dict[str, tuple[Any]] = {}
    for padding, transpose in itertools.product(("SAME", "VALID", "CIRCULAR", 2), (False, True)):
        options = {"strides": (2,), "padding": padding, "transpose_kernel": transpose}
        table[f"nnx-{padding}-{transpose}"] = (lambda options=options: _nnx(nnx, options),)
        table[f"linen-{padding}-{transpose}"] = (lambda options=options: _linen(options),)
        if padding != "CIRCULAR":
            table[f"accelerated-{padding}-{transpose}"] = (
                lambda options=options: nnx.accelerate(_nnx(flax_nnx, options)),
            )
    table["ResizeConv"] = (lambda: nnx.ResizeConv(2, 3, (3,), strides=2, rngs=flax_nnx.Rngs(0)),)
    table["SubPixelConv"] = (
        lambda: nnx.SubPixelConv(2, 3, (3,), strides=2, rngs=flax_nnx.Rngs(0)),
    )
    return table


def _nnx(module: Any, options: dict[str, Any]) -> Any:
    return module.ConvTranspose(2, 2, (4,), **options, rngs=flax_nnx.Rngs(0))


def _linen(options: dict[str, Any]) -> Any:
    layer = linen.ConvTranspose(2, (4,), **options)
    assert isinstance(layer, flax_linen.Module)
    parameters = layer.init(jax.random.key(0), jnp.ones((1, 3, 2), jnp.float32))
    return lambda x: layer.apply(parameters, x)


@pytest.mark.parametrize("make", rows(_layers(), ["accelerated-SAME-False"]))
def test_layers(make):
    layer = make()
    same_at_sizes(lambda x: layer(x))


@pytest.mark.parametrize("platform", rows(["cpu", "cuda", "rocm", "tpu"], ["cuda"]))
def test_for_every_platform(platform):
    """The one method that takes any size is the choice on each."""

    def gradients(x, w):
        return jax.grad(lambda x, w: total(down)(up(x, w), w), (0, 1))(x, w)

    assert export.export(jax.jit(gradients), platforms=[platform])(one_size(), W).platforms
    plan = jtconv.explain(one_size(), W, stride=2, platform=platform)
    assert {side.choice.method for side in plan.sides} == {"dilated"}


@pytest.mark.parametrize("op", ["conv_transpose", "conv"])
@pytest.mark.parametrize("padding", ["SAME", "FULL", "CAUSAL", 1])
def test_explained(op, padding):
    """Counts are formulas, one method can and the others say why not."""
    kernel = W if op == "conv_transpose" else W2[:3]
    plan = jtconv.explain(one_size(), kernel, op=op, stride=2, padding=padding, verbose=True)
    assert (
        "l" in str(plan.output_shape[1])
        and plan.as_dict()["axes"][0]["input"] is plan.axes[0].input
    )
    assert "multiply-adds" in str(replace(plan, verbose=False))
    for text in (str(plan), plan.dumps()):
        assert "written for sizes that are numbers, and " in text
    for side in plan.sides:
        assert [row.method for row in side.rows if row.refusal is None] == ["dilated"]
    with pytest.raises(ValueError, match="explain an input of numbers"):
        plan.axes[0].paddings_for(5)


def test_products_are_counted_as_a_formula():
    plan = jtconv.explain(one_size(), W, stride=2, padding=1)
    assert str(plan.multiply_adds) == "16*l - 8"
    numbers = jtconv.explain(jax.ShapeDtypeStruct((1, 5, 2), "float32"), W, stride=2, padding=1)
    assert numbers.multiply_adds == 16 * 5 - 8
    assert tuple(map(str, plan.axes[0].reachable)) == ("2*l", "2*l + 1")


ERRORS = {
    "output_size": (lambda x: up(x, output_size=9), "output_size must be None .* symbolic size, l"),
    "symbolic output_size": (lambda x: up(x, output_size=2 * x.shape[1]), "must be None where"),
    "layer's output_size": (
        lambda x: _nnx(nnx, {})(x, output_size=9),
        "output_size must be None where the input has a symbolic size",
    ),
    "crops": (
        lambda x: up(x, padding=5),
        r"2\*l - 8, must be >= 1, .*constraints=\['2\*l - 8 >= 1'",
    ),
    "window": (lambda x: down(x, padding=0), r"at least as many, .*constraints=\['l >= 4'\]"),
    "size 0": (lambda x: up(x[:, 1:]), r"must be >= 1, .*constraints=\['l - 1 >= 1'\]"),
    "pool": (lambda x: jtconv.max_pool_with_indices(x, 2), "x has the symbolic size l on spatial"),
    "kept": (
        lambda x: upsampling.resize(x, 2, output_size=3),
        "x has the symbolic size l .*legal",
    ),
    "matrix": (lambda x: jtconv.conv_matrix(W, x.shape[1:]), "input_shape has the symbolic size l"),
    "half a stride": (
        lambda x: in_one_piece(streaming.conv(W, stride=2), x),
        "a multiple of the stride, 2, .* got l",
    ),
    "timed": (lambda x: jtconv.explain(x, W, time=True), "x has the symbolic size l .* time"),
}


@pytest.mark.parametrize(("call", "message"), rows(ERRORS, ERRORS))
def test_what_must_be_a_number_says_so(call, message):
    with pytest.raises(ValueError, match=message):
        export.export(jax.jit(call))(one_size())


@pytest.mark.parametrize("method", [name for name in jtconv.methods() if name != "dilated"])
@pytest.mark.parametrize("function", [up, down])
def test_other_methods_refuse(function, method):
    why = f"{method!r} cannot do this .* on any platform: it is written for sizes that are numbers"
    with pytest.raises(jtconv.Unsupported, match=f"{why}, and .*l.* here are not"):
        export.export(jax.jit(lambda x: function(x, method=method)))(one_size())


def test_a_stated_constraint_is_enough():
    """And the sizes that it excludes are refused by JAX when the program is called."""
    shape = one_size("l", "2*l - 8 >= 1")
    program = export.export(jax.jit(lambda x: up(x, padding=5)))(shape)
    for size in (5, 6, 9):
        x = jnp.asarray(np.random.default_rng(size).normal(size=(1, size, 2)), jnp.float32)
        assert_close(program.call(x), up(x, padding=5))
    with pytest.raises(ValueError, match="constraint"):
        program.call(jnp.ones((1, 4, 2), jnp.float32))


def test_a_kernel_is_not_symbolic():
    kernel: Any = (*export.symbolic_shape("k"), 2, 3)
    with pytest.raises(TypeError, match="w: spatial axis 'W' has the symbolic size k; the taps"):
        jtconv.output_shape((1, 5, 2), kernel)


def test_only_some_axes():
    """One axis is a number, and the channels of a group are read as ever."""
    case = BY_NAME["grouped"]
    w = np.random.default_rng(0).normal(size=case.w_shape)
    (h,) = export.symbolic_shape("h")
    shape = jax.ShapeDtypeStruct((2, h, 2, case.channels), jnp.float64)
    program = export.export(jax.jit(lambda x: jtconv.conv_transpose(x, w, **case.keywords)))(shape)
    for size in (1, 3, 6):
        x = np.random.default_rng(size).normal(size=(2, size, 2, case.channels))
        expected = oracle.conv_transpose(x, w, case._replace(x_size=(size, 2)))
        assert_close(program.call(x), expected)
