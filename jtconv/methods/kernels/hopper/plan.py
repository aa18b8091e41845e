"""The work of one launch in integers: tiles, and what every step of one fetches.

They are Python's own, or traced ones: a block knows which tile it is at only while it runs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

from jtconv.geometry import Axis, Geometry
from jtconv.methods.kernels.phased import fronts
from jtconv.methods.kernels.tiling import box, unravel
from jtconv.methods.kernels.walk import Walk
from jtconv.methods.task import Task

PROCESSORS = 132  # of an H100 or H200; where one is at hand it is asked
MULTIPLIERS = 2  # warpgroups that multiply
LINES = (128, 64, 32)  # bytes that memory can be swizzled by: one row of a tile
COLUMNS = 128


class Tiles(NamedTuple):
    """A product's rows for each warpgroup, and steps fetched ahead."""

    rows: int
    stages: int


# Tall tiles reuse the kernel's more, where there are enough of them to go round.
TALL, SHORT = Tiles(128, 3), Tiles(64, 4)


class Place(NamedTuple):
    """One tile of the work: phase, first column, boxes and steps."""

    phase: tuple[Any, ...]
    column: Any
    pair: Any
    counts: tuple[Any, ...]
    steps: Any


class Reads(NamedTuple):
    """What one step multiplies: a tile of the kernel, and a box of the source."""

    kernel: tuple[Any, Any]  # row and column
    channel: Any
    shifts: list[tuple[Any, Any]]  # cells and phase, per axis


def merges(g: Geometry) -> bool:
    """Whether all phases of the last axis come from one input cell: then they are channels."""
    a = g.axes[-1]
    return g.groups == 1 and a.kernel == a.stride > 1 and a.dilation == 1 and a.lo == 0


def as_multiplied(g: Geometry) -> Geometry:
    """The geometry once phases that are channels are gone."""
    if not merges(g):
        return g
    *others, last = g.axes
    return Geometry((*others, Axis(last.input, 1, -(-last.output // last.stride))))


def channels(task: Task) -> tuple[int, int]:
    """Channels of a group that are contracted, and that result, phases merged in."""
    width = task.width * (task.geometry.stride[-1] if merges(task.geometry) else 1)
    return (task.depth, width) if task.side == "dgrad" else (width, task.depth)


@dataclass(frozen=True)
class Plan:
    """The tiles of one side of one task."""

    walk: Walk
    batch: int
    groups: int
    depth: int  # channels of a group that are contracted
    width: int  # and that result
    chunk: int  # channels of one step
    columns: int
    box: tuple[int, ...]  # result cells of one warpgroup, batch first
    stages: int

    @classmethod
    def of(cls, batch: int, task: Task) -> Plan:
        """The plan of one side."""
        walk = Walk.of(as_multiplied(task.geometry), task.side)
        depth, width = channels(task)
        lines = (line // task.dtype.itemsize for line in LINES)
        chunk = next(line for line in lines if depth % line == width % line == 0)
        columns = max(n for n in range(chunk, COLUMNS + 1, chunk) if width % n == 0)
        sizes = (batch, *walk.results)
        rows = math.prod(sizes) * math.prod(walk.phases) * task.groups * width // columns
        tiles = TALL if rows >= 2 * MULTIPLIERS * PROCESSORS * TALL.rows else SHORT
        cells = box(sizes, tiles.rows)
        return cls(walk, batch, task.groups, depth, width, chunk, columns, cells, tiles.stages)

    @property
    def boxes(self) -> tuple[int, ...]:
        """Boxes per axis, batch first."""
        sizes = (self.batch, *self.walk.results)
        return tuple(-(-n // b) for n, b in zip(sizes, self.box, strict=True))

    @property
    def grid(self) -> tuple[int, ...]:
        """Tiles: boxes by the pair, phases, columns; neighbours in time share their source."""
        pairs = -(-math.prod(self.boxes) // MULTIPLIERS)
        return (pairs, *self.walk.phases, self.groups * self.width // self.columns)

    def place(self, tile: Any) -> Place:
        """Where tile ``tile`` lies."""
        pair, *phase, column = unravel(tile, self.grid)
        counts = (*self.walk.counts(tuple(phase)), self.depth // self.chunk)
        return Place(tuple(phase), column * self.columns, pair, counts, math.prod(counts))

    def corner(self, place: Place, multiplier: Any) -> tuple[Any, ...]:
        """The first result cell of a warpgroup's box; past the batch where no box is left."""
        sizes = self.boxes
        number = place.pair * MULTIPLIERS + multiplier
        rest = math.prod(sizes[1:])
        index = (number // rest, *unravel(number % rest, sizes[1:]))
        return tuple(i * b for i, b in zip(index, self.box, strict=True))

    def reads(self, place: Place, number: Any) -> Reads:
        """What step ``number`` of a tile multiplies."""
        *numbers, chunk = unravel(number, place.counts)
        tap, steps = self.walk.step(place.phase, tuple(numbers))
        first = chunk * self.chunk
        group = place.column // self.width
        row = tap * (self.groups * self.width) + place.column
        laid = zip(steps, fronts(self.walk), strict=True)
        shifts = [(step.shift + front, step.phase) for step, front in laid]
        return Reads((row, first), group * self.depth + first, shifts)
