"""The work of one launch in integers: columns of the result, and the shared memory they take."""

from __future__ import annotations

import math
from dataclasses import dataclass

from jtconv.geometry import Axis, Geometry
from jtconv.methods.kernels.walk import Walk
from jtconv.methods.task import Side, Task

LINE_BYTES = 128
WIDTH, ROWS = 16, 2  # cells of a column, and rows of it at a time


@dataclass(frozen=True)
class Columns:
    """The columns of one side; one axis is two, the first of one cell."""

    walk: Walk
    batch: int
    channels: int
    line: int  # channels of one block

    @classmethod
    def of(cls, batch: int, task: Task) -> Columns:
        """The columns of one task; a kernel gradient goes down those of x, as fprop does."""
        axes = task.geometry.axes
        axes = axes if len(axes) == 2 else (Axis(1, 1, 1), *axes)
        side: Side = "dgrad" if task.side == "dgrad" else "fprop"
        walk = Walk.of(Geometry(axes), side)
        return cls(walk, batch, task.channels, LINE_BYTES // task.dtype.itemsize)

    @property
    def rows(self) -> int:
        """Rows of cells at a time."""
        return min(ROWS, self.walk.results[0])

    @property
    def source(self) -> tuple[int, ...]:
        """The source of some rows of cells, with its halo: every phase by itself."""
        halo = [a.front + a.behind for a in self.walk.axes]
        phases = math.prod(self.walk.source_phases)
        return phases, self.rows + halo[0], WIDTH + halo[1], self.line

    @property
    def taps(self) -> tuple[int, ...]:
        """The kernel, repeated along the width, and the bias behind it."""
        return math.prod(a.axis.kernel for a in self.walk.axes) + 1, WIDTH, self.line

    @property
    def result(self) -> tuple[int, ...]:
        """Some rows of cells, every phase by itself."""
        return math.prod(self.walk.phases), self.rows, WIDTH, self.line

    @property
    def grid(self) -> tuple[int, ...]:
        """Blocks: examples, columns and lines of channels."""
        return self.batch, -(-self.walk.results[1] // WIDTH), self.channels // self.line

    @property
    def line_count(self) -> int:
        """Lines of shared memory that one block takes; sums of taps are twice as wide as halves."""
        shapes = self.source, self.taps, self.taps, self.result
        return sum(math.prod(shape[:-1]) for shape in shapes)
