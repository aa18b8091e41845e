"""Row tiling: one side computed a tile of rows at a time, to bound what it holds.

A tile of rows of x meets a tile of rows of the full output, and neighbouring tiles of that overlap
by the effective kernel less the stride.  dgrad adds tiles into the full output, fprop reads them
off it, wgrad adds up one kernel gradient a tile.  Besides memory this saves time: what a tile holds
stays in cache, and is not allocated anew by every call.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import jax
from jax import lax

from jtconv.algorithms.common import arrays
from jtconv.problem.geometry import Axis, Geometry
from jtconv.problem.task import Task

SideFunction = Callable[[jax.Array, jax.Array, Task], jax.Array]


def count(size: int, most: int, each: int, task: Task) -> int:
    """How many tiles: of ``each`` bytes where all at once take more than ``most``."""
    if task.platform != "cpu" or size <= most:
        return 1
    return min(-(-size // each), task.geometry.axes[0].x_size)


def spreads(task: Task, wanted: int) -> str:
    """What may meet a zero where `im2col` computes the tiles: see `Algorithm.spreads`."""
    missed = task.geometry.has_misses
    filled = wanted > 1 and RowTiles.of(task, wanted).missing > 0
    match task.side:
        case "dgrad":
            return "w" if filled else ""
        case "fprop":
            return "w" if missed or filled else ""
        case "wgrad":
            return "x" * missed + "y" * filled


def run(compute: SideFunction, a: jax.Array, b: jax.Array, task: Task, wanted: int) -> jax.Array:
    """``compute(a, b, task)``, whichever side it is of, in about ``wanted`` tiles."""
    if wanted <= 1:
        return compute(a, b, task)
    side = getattr(RowTiles.of(task, wanted), task.side)
    computed: jax.Array = side(compute, a, b)
    return computed


@dataclass(frozen=True)
class RowTiles:
    """A task cut into ``count`` equal tiles along the first axis, each the task ``each``."""

    task: Task
    each: Task
    count: int

    @classmethod
    def of(cls, task: Task, wanted: int) -> RowTiles:
        """About ``wanted`` tiles of whole rows, the last one perhaps filled up with zeros."""
        first, *others = task.geometry.axes
        rows = -(-first.x_size // max(wanted, 1))
        tile = Axis.cropped(rows, first.kernel, first.stride, first.dilation)
        each = replace(task, geometry=Geometry((tile, *others), task.groups))
        return cls(task, each, -(-first.x_size // rows))

    @property
    def rows(self) -> int:
        """Rows of x in a tile."""
        return self.each.geometry.axes[0].x_size

    @property
    def missing(self) -> int:
        """Rows of zeros that the last tile is filled up with."""
        return self.count * self.rows - self.task.geometry.axes[0].x_size

    def _starts(self, number: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Where a tile starts in x and in the full output."""
        return number * self.rows, number * self.rows * self.task.geometry.axes[0].stride

    def _full_size(self) -> tuple[int, ...]:
        first = self.each.geometry.axes[0]
        length = (self.count - 1) * self.rows * first.stride + first.full
        return length, *self.task.geometry.y_size[1:]

    def _crops(self) -> list[int]:
        return [self.task.geometry.axes[0].lo] + [0] * (len(self.task.geometry) - 1)

    def _x_tile(self, x: jax.Array, number: jax.Array) -> jax.Array:
        return lax.dynamic_slice_in_dim(x, self._starts(number)[0], self.rows, 1)

    def _y_tile(self, full: jax.Array, number: jax.Array) -> jax.Array:
        length = self.each.geometry.axes[0].y_size
        return lax.dynamic_slice_in_dim(full, self._starts(number)[1], length, 1)

    def _padded(self, x: jax.Array) -> jax.Array:
        """``x`` with rows of zeros up to a whole number of tiles."""
        rank = len(self.task.geometry)
        return arrays.pad_space(x, [(0, self.missing)] + [(0, 0)] * (rank - 1))

    def _uncropped(self, y: jax.Array) -> jax.Array:
        """``y`` as a full output that holds all tiles."""
        return arrays.window(y, [-lo for lo in self._crops()], self._full_size())

    def dgrad(self, compute: SideFunction, x: jax.Array, w: jax.Array) -> jax.Array:
        """x, w -> y."""
        x, task = self._padded(x), self.task

        def add(number: jax.Array, full: jax.Array) -> jax.Array:
            y = self._y_tile(full, number) + compute(self._x_tile(x, number), w, self.each)
            return lax.dynamic_update_slice_in_dim(full, y, self._starts(number)[1], 1)

        shape = (x.shape[0], *self._full_size(), task.y_channels)
        full = lax.fori_loop(0, self.count, add, arrays.zeros(shape, x, task.accumulator))
        return arrays.window(full, self._crops(), task.geometry.y_size)

    def fprop(self, compute: SideFunction, y: jax.Array, w: jax.Array) -> jax.Array:
        """y, w -> x."""
        full, task = self._uncropped(y), self.task

        def put(number: jax.Array, x: jax.Array) -> jax.Array:
            rows = compute(self._y_tile(full, number), w, self.each)
            return lax.dynamic_update_slice_in_dim(x, rows, self._starts(number)[0], 1)

        space = (self.count * self.rows, *task.geometry.x_size[1:])
        blank = arrays.zeros((y.shape[0], *space, task.x_channels), y, task.accumulator)
        x: jax.Array = lax.fori_loop(0, self.count, put, blank)
        return x[:, : task.geometry.axes[0].x_size]

    def wgrad(self, compute: SideFunction, x: jax.Array, y: jax.Array) -> jax.Array:
        """x, y -> w."""
        x, full, task = self._padded(x), self._uncropped(y), self.task

        def add(number: jax.Array, w: jax.Array) -> jax.Array:
            return w + compute(self._x_tile(x, number), self._y_tile(full, number), self.each)

        shape = (*task.geometry.kernel, task.x_channels_per_group, task.y_channels)
        zeros = arrays.zeros(shape, x, task.accumulator)
        w: jax.Array = lax.fori_loop(0, self.count, add, zeros)
        return w
