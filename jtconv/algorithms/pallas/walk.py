"""Which input cells, kernel cells and phases meet, as arithmetic on numbers known only later.

The GPU kernels keep outputs in registers and walk over what adds to them.  Seen from there
dgrad and fprop are one thing: sources and results are both cut into cells of some neighbours
("phases"), and each result phase has its own list of steps, each a kernel cell with the shift
and the phase of the source it meets.

    dgrad   y[s*q + r] += x[q + shift] * w[tap]       results have s phases, sources one
    fprop   x[q] += y[s*(q + shift) + phase] * w[tap]     results have one phase, sources s

Everything here works on Python's integers, which the tests use, and on the traced scalars of
a kernel alike: a grid that is walked by a few programs knows its place only while it runs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

from jtconv.problem.geometry import Axis, Geometry
from jtconv.problem.task import Side


class Step(NamedTuple):
    """One kernel cell, and where its source lies as seen from a result cell."""

    tap: Any
    shift: Any
    phase: Any


@dataclass(frozen=True)
class AxisWalk:
    """The steps of one axis."""

    axis: Axis
    side: Side

    @property
    def phases(self) -> int:
        """Phases of the results."""
        return self.axis.stride if self.side == "dgrad" else 1

    @property
    def source_phases(self) -> int:
        """Phases of the sources."""
        return 1 if self.side == "dgrad" else self.axis.stride

    @property
    def results(self) -> int:
        """Result cells."""
        size = self.axis.y_size if self.side == "dgrad" else self.axis.x_size
        return -(-size // self.phases)

    @property
    def shifts(self) -> tuple[int, ...]:
        """The shift of every step of every phase."""
        steps = [(r, j) for r in range(self.phases) for j in range(self.count(r))]
        return tuple(self.step(r, j).shift for r, j in steps)

    @property
    def front(self) -> int:
        """Source cells that a step may read in front of the first one."""
        return max(0, -min(self.shifts, default=0))

    @property
    def behind(self) -> int:
        """Source cells that a step may read past its own."""
        return max(0, max(self.shifts, default=0))

    @property
    def _common(self) -> int:
        return math.gcd(self.axis.stride, self.axis.dilation)

    def _first(self, phase: Any) -> Any:
        """The first kernel cell of a result phase: d*t = phase + lo modulo the stride."""
        a, common = self.axis, self._common
        period = a.stride // common
        inverse = pow(a.dilation // common, -1, period) if period > 1 else 0
        return (phase + a.lo % a.stride) // common * inverse % period

    def count(self, phase: Any) -> Any:
        """Steps of a result phase."""
        a = self.axis
        if self.side != "dgrad":
            return a.kernel
        period = a.stride // self._common
        steps = (a.kernel + period - 1 - self._first(phase)) // period
        divides = (phase + a.lo % a.stride) % self._common == 0
        return steps * divides

    def step(self, phase: Any, number: Any) -> Step:
        """Step ``number`` of a result phase."""
        a = self.axis
        if self.side == "dgrad":
            tap = self._first(phase) + number * (a.stride // self._common)
            far = a.dilation * a.kernel  # keeps what is divided above zero
            return Step(tap, _divide(phase + a.lo - a.dilation * tap, a.stride, far), 0)
        place = a.dilation * number - a.lo
        shift = _divide(place, a.stride, abs(a.lo))
        return Step(number, shift, place - shift * a.stride)


def _divide(n: Any, by: int, far: int) -> Any:
    """Floor division of what may be negative, written for hardware whose division truncates."""
    up = -(-far // by) + abs(far)
    return (n + up * by) // by - up


@dataclass(frozen=True)
class Walk:
    """All axes together; flat numbers count the last axis fastest."""

    axes: tuple[AxisWalk, ...]

    @classmethod
    def of(cls, geometry: Geometry, side: Side) -> Walk:
        """The walk of one side: dgrad or fprop."""
        return cls(tuple(AxisWalk(axis, side) for axis in geometry))

    @property
    def phases(self) -> tuple[int, ...]:
        """Result phases, per axis."""
        return tuple(a.phases for a in self.axes)

    @property
    def source_phases(self) -> tuple[int, ...]:
        """Source phases, per axis."""
        return tuple(a.source_phases for a in self.axes)

    @property
    def results(self) -> tuple[int, ...]:
        """Result cells, per axis."""
        return tuple(a.results for a in self.axes)

    def counts(self, phase: tuple[Any, ...]) -> tuple[Any, ...]:
        """Steps of a result phase, per axis."""
        return tuple(a.count(p) for a, p in zip(self.axes, phase, strict=True))

    def step(self, phase: tuple[Any, ...], number: tuple[Any, ...]) -> tuple[Any, list[Step]]:
        """The flat number of the kernel cell, and the step of every axis."""
        rows = zip(self.axes, phase, number, strict=True)
        steps = [a.step(p, j) for a, p, j in rows]
        tap: Any = 0
        for a, step in zip(self.axes, steps, strict=True):
            tap = tap * a.axis.kernel + step.tap
        return tap, steps
