"""The work of a kernel gradient in integers: which product a block is at, and what it sums."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

from jtconv.algorithms.pallas.hopper.channels import as_multiplied, channels
from jtconv.algorithms.pallas.hopper.tile import MULTIPLIERS, PROCESSORS, SHORT, TALL, TILES, Tile
from jtconv.algorithms.pallas.phased import fronts
from jtconv.algorithms.pallas.tiling import Boxes, distinct, unravel
from jtconv.algorithms.pallas.walk import Walk
from jtconv.problem.task import Task

CELLS = 64  # of x in one step
LINE = 64  # channels of one row of memory, halves all
LEAST_STEPS = 8  # of a part: with fewer, adding parts up would cost more than it gains


class Place(NamedTuple):
    """One tile of the work: which part of the sum, which channels and taps, and which boxes."""

    part: Any
    group: Any
    pair: Any
    column: Any
    first: Any
    steps: Any


def cut(task: Task) -> dict[str, Tile]:
    """Every tile, no larger than whole lines of the channels of y and x."""
    most = [-(-size // LINE) * LINE for size in channels(task)]
    return {
        name: tile._replace(rows=min(tile.rows, most[0]), columns=min(tile.columns, most[1]))
        for name, tile in TILES.items()
    }


def tiles(task: Task) -> tuple[str, ...]:
    """The names of tiles to try: tall ones where y has channels for them."""
    first, found = TALL if channels(task)[0] > LINE else SHORT, cut(task)
    return distinct({first: found[first], **found})


@dataclass(frozen=True)
class Plan:
    """The tiles of one kernel gradient."""

    walk: Walk  # from cells of x to what lies under them in y
    groups: int
    width: int  # channels of y in a group: rows of the product
    depth: int  # and of x: columns
    tile: Tile
    boxes: Boxes  # of cells of x

    @classmethod
    def of(cls, batch: int, task: Task) -> Plan:
        """The plan of one task, whose batch may come more than once."""
        walk = Walk.of(as_multiplied(task.geometry), "fprop")
        tile = cut(task)[task.tile or tiles(task)[0]]
        boxes = Boxes.of((batch, *walk.results), CELLS)
        return cls(walk, task.groups, *channels(task), tile, boxes)

    @property
    def stages(self) -> int:
        """Steps fetched ahead."""
        return self.tile.stages

    @property
    def taps(self) -> tuple[int, ...]:
        """Kernel cells, per axis."""
        return tuple(a.axis.kernel for a in self.walk.axes)

    @property
    def row_tiles(self) -> int:
        """Tiles of rows of a group: channels of y, tap by tap, and one more if these are odd."""
        tiles = math.prod(self.taps) * -(-self.width // self.tile.rows)
        return -(-tiles // MULTIPLIERS) * MULTIPLIERS

    @property
    def products(self) -> tuple[int, ...]:
        """Tiles of the result: groups, rows by the pair, columns."""
        return self.groups, self.row_tiles // MULTIPLIERS, -(-self.depth // self.tile.columns)

    @property
    def parts(self) -> int:
        """Parts of the sum: as many as keep all multiprocessors at work."""
        idle, steps = PROCESSORS // math.prod(self.products), math.prod(self.boxes.counts)
        return max(1, min(idle, steps // LEAST_STEPS))

    @property
    def grid(self) -> tuple[int, ...]:
        """Tiles: parts first, so that neighbours in time share what they read."""
        return (self.parts, *self.products)

    @property
    def result(self) -> tuple[int, int]:
        """The shape of all parts one below the other."""
        groups, _, columns = self.products
        rows = self.parts * groups * self.row_tiles * self.tile.rows
        return rows, columns * self.tile.columns

    def place(self, tile: Any) -> Place:
        """Where tile ``tile`` lies."""
        part, group, pair, column = unravel(tile, self.grid)
        boxes = math.prod(self.boxes.counts)
        first = part * boxes // self.parts
        return Place(part, group, pair, column, first, (part + 1) * boxes // self.parts - first)

    def row(self, place: Place, multiplier: Any) -> Any:
        """Where a warpgroup's rows begin in the result."""
        pairs = (place.part * self.groups + place.group) * (self.row_tiles // MULTIPLIERS)
        return ((pairs + place.pair) * MULTIPLIERS + multiplier) * self.tile.rows

    def under(self, place: Place, multiplier: Any) -> tuple[Any, list[tuple[Any, Any]]]:
        """What a warpgroup takes from y: its first channel, and the shift of every axis."""
        across = -(-self.width // self.tile.rows)
        number = place.pair * MULTIPLIERS + multiplier
        tap, rows = number // across, number % across
        _, *rest = self.taps
        numbers = (tap // math.prod(rest), *unravel(tap % math.prod(rest), tuple(rest)))
        _, steps = self.walk.step((0,) * len(self.taps), numbers)
        laid = zip(steps, fronts(self.walk), strict=True)
        shifts = [(step.shift + front, step.phase) for step, front in laid]
        return place.group * self.width + rows * self.tile.rows, shifts
