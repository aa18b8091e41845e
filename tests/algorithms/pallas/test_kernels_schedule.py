"""The arithmetic of the tap schedule, against the geometry's own lists."""

from __future__ import annotations

import itertools
import math

import pytest

from jtconv.algorithms.pallas.schedule import AxisSchedule, TapSchedule
from jtconv.algorithms.pallas.tiling import box, unravel
from jtconv.problem.geometry import Axis, Geometry

AXES = [
    Axis.cropped(n, k, s, d, lo, hi)
    for n, k, s, d, lo, hi in itertools.product((1, 4), (1, 2, 3, 5), (1, 2, 3, 4), (1, 2, 3, 4),
                                                (-3, 0, 1, 4), (-1, 0))
    if (n - 1) * s + d * (k - 1) + 1 - lo - hi > 0
]  # fmt: skip


def test_a_schedule_of_dgrad_has_every_tap_of_every_phase():
    for axis in AXES:
        schedule = AxisSchedule(axis, "dgrad")
        for phase in axis.phases:
            steps = [schedule.step(phase.residue, j) for j in range(schedule.count(phase.residue))]
            found = sorted((step.tap, step.shift) for step in steps)
            assert found == sorted(zip(phase.taps, phase.offsets, strict=True)), axis


def test_a_schedule_of_fprop_has_every_tap():
    for axis in AXES:
        schedule = AxisSchedule(axis, "fprop")
        assert schedule.count(0) == axis.kernel
        for t in range(axis.kernel):
            step = schedule.step(0, t)
            assert step.tap == t and 0 <= step.phase < axis.stride
            assert axis.stride * step.shift + step.phase == axis.dilation * t - axis.lo


@pytest.mark.parametrize("side", ["dgrad", "fprop"])
def test_the_halo_is_what_is_read_beyond_a_position(side):
    for axis in AXES:
        schedule = AxisSchedule(axis, side)
        steps = [(r, j) for r in range(schedule.phases) for j in range(schedule.count(r))]
        shifts = [schedule.step(r, j).shift for r, j in steps]
        assert schedule.halo == (-min([0, *shifts]), max([0, *shifts]))


def test_flat_numbers_and_boxes():
    assert [unravel(i, (2, 3)) for i in range(6)] == list(itertools.product(range(2), range(3)))
    schedule = TapSchedule.of(Geometry.of((3, 3), (4, 2), (2, 2)), "dgrad")
    assert schedule.phases == (2, 2) and schedule.positions == (4, 3)
    assert schedule.counts((0, 1)) == (2, 1)
    tap, steps = schedule.step((0, 1), (1, 0))
    assert tap == 2 * 2 + 1 and [step.shift for step in steps] == [-1, 0]
    for sizes in ((1, 37, 37), (64, 4, 4), (1, 51200), (2, 16, 16, 16), (1, 14, 14)):
        assert math.prod(box(sizes, 64)) == 64
    assert box((64, 4, 4), 64) == (4, 4, 4) and box((1, 100), 64) == (1, 64)
