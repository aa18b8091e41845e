"""The tap schedule of the GPU kernels, and the layout of the arrays that it indexes.

The GPU kernels keep results in registers and go through what adds to them.  Seen from there dgrad
and fprop are one thing: source and result are both cut into positions of some neighbours
("phases"), and each phase of the result has its own list of steps, each a tap with the shift and
the phase of the source that it multiplies.

    dgrad   y[s*q + r] += x[q + shift] * w[tap]           results have s phases, sources one
    fprop   x[q] += y[s*(q + shift) + phase] * w[tap]     results have one phase, sources s

A schedule works on Python's integers, which the tests use, and on the traced scalars of a kernel
alike: a persistent kernel knows which tile it is at only while it runs.

Arrays are laid out as ``(N, positions, phases, positions, phases, ..., C)``: nothing moves in
memory, and one phase of some neighbouring positions is a strided box, which is what TMA copies.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax

from jtconv.algorithms.common import arrays
from jtconv.algorithms.pallas.interpret import simulation
from jtconv.problem.geometry import Axis, Geometry
from jtconv.problem.task import Side


class Step(NamedTuple):
    """One tap, and where its source lies as seen from a result position."""

    tap: Any
    shift: Any
    phase: Any


@dataclass(frozen=True)
class AxisSchedule:
    """The steps of one axis."""

    axis: Axis
    side: Side

    @property
    def phases(self) -> int:
        """Phases of the result."""
        return self.axis.stride if self.side == "dgrad" else 1

    @property
    def source_phases(self) -> int:
        """Phases of the source."""
        return 1 if self.side == "dgrad" else self.axis.stride

    @property
    def positions(self) -> int:
        """Positions of the result."""
        size = self.axis.y_size if self.side == "dgrad" else self.axis.x_size
        return -(-size // self.phases)

    @property
    def shifts(self) -> tuple[int, ...]:
        """The shift of every step of every phase."""
        steps = [(r, j) for r in range(self.phases) for j in range(self.count(r))]
        return tuple(self.step(r, j).shift for r, j in steps)

    @property
    def halo(self) -> tuple[int, int]:
        """Source positions that steps may read before their own, and behind it."""
        return max(0, -min(self.shifts, default=0)), max(0, max(self.shifts, default=0))

    @property
    def _gcd(self) -> int:
        return math.gcd(self.axis.stride, self.axis.dilation)

    def _first_tap(self, phase: Any) -> Any:
        """The first tap of a result phase: d*t = phase + lo modulo the stride."""
        a, common = self.axis, self._gcd
        period = a.stride // common
        inverse = pow(a.dilation // common, -1, period) if period > 1 else 0
        return (phase + a.lo % a.stride) // common * inverse % period

    def count(self, phase: Any) -> Any:
        """Steps of a result phase."""
        a = self.axis
        if self.side != "dgrad":
            return a.kernel
        period = a.stride // self._gcd
        steps = (a.kernel + period - 1 - self._first_tap(phase)) // period
        remainder = (phase + a.lo % a.stride) % self._gcd
        return steps * ((self._gcd - remainder) // self._gcd)  # none but where it divides

    def step(self, phase: Any, number: Any) -> Step:
        """Step ``number`` of a result phase."""
        a = self.axis
        if self.side == "dgrad":
            tap = self._first_tap(phase) + number * (a.stride // self._gcd)
            far = a.dilation * a.kernel  # keeps the dividend above zero
            return Step(tap, _floor_divide(phase + a.lo - a.dilation * tap, a.stride, far), 0)
        place = a.dilation * number - a.lo
        shift = _floor_divide(place, a.stride, abs(a.lo))
        return Step(number, shift, place - shift * a.stride)


def _floor_divide(n: Any, by: int, far: int) -> Any:
    """Floor division of what may be negative, written for hardware whose division truncates."""
    up = -(-far // by) + abs(far)
    return (n + up * by) // by - up


@dataclass(frozen=True)
class TapSchedule:
    """All axes together; flat numbers count the last axis fastest."""

    axes: tuple[AxisSchedule, ...]

    @classmethod
    def of(cls, geometry: Geometry, side: Side) -> TapSchedule:
        """The schedule of one side: dgrad or fprop."""
        return cls(tuple(AxisSchedule(axis, side) for axis in geometry))

    @property
    def phases(self) -> tuple[int, ...]:
        """Phases of the result, per axis."""
        return tuple(a.phases for a in self.axes)

    @property
    def source_phases(self) -> tuple[int, ...]:
        """Phases of the source, per axis."""
        return tuple(a.source_phases for a in self.axes)

    @property
    def positions(self) -> tuple[int, ...]:
        """Positions of the result, per axis."""
        return tuple(a.positions for a in self.axes)

    @property
    def kernel(self) -> tuple[int, ...]:
        """Taps, per axis."""
        return tuple(a.axis.kernel for a in self.axes)

    @property
    def pads(self) -> tuple[int, ...]:
        """Positions laid before the source: none on a GPU, but simulated copies need them."""
        # TMA fills what lies before an array with zeros; its simulation takes no negative index.
        return tuple(a.halo[0] if simulation() else 0 for a in self.axes)

    def counts(self, phase: tuple[Any, ...]) -> tuple[Any, ...]:
        """Steps of a result phase, per axis."""
        return tuple(a.count(p) for a, p in zip(self.axes, phase, strict=True))

    def step(self, phase: tuple[Any, ...], number: tuple[Any, ...]) -> tuple[Any, list[Step]]:
        """The flat number of the tap, and the step of every axis."""
        rows = zip(self.axes, phase, number, strict=True)
        steps = [a.step(p, j) for a, p, j in rows]
        tap: Any = 0
        for a, step in zip(self.axes, steps, strict=True):
            tap = tap * a.axis.kernel + step.tap
        return tap, steps

    def in_source(self, steps: Sequence[Step]) -> list[tuple[Any, Any]]:
        """The shift, in the source as it is laid out, and the phase of every axis."""
        rows = zip(steps, self.pads, strict=True)
        return [(step.shift + pad, step.phase) for step, pad in rows]

    def split(self, source: jax.Array) -> jax.Array:
        """A source in positions and phases."""
        sizes = zip(source.shape[1:-1], self.source_phases, strict=True)
        pairs = [(-(-n // s), s) for n, s in sizes]
        whole = arrays.window(source, (0,) * len(pairs), [n * s for n, s in pairs])
        parts = whole.reshape(source.shape[0], *itertools.chain(*pairs), source.shape[-1])
        margins = ((pair, (0, 0)) for pair in ((pad, 0) for pad in self.pads))
        return arrays.pad_space(parts, list(itertools.chain(*margins)))

    def result_shape(self, batch: int, channels: int) -> tuple[int, ...]:
        """The shape of a result in positions and phases."""
        return batch, *itertools.chain(*zip(self.positions, self.phases, strict=True)), channels

    def join(self, result: jax.Array) -> jax.Array:
        """A result with its phases interleaved; the last position may reach past the end."""
        sizes = [n * s for n, s in zip(self.positions, self.phases, strict=True)]
        return result.reshape(result.shape[0], *sizes, result.shape[-1])
