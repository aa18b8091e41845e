"""jax.experimental.jet and checkify: ours answer as XLA's convolution does."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.experimental import checkify, jet

import jtconv
from jtconv.typing import MethodName
from tests.axes import auto_by_default
from tests.cases import BY_NAME, Case
from tests.compare import assert_close
from tests.oracle import formula
from tests.public import CALLS, operands
from tests.selection import rows

CASE = BY_NAME["k3_s2"]


def theirs(x: Any, w: Any, bias: Any = None, case: Case = CASE) -> jax.Array:
    """The same by lax: a convolution of the input with zeros between its cells."""
    spans = [d * (k - 1) for k, d in zip(case.kernel, case.dilation, strict=True)]
    y = lax.conv_general_dilated(
        x,
        jnp.flip(w, range(len(case.kernel))),
        (1,) * len(case.kernel),
        [(span - lo, span - hi) for span, (lo, hi) in zip(spans, case.crops, strict=True)],
        lhs_dilation=case.stride,
        rhs_dilation=case.dilation,
        dimension_numbers=("NWC", "WIO", "NWC"),
    )
    return y if bias is None else y + bias


def ours(x: Any, w: Any, bias: Any = None, method: MethodName = "auto") -> jax.Array:
    return jtconv.conv_transpose(x, w, bias, method=method, **CASE.keywords)


def curves(rng: np.random.Generator, count: int, order: int) -> tuple[list[Any], list[Any]]:
    """Points, and the derivatives of curves through them."""
    shapes = (CASE.x_shape, CASE.w_shape, (CASE.features,))[:count]
    return (
        [jnp.asarray(rng.normal(size=shape)) for shape in shapes],
        [[jnp.asarray(rng.normal(size=shape)) for _ in range(order)] for shape in shapes],
    )


@pytest.mark.parametrize("moving", rows(["x", "w", "xw", "xwb", "b"], default=["w", "xwb"]))
@pytest.mark.parametrize("order", rows({"1": (1,), "2": (2,), "4": (4,)}, default=["2"]))
@auto_by_default
def test_series(method, order, moving, rng):
    """Of one operand or of all, at several orders: lax's own series."""
    points, series = curves(rng, 3 if "b" in moving else 2, order)
    chosen = ["xwb".index(name) for name in moving]

    def along(function: Callable) -> Any:
        def call(*moved: Any) -> Any:
            every = dict(enumerate(points)) | dict(zip(chosen, moved, strict=True))
            return function(*every.values())

        return jet.jet(call, [points[i] for i in chosen], [series[i] for i in chosen])

    got, want = jax.jit(lambda: (along(partial(ours, method=method)), along(theirs)))()
    for one, other in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        assert_close(one, other, slack=8)


def test_series_of_the_other_sides(rng):
    """fprop and wgrad: the series of a gradient along curves of both operands."""
    points, series = curves(rng, 2, 3)

    def gradient(function: Callable) -> Callable:
        return jax.grad(lambda x, w: jnp.sum(function(x, w) ** 3), (0, 1))

    got, want = jax.jit(
        lambda: [jet.jet(gradient(f), points, series) for f in (ours, partial(formula, case=CASE))]
    )()
    for one, other in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        assert_close(one, other, slack=64)


def test_series_line_of_the_report():
    x, w = jnp.ones((1, 3, 1)), jnp.ones((2, 1, 1))
    value, series = jet.jet(lambda x: jtconv.conv_transpose(x, w), (x,), ([x, 2 * x],))
    sums = np.array([1, 2, 2, 1])
    for got, times in zip((value, *series), (1, 1, 2), strict=True):
        np.testing.assert_array_equal(got[0, :, 0], times * sums)


# JAX's own: its rules do not take what `jax.nn.relu` is made of.
NO_SERIES = ("unet", "fcn", "deconvnet", "generator", "project")
IN_SERIES = [name for name in CALLS if len(CALLS[name]) > 1 and name not in NO_SERIES]


@pytest.mark.parametrize("name", rows(IN_SERIES, default=["conv_matrix", "max_unpool"]))
def test_series_of_every_public_function(name):
    """To second order, as derivatives along the curve have it."""
    function, *shapes = CALLS[name]
    points = operands(*shapes)
    series = [[jnp.sin(3 * a + 1), jnp.cos(5 * a)] for a in points]

    def curve(t: jax.Array) -> Any:
        moved = (x + t * v + t * t / 2 * u for x, (v, u) in zip(points, series, strict=True))
        return function(*moved)

    def derivative(g: Callable) -> Callable:
        return lambda t: jax.jvp(g, (t,), (jnp.ones_like(t),))[1]

    first = derivative(curve)
    (_, got), *want = jax.jit(
        lambda t: (jet.jet(function, points, series), first(t), derivative(first)(t))
    )(jnp.float32(0))
    for one, other in zip(got, want, strict=True):
        assert_close(one, other, slack=16)


