"""The adjoint: ``<conv_transpose(x, w), y> == <x, conv(y, w)>``, one kernel array for both.

The inner products are plain sums, so the law is blind to how either side is computed: it
holds for every method, also between two of them.
"""

from __future__ import annotations

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental.sparse import BCOO

import jtconv
from jtconv.algorithms import ALGORITHMS
from tests.axes import NAMES, each, methods, methods_and_cases
from tests.cases import BY_NAME, REPRESENTATIVE
from tests.compare import assert_close
from tests.selection import rows

# Kernels for GPUs are simulated in calls of their own: see tests/algorithms/pallas.
HERE = [name for name in ALGORITHMS if name != "pallas"]
PAIRS = {f"{one}-{other}": (one, other) for one, other in itertools.pairwise([*HERE, HERE[0]])}


def inner(a, b) -> np.ndarray:
    return np.sum(np.asarray(a) * np.asarray(b))


@methods_and_cases(NAMES, by_all=[BY_NAME["grouped"]], by_auto=REPRESENTATIVE[:1])
def test_conv_is_the_adjoint(method, case, rng):
    x, w, y = case.operands(rng)
    there = jtconv.conv_transpose(x, w, method=method, **case.keywords)
    back = jtconv.conv(y, w, method=method, **case.adjoint_keywords)
    assert_close(inner(there, y), inner(x, back), np.float64, slack=8)


@pytest.mark.parametrize(("one", "other"), rows(PAIRS, PAIRS))
@each(REPRESENTATIVE, default=["grouped"])
def test_methods_are_adjoint_to_each_other(one, other, case, rng):
    x, w, y = case.operands(rng)
    there = jtconv.conv_transpose(x, w, method=one, **case.keywords)
    back = jtconv.conv(y, w, method=other, **case.adjoint_keywords)
    assert_close(inner(there, y), inner(x, back), np.float64, slack=8)


@each(REPRESENTATIVE, default=["grouped", "lopsided"])
@methods(["auto"], NAMES)
def test_the_three_sides_are_one_trilinear_form(method, case, rng):
    x, w, y = case.operands(rng)
    there, pull = jax.vjp(
        lambda x, w: jtconv.conv_transpose(x, w, method=method, **case.keywords), x, w
    )
    dx, dw = pull(jnp.asarray(y))
    assert_close(inner(dx, x), inner(there, y), np.float64, slack=8)
    assert_close(inner(dw, w), inner(there, y), np.float64, slack=8)


@pytest.mark.parametrize("name", ["grouped", "depthwise", "multiplier", "k3_s2"])
@methods(["gemm", "auto"], NAMES)
def test_the_gradient_of_conv_is_conv_transpose(method, name, rng):
    """Also where the kernel is grouped and its two channel axes read the other way round."""
    case = BY_NAME[name]
    x, w, y = case.operands(rng)
    _, pull = jax.vjp(lambda y: jtconv.conv(y, w, method=method, **case.adjoint_keywords), y)
    want = jtconv.conv_transpose(x, w, method=method, **case.keywords)
    assert_close(pull(jnp.asarray(x))[0], want)


@each(REPRESENTATIVE, default=["dilated_coprime", "grouped"])
def test_the_matrix_is_the_operator(case, rng):
    """``conv_matrix`` maps as ``conv`` does, and its transpose as ``conv_transpose``."""
    x, w, y = case.operands(rng)
    shape = (*case.y_size, case.features)
    matrix = jtconv.conv_matrix(w, shape, **case.adjoint_keywords)
    sparse = jtconv.conv_matrix(w, shape, sparse=True, **case.adjoint_keywords)
    assert isinstance(sparse, BCOO)
    np.testing.assert_array_equal(matrix, sparse.todense())
    assert_close(
        (matrix @ y.reshape(case.batch, -1).T).T.reshape(x.shape),
        jtconv.conv(y, w, **case.adjoint_keywords),
    )
    assert_close(
        (matrix.T @ x.reshape(case.batch, -1).T).T.reshape(y.shape),
        jtconv.conv_transpose(x, w, **case.keywords),
    )
