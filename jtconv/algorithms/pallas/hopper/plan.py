"""The work of one launch in integers: tiles, and what every step of one fetches.

They are Python's own, or traced ones: a block knows which tile it is at only while it runs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

from jtconv.algorithms.pallas.hopper.channels import as_multiplied, channels, line
from jtconv.algorithms.pallas.hopper.tile import MULTIPLIERS, PROCESSORS, SHORT, TALL, TILES, Tile
from jtconv.algorithms.pallas.phased import fronts
from jtconv.algorithms.pallas.tiling import Boxes, distinct, unravel
from jtconv.algorithms.pallas.walk import Walk
from jtconv.problem.task import Task


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


def cut(task: Task) -> dict[str, Tile]:
    """Every tile, no wider than the task, whose columns it divides."""
    step, width = line(task), channels(task)[1]

    def columns(most: int) -> int:
        return max(n for n in range(step, most + 1, step) if width % n == 0)

    return {name: tile._replace(columns=columns(tile.columns)) for name, tile in TILES.items()}


def tiles(task: Task) -> tuple[str, ...]:
    """The names of tiles to try: tall ones reuse the kernel more, if enough to go round."""
    walk, found = Walk.of(as_multiplied(task.geometry), task.side), cut(task)
    cells = task.batch * math.prod(walk.results) * math.prod(walk.phases)
    rows = cells * task.groups * channels(task)[1] // found[TALL].columns
    enough = 2 * MULTIPLIERS * PROCESSORS * TILES[TALL].rows
    first = TALL if rows >= enough else SHORT
    return distinct({first: found[first], **found})


@dataclass(frozen=True)
class Plan:
    """The tiles of one side of one task."""

    walk: Walk
    groups: int
    depth: int  # channels of a group that are contracted
    width: int  # and that result
    chunk: int  # channels of one step
    columns: int
    boxes: Boxes  # of result cells, one for a warpgroup
    stages: int

    @classmethod
    def of(cls, batch: int, task: Task) -> Plan:
        """The plan of one side."""
        walk = Walk.of(as_multiplied(task.geometry), task.side)
        tile = cut(task)[task.tile or tiles(task)[0]]
        boxes = Boxes.of((batch, *walk.results), tile.rows)
        sizes = task.groups, *channels(task), line(task), tile.columns
        return cls(walk, *sizes, boxes, tile.stages)

    @property
    def grid(self) -> tuple[int, ...]:
        """Tiles: boxes by the pair, phases, columns; neighbours in time share their source."""
        pairs = -(-math.prod(self.boxes.counts) // MULTIPLIERS)
        return (pairs, *self.walk.phases, self.groups * self.width // self.columns)

    def place(self, tile: Any) -> Place:
        """Where tile ``tile`` lies."""
        pair, *phase, column = unravel(tile, self.grid)
        counts = (*self.walk.counts(tuple(phase)), self.depth // self.chunk)
        return Place(tuple(phase), column * self.columns, pair, counts, math.prod(counts))

    def corner(self, place: Place, multiplier: Any) -> tuple[Any, ...]:
        """The first result cell of a warpgroup's box; past the batch where no box is left."""
        return self.boxes.corner(place.pair * MULTIPLIERS + multiplier)

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
