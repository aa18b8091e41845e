"""Faults of XLA that this package keeps clear of, and keeps clear of in every method."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jtconv
from tests import oracle
from tests.axes import methods
from tests.cases import BY_NAME, Case
from tests.compare import assert_close
from tests.selection import rows

ABORTS = BY_NAME["xla_aborts"]
READS_BEYOND = BY_NAME["front_grown_back_cut"]

# What may hand the problem to XLA as it is.
some_methods = methods(["auto", "dilated", "vjp", "phases"])


@some_methods
def test_the_problem_whose_kernel_gradient_aborts_xla(method, rng):
    """XLA:CPU ends the process when it derives this lhs-dilated, rhs-dilated convolution.

    By kernel and by input, as jax.vjp and as linear_transpose, jitted so that XLA sees it whole.
    """
    x, w, y = ABORTS.operands(rng)

    def call(x, w):
        return jtconv.conv_transpose(x, w, method=method, **ABORTS.keywords)

    @jax.jit
    def sides(x, w, y):
        there, pull = jax.vjp(call, x, w)
        return there, *pull(y), *jax.linear_transpose(lambda w: call(x, w), w)(y)

    there, dx, dw, again = sides(x, w, y)
    assert_close(there, oracle.conv_transpose(x, w, ABORTS))
    assert_close(dx, oracle.conv(y, w, ABORTS))
    assert_close(dw, oracle.kernel_gradient(x, y, ABORTS))
    assert_close(again, dw)


@pytest.mark.parametrize("dtype", rows(["float32", "float64"], default=["float32"]))
@some_methods
def test_padding_of_mixed_sign_reads_no_foreign_memory(method, dtype, rng):
    """A convolution padded by (-1, 1) answers with what lies beyond its input in XLA:CPU."""
    for crops in ((-1, 1), (1, -1)):
        case = READS_BEYOND._replace(crops=(crops,))
        x, w, y = case.operands(rng, np.dtype(dtype))
        assert (y.shape[1], w.shape[0], case.keywords["padding"]) == (13, 2, (crops,))
        keywords = {**case.adjoint_keywords, "method": method}
        got, pull = jax.vjp(partial(jtconv.conv, **keywords), y, w)
        dy, dw = pull(jnp.asarray(x))
        assert_close(got, oracle.conv(y, w, case))
        assert_close(dy, oracle.conv_transpose(x, w, case))
        assert_close(dw, oracle.kernel_gradient(x, y, case))


# Kernel and stride 2 with crops of 1 beside an axis whose kernel outgrows the input; and a crop
# that is longer than the array, in front and behind.
SWAPPED = (
    Case("swapped", (2, 3), (3, 2), (2, 2), (1, 1), ((0, 0), (1, 1)), 2, 2),
    Case("swapped_1d", (1,), (2,), (2,), (1,), ((1, -1),), 2, 2),
    Case("swapped_lopsided", (3, 1), (2, 3), (2, 1), (1, 1), ((1, 3), (1, 1)), 2, 2),
    Case("swapped_groups", (3, 1), (2, 3), (2, 1), (1, 1), ((1, 3), (0, 2)), 6, 3, 3),
    Case("swapped_3d", (1, 3, 2), (3, 2, 2), (2, 2, 2), (1, 1, 1), ((0, 0), (1, 1), (1, 1)), 2, 2),
)
CROPPED_AWAY = (
    Case("cropped_away", (2,), (1,), (1,), (1,), ((-2, 3),), 1, 1),
    Case("cropped_away_in_front", (2, 3), (2, 1), (1, 2), (1, 1), ((7, -6), (0, 0)), 2, 2),
)


@pytest.mark.parametrize("case", SWAPPED + CROPPED_AWAY, ids=lambda case: case.name)
@methods(["auto", "dilated", "vjp"])
def test_swapped_operands_and_crops_beyond_the_array(method, case, rng):
    """XLA:CPU ends the process over the first, and has no shape for the second."""
    x, w, y = case.operands(rng)
    there, pull = jax.vjp(
        partial(jtconv.conv_transpose, method=method, **case.keywords), jnp.asarray(x), w
    )
    dx, dw = pull(jnp.asarray(y))
    assert_close(there, oracle.conv_transpose(x, w, case))
    assert_close(dx, oracle.conv(y, w, case))
    assert_close(dw, oracle.kernel_gradient(x, y, case))
    keywords = {**case.adjoint_keywords, "method": method}
    assert_close(jtconv.conv(y, w, **keywords), oracle.conv(y, w, case))
