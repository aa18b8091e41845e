"""One side computed strip by strip along the first spatial axis, to bound what it holds.

A strip of input rows throws its stamps on a strip of the full output, and neighbouring strips
overlap by the effective kernel less the stride.  dgrad adds strips into a canvas, fprop reads
them off one, wgrad adds up one kernel gradient a strip.  Besides memory this saves time:
what a strip holds stays in cache, and is not allocated anew by every call.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import jax
from jax import lax

from jtconv.geometry import Axis, Geometry
from jtconv.methods import moves
from jtconv.methods.task import Task

SideFunction = Callable[[jax.Array, jax.Array, Task], jax.Array]


def count(size: int, most: int, each: int, task: Task) -> int:
    """In how many strips to work: of ``each`` bytes where all at once take more than ``most``."""
    if task.platform != "cpu" or size <= most:
        return 1
    return min(-(-size // each), task.geometry.axes[0].input)


def run(compute: SideFunction, a: jax.Array, b: jax.Array, task: Task, wanted: int) -> jax.Array:
    """``compute(a, b, task)``, whichever side it is of, in about ``wanted`` strips."""
    if wanted <= 1:
        return compute(a, b, task)
    side = getattr(Strips.of(task, wanted), task.side)
    computed: jax.Array = side(compute, a, b)
    return computed


@dataclass(frozen=True)
class Strips:
    """A task cut into ``count`` equal strips, each the task ``each``."""

    task: Task
    each: Task
    count: int

    @classmethod
    def of(cls, task: Task, wanted: int) -> Strips:
        """About ``wanted`` strips of whole rows, the last one perhaps filled up with zeros."""
        first, *others = task.geometry.axes
        rows = -(-first.input // max(wanted, 1))
        strip = Axis.cropped(rows, first.kernel, first.stride, first.dilation)
        each = replace(task, geometry=Geometry((strip, *others), task.groups))
        return cls(task, each, -(-first.input // rows))

    @property
    def rows(self) -> int:
        """Input rows of a strip."""
        return self.each.geometry.axes[0].input

    def _starts(self, number: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Where a strip starts in x and on the canvas."""
        return number * self.rows, number * self.rows * self.task.geometry.axes[0].stride

    def _canvas_shape(self) -> tuple[int, ...]:
        first = self.each.geometry.axes[0]
        length = (self.count - 1) * self.rows * first.stride + first.full
        return length, *self.task.geometry.output[1:]

    def _offsets(self) -> list[int]:
        return [self.task.geometry.axes[0].lo] + [0] * (len(self.task.geometry) - 1)

    def _x_of(self, x: jax.Array, number: jax.Array) -> jax.Array:
        return lax.dynamic_slice_in_dim(x, self._starts(number)[0], self.rows, 1)

    def _y_of(self, canvas: jax.Array, number: jax.Array) -> jax.Array:
        length = self.each.geometry.axes[0].output
        return lax.dynamic_slice_in_dim(canvas, self._starts(number)[1], length, 1)

    def _whole(self, x: jax.Array) -> jax.Array:
        """``x`` with zero rows up to a whole number of strips."""
        missing = self.count * self.rows - self.task.geometry.axes[0].input
        rank = len(self.task.geometry)
        return moves.pad_space(x, [(0, missing)] + [(0, 0)] * (rank - 1))

    def _canvas(self, y: jax.Array) -> jax.Array:
        """``y`` laid where all strips can read it."""
        return moves.window(y, [-lo for lo in self._offsets()], self._canvas_shape())

    def dgrad(self, compute: SideFunction, x: jax.Array, w: jax.Array) -> jax.Array:
        """x, w -> y."""
        x, task = self._whole(x), self.task

        def add(number: jax.Array, canvas: jax.Array) -> jax.Array:
            y = self._y_of(canvas, number) + compute(self._x_of(x, number), w, self.each)
            return lax.dynamic_update_slice_in_dim(canvas, y, self._starts(number)[1], 1)

        shape = (x.shape[0], *self._canvas_shape(), task.out_channels)
        canvas = lax.fori_loop(0, self.count, add, moves.zeros(shape, x, task.accumulator))
        return moves.window(canvas, self._offsets(), task.geometry.output)

    def fprop(self, compute: SideFunction, y: jax.Array, w: jax.Array) -> jax.Array:
        """y, w -> x."""
        canvas, task = self._canvas(y), self.task

        def put(number: jax.Array, x: jax.Array) -> jax.Array:
            rows = compute(self._y_of(canvas, number), w, self.each)
            return lax.dynamic_update_slice_in_dim(x, rows, self._starts(number)[0], 1)

        space = (self.count * self.rows, *task.geometry.input[1:])
        blank = moves.zeros((y.shape[0], *space, task.channels), y, task.accumulator)
        x = lax.fori_loop(0, self.count, put, blank)
        return x[:, : task.geometry.axes[0].input]

    def wgrad(self, compute: SideFunction, x: jax.Array, y: jax.Array) -> jax.Array:
        """x, y -> w."""
        x, canvas, task = self._whole(x), self._canvas(y), self.task

        def add(number: jax.Array, w: jax.Array) -> jax.Array:
            return w + compute(self._x_of(x, number), self._y_of(canvas, number), self.each)

        shape = (*task.geometry.kernel, task.depth, task.out_channels)
        return lax.fori_loop(0, self.count, add, moves.zeros(shape, x, task.accumulator))
