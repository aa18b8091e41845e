"""The work of one launch in integers: columns of the result, and the shared memory they take."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

from jtconv.algorithms.pallas.tiling import distinct
from jtconv.algorithms.pallas.walk import Walk
from jtconv.problem.geometry import Axis, Geometry
from jtconv.problem.task import Side, Task

LINE_BYTES = 128
MEMORY_BYTES = 200 * 2**10  # of the 227 KiB of shared memory that a block may have
MOST_SUMS = 256  # of a kernel gradient in registers, taps by cells across


class Tile(NamedTuple):
    """Cells across a column, and rows of it at a time."""

    width: int
    rows: int


# The first that fits is taken; `tune` finds the best.  Higher ones read less halo.
TILES = {"16x2": Tile(16, 2), "16x4": Tile(16, 4), "32x2": Tile(32, 2), "8x2": Tile(8, 2)}


@dataclass(frozen=True)
class Columns:
    """The columns of one side; one axis is two, the first of one cell."""

    walk: Walk
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
        walk = Walk.of(Geometry(axes), side)
        return cls(walk, batch, task.x_channels, LINE_BYTES // task.dtype.itemsize, tile)

    @property
    def width(self) -> int:
        """Cells across."""
        return self.tile.width

    @property
    def rows(self) -> int:
        """Rows of cells at a time."""
        return min(self.tile.rows, self.walk.results[0])

    @property
    def source(self) -> tuple[int, ...]:
        """The source of some rows of cells, with its halo: every phase by itself."""
        halo = [a.front + a.behind for a in self.walk.axes]
        phases = math.prod(self.walk.source_phases)
        return phases, self.rows + halo[0], self.width + halo[1], self.line

    @property
    def taps(self) -> tuple[int, ...]:
        """The kernel, repeated along the width, and the bias behind it."""
        count = math.prod(a.axis.kernel for a in self.walk.axes) + 1
        return count, self.width, self.line

    @property
    def result(self) -> tuple[int, ...]:
        """Some rows of cells, every phase by itself."""
        return math.prod(self.walk.phases), self.rows, self.width, self.line

    @property
    def grid(self) -> tuple[int, ...]:
        """Blocks: examples, columns and lines of channels."""
        across = -(-self.walk.results[1] // self.width)
        return self.batch, across, self.channels // self.line

    @property
    def line_count(self) -> int:
        """Lines of shared memory that one block takes; sums of taps are twice as wide as halves."""
        shapes = self.source, self.taps, self.taps, self.result
        return sum(math.prod(shape[:-1]) for shape in shapes)


def tiles(task: Task) -> tuple[str, ...]:
    """The names of tiles that fit; those that a task has too few rows for are the same."""
    fitting: dict[str, tuple[int, int]] = {}
    for name, tile in TILES.items():
        columns = Columns.cut(1, task, tile)
        few = task.side != "wgrad" or math.prod(task.geometry.kernel) * tile.width <= MOST_SUMS
        if few and columns.line_count * LINE_BYTES <= MEMORY_BYTES:
            fitting[name] = tile.width, columns.rows
    return distinct(fitting)
