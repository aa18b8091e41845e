"""Infinities and NaNs stay where the law puts them: a product with zero would spread them.

Of dgrad and fprop every number reaches what it reaches in the loop and nothing else.  In a kernel
gradient those that take part in no product, cropped or out of reach, are masked; one that takes
part in some may reach other taps too.
"""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from jtconv.algorithms.pallas.interpret import interpreted
from tests import oracle
from tests.cases import Case
from tests.compare import assert_close
from tests.kernels import can_interpret_gpus, compute, task_of

# Phases without a tap, holes of a dilation, positions that are cropped away, and added ones.
SHAPES = {
    "k3_s2": ((4, 5), (3, 3), (2, 2), (1, 1), ((1, 0), (0, 1))),
    "holes": ((4, 3), (2, 2), (3, 1), (1, 2), ((0, -2), (-1, 0))),
    "cropped": ((5, 4), (2, 3), (2, 2), (1, 1), ((4, 1), (0, -3))),
    "uneven": ((3, 5), (2, 3), (3, 2), (2, 3), ((-2, 1), (3, 0))),
}
CHANNELS = 16, 16, 1
DEFAULT = ("cropped-wgrad",)
SIDES = ("dgrad", "fprop", "wgrad")


def rows():
    for shape in SHAPES:
        for side in SIDES:
            name = f"{shape}-{side}"
            marks = [can_interpret_gpus]
            if name not in DEFAULT:
                marks.append(pytest.mark.exhaustive)
            yield pytest.param(shape, side, id=name, marks=marks)


def spoiled(rng, a, where):
    """The array with an infinity or a NaN in some cells."""
    a = np.array(a)
    for number, cell in enumerate(where):
        channel = rng.integers(a.shape[-1])
        a[(rng.integers(a.shape[0]), *cell, channel)] = (np.inf, np.nan, -np.inf)[number % 3]
    return a


def product_counts(case):
    """How many products each position of x, and of y, is in."""
    w, x, y = (np.ones(shape) for shape in (case.w_shape, case.x_shape, case.y_shape))
    of_x, of_y = oracle.conv(y, w, case), oracle.conv_transpose(x, w, case)
    return of_x[0, ..., 0], of_y[0, ..., 0]


@pytest.mark.parametrize(("shape", "side"), list(rows()))
def test_infinities_stay_where_they_are(shape, side, rng):
    case = Case(shape, *SHAPES[shape], *CHANNELS)
    x, w, y = case.operands(rng)
    with np.errstate(invalid="ignore"):
        if side == "wgrad":
            unused = [np.argwhere(number == 0) for number in product_counts(case)]
            operands: list[Any] = [
                spoiled(rng, a, cells) for a, cells in zip((x, y), unused, strict=True)
            ]
            want = oracle.kernel_gradient(operands[0], operands[1], case)
            assert np.isfinite(want).all()
        else:
            number = product_counts(case)[side == "fprop"]
            source, law = (x, oracle.conv_transpose) if side == "dgrad" else (y, oracle.conv)
            operands = [spoiled(rng, source, rng.permutation(np.argwhere(number > 0))[:2]), w]
            want = law(operands[0], operands[1], case)
            assert not np.isfinite(want).all()
    with interpreted("cuda"):
        task = task_of(case, side, "float32", "cuda")
        got = np.asarray(compute(task, *(jnp.asarray(a, "float32") for a in operands)))
    np.testing.assert_array_equal(np.isfinite(got), np.isfinite(want))
    finite = [np.where(np.isfinite(want), a, 0) for a in (got, want)]
    assert_close(finite[0], finite[1], "float32", slack=8 if side == "wgrad" else 1)


@can_interpret_gpus
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")  # past the last channel
def test_an_infinity_in_float32_stays_one_where_it_is_made_of_halves(rng):
    """The kernel gradient on Hopper: an infinity times a rest of zero would be NaN."""
    case = Case("", (2, 3), (2, 2), (2, 2), (1, 1), ((0, 0), (0, 0)), 16, 16, 1, 1)
    x, _, y = case.operands(rng)
    x, y = np.array(x), (np.abs(y) + 1) / 1024
    x[0, 1, 1, 5], x[0, 0, 2, 7] = np.inf, 3.4e38
    want = np.asarray(oracle.kernel_gradient(x, y, case))
    with interpreted("cuda"):
        task = task_of(case, "wgrad", "float32", "cuda")
        got = np.asarray(compute(task, *(jnp.asarray(a, "float32") for a in (x, y))))
    assert np.isinf(want[:, :, 5]).all()
    np.testing.assert_array_equal(np.isinf(got[:, :, 5]), np.isinf(want[:, :, 5]))
    assert not np.isnan(got).any()
