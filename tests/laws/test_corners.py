"""Odd but legal calls, each of which once went wrong."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export, lax

import jtconv
from tests.axes import every_method
from tests.compare import assert_close

X, W = jnp.arange(18.0).reshape(2, 3, 3), jnp.arange(24.0).reshape(4, 3, 2) - 9


def operator(x, w):
    return jtconv.conv_transpose(x, w, stride=2)


@pytest.mark.parametrize("axes", [(0, None), (None, 0), (0, 0)])
def test_vmap_over_an_empty_axis(axes):
    operands = [a[None][:0] if axis == 0 else a for a, axis in zip((X, W), axes, strict=True)]
    assert jax.vmap(operator, axes)(*operands).shape == (0, 2, 8, 2)


def test_vmap_of_both_over_a_symbolic_axis():
    (b,) = export.symbolic_shape("b")
    xs, ws = (jax.ShapeDtypeStruct((b, *a.shape), a.dtype) for a in (X, W))
    stored = export.export(jax.jit(jax.vmap(operator)))(xs, ws)
    both = jnp.stack([X, 2 * X]), jnp.stack([W, W + 1])
    assert_close(stored.call(*both), jax.vmap(operator)(*both))


@pytest.mark.parametrize("pair", [(None, None), ("highest", None), (None, lax.Precision.HIGH)])
def test_a_pair_of_precisions_may_hold_none(pair):
    assert_close(jtconv.conv_transpose(X, W, precision=pair), jtconv.conv_transpose(X, W))


def test_the_matrix_of_small_integers_does_not_wrap():
    x, w = jnp.full((3, 1), 100, jnp.int8), jnp.full((2, 1, 1), 100, jnp.int8)
    matrix = jtconv.conv_matrix(w, x.shape)
    np.testing.assert_array_equal(matrix @ x.ravel(), jtconv.conv(x, w).ravel())


class Boxed:
    """An array in a box, as a Flax parameter is."""

    def __init__(self, value):
        self.value = value

    def __jax_array__(self):
        return self.value


def test_boxes_are_opened_and_looked_into():
    assert_close(operator(Boxed(X), Boxed(W)), operator(X, W))
    with pytest.raises(TypeError, match="x is bool"):
        operator(Boxed(X > 3), W)


def test_explain_takes_a_symbolic_batch_and_numpy_doubles():
    (b,) = export.symbolic_shape("b")
    plan = jtconv.explain(jax.ShapeDtypeStruct((b, 3, 3), jnp.float32), W.astype("float32"))
    assert plan.output_shape == (b, 6, 2)
    with jax.enable_x64(False):
        assert jtconv.explain(np.ones((2, 3, 3)), jnp.ones((4, 3, 2), "float32")).multiply_adds


def test_explain_names_the_gradient_that_runs():
    x, w = jnp.ones((2, 6, 6, 64), "bfloat16"), jnp.ones((4, 4, 64, 64), "bfloat16")
    options: dict[str, Any] = {"stride": 2, "preferred_element_type": "float32"}

    def loss(x, w):
        return jnp.sum(jtconv.conv_transpose(x, w, **options) ** 2)

    lowered = jax.jit(jax.grad(loss, (0, 1))).lower(x, w).as_text(debug_info=True)
    for side in jtconv.explain(x, w, **options).sides:
        assert f"jtconv_{side.side}_{side.choice.method}" in lowered


@every_method
def test_numpy_scalars_are_ints(method):
    numbers: dict[str, Any] = {"stride": np.int64(2), "padding": np.array([1])}
    got = jtconv.conv_transpose(X, W, method=method, **numbers)
    assert_close(got, operator(X, W)[:, 1:-1])


@pytest.mark.parametrize(
    ("kernel", "chosen"),
    [
        (4, ["taps", "taps", "taps"]),
        (7, ["taps", "taps", "phases"]),
        (13, ["phases", "phases", "phases"]),
        (21, ["phases", "phases", "phases"]),
    ],
)
def test_many_taps_leave_something_to_choose(kernel, chosen):
    """Every side has a method whose program is not written out tap by tap."""
    x, w = jnp.ones((1, 32, 32, 16)), jnp.ones((kernel, kernel, 1, 16))
    plan = jtconv.explain(x, w, groups=16, padding="same")
    assert [side.choice.method for side in plan.sides] == chosen
