"""Shapes: output_shape says what a call gives, for every case, and never more than that."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jtconv
from tests.axes import each, every_case, every_method
from tests.cases import REPRESENTATIVE, random

# The same two axes laid in other orders.
LAYOUTS = (
    ("NHWC", "HWIO", "NHWC"),
    ("NCHW", "IOHW", "NCHW"),
    ("CHWN", "OIHW", "NHCW"),
)


@every_case
def test_output_shape_needs_no_arrays(case):
    assert jtconv.output_shape(case.x_shape, case.w_shape, **case.keywords) == case.y_shape


@every_case
def test_a_call_has_the_shape_that_was_said(case):
    """Traced, not run: what the abstract rule says for the three sides."""
    x, w = (jax.ShapeDtypeStruct(shape, jnp.float32) for shape in (case.x_shape, case.w_shape))
    call = jax.eval_shape(lambda x, w: jtconv.conv_transpose(x, w, **case.keywords), x, w)
    assert (call.shape, call.dtype) == (case.y_shape, jnp.float32)
    y = jax.ShapeDtypeStruct(case.y_shape, jnp.float32)
    back = jax.eval_shape(lambda y, w: jtconv.conv(y, w, **case.adjoint_keywords), y, w)
    assert (back.shape, back.dtype) == (case.x_shape, jnp.float32)


@pytest.mark.parametrize("layout", LAYOUTS, ids=" ".join)
def test_output_shape_in_any_layout(layout, rng):
    sizes = {"N": 2, "H": 3, "W": 5, "C": 4}
    kernel = {"H": 4, "W": 3, "I": 4, "O": 6}
    x = tuple(sizes[letter] for letter in layout[0])
    w = tuple(kernel[letter] for letter in layout[1])
    out = {"N": 2, "H": 8, "W": 13, "C": 6}
    want = tuple(out[letter] for letter in layout[2])
    keywords = {"stride": (2, 3), "padding": ((0, 0), (1, 1)), "dimension_numbers": layout}
    assert jtconv.output_shape(x, w, **keywords) == want
    arrays = random(rng, x, np.float32), random(rng, w, np.float32)
    assert jtconv.conv_transpose(*arrays, **keywords).shape == want


@each(REPRESENTATIVE)
def test_output_padding_lengthens_the_end(case):
    room = [max(s, d) for s, d in zip(case.stride, case.dilation, strict=True)]
    for extra in range(max(room)):
        more = tuple(min(extra, most - 1) for most in room)
        grown = tuple(m + e for m, e in zip(case.y_size, more, strict=True))
        got = jtconv.output_shape(case.x_shape, case.w_shape, output_padding=more, **case.keywords)
        assert got == (case.batch, *grown, case.features)


@each(REPRESENTATIVE)
def test_unbatched_in_unbatched_out(case):
    got = jtconv.output_shape(case.x_shape[1:], case.w_shape, **case.keywords)
    assert got == case.y_shape[1:]


@every_method
def test_an_empty_batch_is_fine_in_every_direction(method):
    x, w = jnp.zeros((0, 3, 2)), jnp.full((4, 2, 3), 0.5)

    def loss(x, w):
        return jtconv.conv_transpose(x, w, stride=2, method=method).sum()

    assert loss(x, w) == 0
    dx, dw = jax.grad(loss, (0, 1))(x, w)
    assert dx.shape == x.shape
    np.testing.assert_array_equal(dw, np.zeros(w.shape))
