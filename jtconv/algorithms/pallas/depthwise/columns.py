"""The work of one launch in integers: columns of the result, and the shared memory they take."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

from jtconv.algorithms.pallas.schedule import TapSchedule
from jtconv.algorithms.pallas.tiling import distinct
from jtconv.problem.geometry import Axis, Geometry
from jtconv.problem.task import Side, Task

LINE_BYTES = 128
MEMORY_BYTES = 200 * 2**10  # of the 227 KiB of shared memory that a block may have
MOST_SUMS = 256  # of a kernel gradient in registers, taps by positions across
BLOCKS = 264  # enough to fill an H100 twice: as many parts as that takes share the examples


class Tile(NamedTuple):
    """Positions across a column, and rows of it at a time."""

    width: int
    rows: int


# The first that fits is taken; `tune` finds the best.  Higher ones read less halo.
TILES = {"16x2": Tile(16, 2), "16x4": Tile(16, 4), "32x2": Tile(32, 2), "8x2": Tile(8, 2)}


@dataclass(frozen=True)
class Columns:
    """The columns of one side; one axis is two, the first of one position."""

    schedule: TapSchedule
    batch: int
    channels: int
    line: int  # channels of one block
    tile: Tile

    @classmethod
    def of(cls, batch: int, task: Task) -> Columns:
        """The columns of one task, in the tile it names or the first that fits."""
        return cls.cut(batch, task, TILES[task.tile or tiles(task)[0]])

    @classmethod
    def cut(cls, batch: int, task: Task, tile: Tile) -> Columns:
        """The columns of a tile; a kernel gradient goes down those of x, as fprop does."""
        axes = task.geometry.axes
        axes = axes if len(axes) == 2 else (Axis(1, 1, 1), *axes)
        side: Side = "dgrad" if task.side == "dgrad" else "fprop"
        schedule = TapSchedule.of(Geometry(axes), side)
        return cls(schedule, batch, task.x_channels, LINE_BYTES // task.dtype.itemsize, tile)

    @property
    def rows(self) -> int:
        """Rows of positions at a time."""
        return min(self.tile.rows, self.schedule.positions[0])

    @property
    def row_tiles(self) -> int:
        """Tiles of so many rows down a column."""
        return -(-self.schedule.positions[0] // self.rows)

    @property
    def source(self) -> tuple[int, ...]:
        """The source of some rows of positions, with its halo: every phase by itself."""
        halo = [sum(a.halo) for a in self.schedule.axes]
        phases = math.prod(self.schedule.source_phases)
        return phases, self.rows + halo[0], self.tile.width + halo[1], self.line

    @property
    def taps(self) -> tuple[int, ...]:
        """The kernel, repeated along the width, and the bias behind it."""
        return math.prod(self.schedule.kernel) + 1, self.tile.width, self.line

    @property
    def result(self) -> tuple[int, ...]:
        """Some rows of positions, every phase by itself."""
        return math.prod(self.schedule.phases), self.rows, self.tile.width, self.line

    @property
    def grid(self) -> tuple[int, ...]:
        """Blocks: examples, columns and lines of channels."""
        across = -(-self.schedule.positions[1] // self.tile.width)
        return self.batch, across, self.channels // self.line

    @property
    def line_count(self) -> int:
        """Lines of shared memory that one block takes; sums of taps are twice as wide as halves."""
        shapes = self.source, self.taps, self.taps, self.result
        return sum(math.prod(shape[:-1]) for shape in shapes)

    @property
    def shares(self) -> tuple[int, int, int]:
        """Blocks of a kernel gradient: parts of the batch, columns and lines of channels."""
        batch, across, lines = self.grid
        parts = [n for n in range(1, batch + 1) if batch % n == 0]
        enough = [n for n in parts if n * across * lines >= BLOCKS]
        return (enough or [batch])[0], across, lines

    def source_index(self, phase: tuple[int, ...], number: tuple[int, ...], row: int) -> Any:
        """What one step multiplies with a row of a phase: phase, row and positions of source."""
        _, steps = self.schedule.step(phase, number)
        down, across = steps
        slot = down.phase * self.schedule.source_phases[1] + across.phase
        top, left = (s.shift + a.halo[0] for s, a in zip(steps, self.schedule.axes, strict=True))
        return slot, row + top, slice(left, left + self.tile.width)


def tiles(task: Task) -> tuple[str, ...]:
    """The names of tiles that fit; those that a task has too few rows for are the same."""
    fitting: dict[str, tuple[int, int]] = {}
    for name, tile in TILES.items():
        columns = Columns.cut(1, task, tile)
        few = task.side != "wgrad" or math.prod(task.geometry.kernel) * tile.width <= MOST_SUMS
        if few and columns.line_count * LINE_BYTES <= MEMORY_BYTES:
            fitting[name] = tile.width, columns.rows
    return distinct(fitting)
