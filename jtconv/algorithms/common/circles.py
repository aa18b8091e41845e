"""Circles: the lengths at which the axes of a problem are transformed by ``fft``.

Cut into blocks of one stride each, an axis has ``x_size`` positions of x, and a kernel of some
``kernel_blocks``; the full output has ``x_size + kernel_blocks - 1`` blocks.  A circular
convolution gives them all where the circle is as long.  Blocks that are cropped may overlap on it,
so it may be shorter by as many as are cropped at one end.

A long signal is cut into tiles of x instead, whose circles are a tile and a kernel long:
overlap-add where y is written and overlap-save where it is read (Oppenheim and Schafer,
"Discrete-Time Signal Processing", section 8.7.3).  The tiles are so many more examples.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

from jtconv.problem.geometry import Axis
from jtconv.problem.task import Task

# Tiles are tried whose circles are so many times as long as the kernel.
TIMES_THE_KERNEL = (2, 3, 4, 6, 8, 12, 16)
LEAST_LENGTH = 32

# Copies of a number of y that tiles overlapping cost, in multiply-adds.
COPIES = 8


@dataclass(frozen=True)
class Circle:
    """One axis: ``tiles`` tiles of ``tile`` positions of x each, on circles of ``length``."""

    tiles: int
    tile: int
    length: int

    @property
    def blocks(self) -> int:
        """Blocks of y that are held: those of one circle, or those that the tiles reach."""
        return self.length if self.tiles == 1 else (self.tiles + 1) * self.tile


Circles = tuple[Circle, ...]


def kernel_blocks(axis: Axis) -> int:
    """Blocks of one stride that the dilated kernel spans."""
    return -(-axis.effective_kernel // axis.stride)


def reached(axis: Axis) -> tuple[int, int]:
    """Where in the full output the cells of y begin and end that any product is added to."""
    start = min(max(axis.lo, 0), axis.full)
    return start, min(max(axis.lo + axis.y_size, start), axis.full)


@functools.lru_cache(maxsize=1024)
def of(task: Task) -> Circles:
    """The circles of all axes that need the least arithmetic."""
    return min(
        itertools.product(*map(_candidates, task.geometry)),
        key=lambda circles: multiply_adds(task, circles),
    )


def _candidates(axis: Axis) -> Iterator[Circle]:
    """One circle for the whole axis, and tiles of several lengths."""
    kernel, (start, stop) = kernel_blocks(axis), reached(axis)
    full = axis.x_size + kernel - 1
    cropped = max(full - start // axis.stride, -(-stop // axis.stride))
    whole = Circle(1, axis.x_size, fast_length(max(cropped, axis.x_size, kernel)))
    yield whole
    for times in TIMES_THE_KERNEL:
        count = -(-axis.x_size // (max(times * kernel, LEAST_LENGTH) - kernel + 1))
        length = fast_length(max(-(-axis.x_size // count), kernel) + kernel - 1)
        if count > 1 and length < whole.length:
            yield Circle(count, length - kernel + 1, length)


def fast_length(least: int) -> int:
    """The first length from ``least`` on without a prime factor above 7."""
    return next(n for n in itertools.count(max(least, 1)) if _is_smooth(n))


def _is_smooth(n: int) -> bool:
    for prime in (2, 3, 5, 7):
        while n % prime == 0:
            n //= prime
    return n == 1


def transforms(task: Task, circles: Circles) -> tuple[int, int, int]:
    """How many transforms x, w and y have."""
    phases, examples = math.prod(task.geometry.stride), task.batch * tiles(circles)
    w = task.x_channels_per_group * task.y_channels * phases
    return examples * task.x_channels, w, examples * task.y_channels * phases


def tiles(circles: Circles) -> int:
    """Tiles of an example, along all axes."""
    return math.prod(c.tiles for c in circles)


def points(circles: Circles) -> int:
    """Numbers that one transform takes."""
    return math.prod(c.length for c in circles)


def frequencies(task: Task, circles: Circles) -> int:
    """Complex numbers that it gives: half as many, and one, along the last axis of a real one."""
    if task.accumulator.kind == "c":
        return points(circles)
    *others, last = (c.length for c in circles)
    return math.prod(others) * (last // 2 + 1)


def multiply_adds(task: Task, circles: Circles) -> int:
    """Those of all transforms, and four for each complex product, where operands are real.

    ``2.5 n log2(n)`` additions and multiplications are what a real transform of n numbers takes,
    half of a complex one (Frigo and Johnson, "The design and implementation of FFTW3").
    Where operands are complex so are the multiply-adds counted here, and a fourth as many.
    """
    n, count = points(circles), transforms(task, circles)
    real = task.accumulator.kind != "c"
    of_transform = (1.25 if real else 0.625) * n * math.log2(max(n, 2))
    products = task.batch * tiles(circles) * task.x_channels_per_group * task.y_channels
    products *= math.prod(task.geometry.stride) * frequencies(task, circles)
    copies = COPIES * count[2] * n if tiles(circles) > 1 else 0
    return round(sum(count) * of_transform + (4 if real else 1) * products + copies)
