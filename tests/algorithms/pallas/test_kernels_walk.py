"""The arithmetic of the walk, against the geometry's own lists."""

from __future__ import annotations

import itertools
import math

import pytest

from jtconv.algorithms.pallas.tiling import box, unravel
from jtconv.algorithms.pallas.walk import AxisWalk, Walk
from jtconv.problem.geometry import Axis, Geometry

AXES = [
    Axis.cropped(n, k, s, d, lo, hi)
    for n, k, s, d, lo, hi in itertools.product((1, 4), (1, 2, 3, 5), (1, 2, 3, 4), (1, 2, 3, 4),
                                                (-3, 0, 1, 4), (-1, 0))
    if (n - 1) * s + d * (k - 1) + 1 - lo - hi > 0
]  # fmt: skip


def test_a_walk_meets_every_tap_of_every_phase():
    for axis in AXES:
        walk = AxisWalk(axis, "dgrad")
        for phase in axis.phases:
            steps = [walk.step(phase.residue, j) for j in range(walk.count(phase.residue))]
            met = sorted((step.tap, step.shift) for step in steps)
            assert met == sorted(zip(phase.taps, phase.offsets, strict=True)), axis


def test_a_walk_back_meets_every_tap():
    for axis in AXES:
        walk = AxisWalk(axis, "fprop")
        assert walk.count(0) == axis.kernel
        for t in range(axis.kernel):
            step = walk.step(0, t)
            assert step.tap == t and 0 <= step.phase < axis.stride
            assert axis.stride * step.shift + step.phase == axis.dilation * t - axis.lo


@pytest.mark.parametrize("side", ["dgrad", "fprop"])
def test_the_halo_is_what_is_read_beyond_the_cells(side):
    for axis in AXES:
        walk = AxisWalk(axis, side)
        shifts = [walk.step(r, j).shift for r in range(walk.phases) for j in range(walk.count(r))]
        assert (-walk.front, walk.behind) == (min([0, *shifts]), max([0, *shifts]))


def test_flat_numbers_and_boxes():
    assert [unravel(i, (2, 3)) for i in range(6)] == list(itertools.product(range(2), range(3)))
    walk = Walk.of(Geometry.of((3, 3), (4, 2), (2, 2)), "dgrad")
    assert walk.phases == (2, 2) and walk.results == (4, 3) and walk.counts((0, 1)) == (2, 1)
    tap, steps = walk.step((0, 1), (1, 0))
    assert tap == 2 * 2 + 1 and [step.shift for step in steps] == [-1, 0]
    for sizes in ((1, 37, 37), (64, 4, 4), (1, 51200), (2, 16, 16, 16), (1, 14, 14)):
        assert math.prod(box(sizes, 64)) == 64
    assert box((64, 4, 4), 64) == (4, 4, 4) and box((1, 100), 64) == (1, 64)