def with_nan(rng: np.random.Generator, at: int) -> list[jax.Array]:
    """Operands, one of which holds one NaN."""
    points, _ = curves(rng, 3, 0)
    points[at] = points[at].at[(0,) * points[at].ndim].set(jnp.nan)
    return points


def plain(f: Callable) -> Callable:
    return f


def mapped(f: Callable) -> Callable:
    return lambda x, *rest: jax.vmap(f, (0, *(None for _ in rest)))(jnp.stack([x, x]), *rest)


def scanned(f: Callable) -> Callable:
    def step(x: jax.Array, *rest: jax.Array) -> Any:
        return lax.scan(lambda total, one: (total, f(one, *rest)), 0.0, jnp.stack([x, x]))[1]

    return step


def gradient(f: Callable) -> Callable:
    return jax.grad(lambda *args: jnp.sum(f(*args)), (0, 1))


FORMS: dict[str, Any] = {
    "plain": plain,
    "jit": jax.jit,
    "vmap": mapped,
    "scan": scanned,
    "gradient": gradient,
    "checkpoint": jax.checkpoint,
    "jit_of_gradient": lambda f: jax.jit(gradient(f)),
}


@pytest.mark.parametrize("at", rows({"x": (0,), "w": (1,), "b": (2,)}, default=["w", "b"]))
@pytest.mark.parametrize("form", rows(list(FORMS), default=["gradient"]))
@pytest.mark.parametrize("errors", rows(["nan_checks", "float_checks"], default=["nan_checks"]))
def test_a_nan_is_reported(errors, form, at, rng):
    """By name, wherever lax's convolution would report it, and never without one."""
    points, wanted = with_nan(rng, at), getattr(checkify, errors)

    def found(function: Callable, *args: jax.Array) -> Any:
        checked = checkify.checkify(FORMS[form](function), errors=wanted)
        error, _ = jax.jit(checked)(*args)
        return error.get()

    count = 2 if at < 2 else 3
    got, want = found(ours, *points[:count]), found(theirs, *points[:count])
    assert (got is None) == (want is None)
    if not (form.endswith("gradient") and at == 2):  # the gradient does not depend on the bias
        assert re.search(r"nan generated by primitive: jtconv_(dgrad|fprop|wgrad)", got or "")
    assert found(ours, *curves(rng, 3, 0)[0]) is None


def test_nan_lines_of_the_report():
    x, w = jnp.ones((1, 3, 1)), jnp.ones((2, 1, 1))
    for errors in (checkify.nan_checks, checkify.float_checks, checkify.all_checks):
        error, _ = checkify.checkify(jtconv.conv_transpose, errors=errors)(x * jnp.nan, w)
        assert "nan generated by primitive: jtconv_dgrad" in (error.get() or "")
    for errors in (checkify.user_checks, checkify.index_checks, checkify.div_checks):
        error, _ = checkify.checkify(jtconv.conv_transpose, errors=errors)(x * jnp.nan, w)
        assert error.get() is None


# JAX's check of indices fails at every scatter under vmap, of which max_unpool is one.
SCATTERS = ("max_unpool", "deconvnet", "project")


@pytest.mark.parametrize("name", rows(list(CALLS), default=["max_unpool"]))
def test_no_false_alarm(name):
    """Every check at once over finite numbers: no error, and the same value."""
    function, *shapes = CALLS[name]
    points = operands(*shapes)
    errors = checkify.all_checks - (checkify.index_checks if name in SCATTERS else set())
    error, got = jax.jit(checkify.checkify(function, errors=errors))(*points)
    assert error.get() is None
    assert_close(got, jax.jit(function)(*points))


def test_policies_of_checkpoint():
    """Ours are named, so that a policy can keep their results; JAX's own knows of lax's only."""
    x, w = jnp.ones((1, 3, 1)), jnp.ones((2, 1, 1))

    def loss(x: jax.Array, w: jax.Array) -> jax.Array:
        return jnp.sum(jnp.sin(jtconv.conv_transpose(x, w)))

    def keep(primitive: Any, *_: Any, **__: Any) -> bool:
        return primitive.name.startswith("jtconv_")

    want = jax.grad(loss)(x, w)
    for policy, count in ((keep, 1), (jax.checkpoint_policies.dots_saveable, 2)):
        gradient = jax.grad(jax.checkpoint(loss, policy=policy))
        assert str(jax.make_jaxpr(gradient)(x, w)).count("jtconv_dgrad[") == count
        assert_close(gradient(x, w), want)
