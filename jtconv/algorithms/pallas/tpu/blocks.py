"""Blocks of the TPU kernels in VMEM: how a task is cut up, and which block a program has.

A program of the grid holds some rows of the first axis, and of what it reads the halo too.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl

from jtconv.algorithms.pallas.interpret import simulation
from jtconv.algorithms.pallas.tiling import distinct
from jtconv.algorithms.pallas.tpu import layout
from jtconv.problem.task import Task

# Of the 16 MiB of VMEM that a v5e gives one kernel by default, with room for what Mosaic adds.
VMEM_BYTES = 12 * 2**20
# Rows of a product: the first are enough to keep the matrix unit streaming; `tune` finds the best.
TILES = {"512 rows": 512, "1024 rows": 1024, "256 rows": 256, "128 rows": 128}
DEFAULT_TILE = "512 rows"
CHUNKS = (1024, 512, 256, 128)
MOST_PRODUCTS = 64  # unrolled into one program


@dataclass(frozen=True)
class Blocks:
    """How one task is cut up."""

    counts: tuple[int, ...]  # positions computed per axis, padded
    rows: int  # of the first axis in one block
    window: int  # rows of the source that a block reads
    chunk: int  # channels of x in one step

    @property
    def steps(self) -> int:
        """Blocks along the first axis."""
        return self.counts[0] // self.rows

    @property
    def padded(self) -> tuple[int, ...]:
        """Positions to lay out before the kernel runs: the last window is read whole."""
        return self.counts[0] + self.window, *self.counts[1:]

    @property
    def positions(self) -> int:
        """Positions of a block: the rows of its products."""
        return self.rows * math.prod(self.counts[1:])


def refuse(task: Task) -> str | None:
    """Why not."""
    g = task.geometry
    if simulation() is None and task.dtype.name not in ("bfloat16", "float32"):
        return f"TPUs multiply bfloat16 and float32, and this is {task.dtype}"
    if not jnp.issubdtype(task.dtype, jnp.floating):
        return f"the kernel is written for floats, and this is {task.dtype}"
    products = len(layout.shifts(g)) * len(layout.leading_phases(g))
    if products > MOST_PRODUCTS:
        return f"it would unroll {products} products, more than {MOST_PRODUCTS}"
    if largest_blocks(task) is None:
        return f"one row of it does not fit {VMEM_BYTES // 2**20} MiB of VMEM"
    return None


def tiles(task: Task) -> tuple[str, ...]:
    """The names of tiles to try; those that are cut down to the same blocks are one."""
    return distinct({name: largest_blocks(replace(task, tile=name)) for name in TILES})


def largest_blocks(task: Task) -> Blocks | None:
    """The largest blocks that fit, if any do."""
    channels = task.x_channels_per_group
    for chunk in (channels, *(c for c in CHUNKS if c < channels and channels % c == 0)):
        found = _blocks(task, chunk)
        if _bytes(task, found) <= VMEM_BYTES:
            return found
        least = _blocks(task, chunk, rows=1)
        while found.rows > least.rows:
            found = _blocks(task, chunk, rows=found.rows // 2)
            if _bytes(task, found) <= VMEM_BYTES:
                return found
    return None


def checked_blocks(task: Task) -> Blocks:
    """The blocks of a task that was not refused."""
    found = largest_blocks(task)
    if found is None:
        raise ValueError(f"no blocks of {task} fit VMEM: refuse() was not called.")
    return found


def _blocks(task: Task, chunk: int, rows: int | None = None) -> Blocks:
    g, sublanes = task.geometry, max(8, 32 // task.dtype.itemsize)
    counts, most = list(g.x_size), TILES[task.tile or DEFAULT_TILE]
    if task.side == "dgrad":
        counts = [a.count for a in layout.subpixel_axes(g)]
    reach = layout.subpixel_axes(g)[0].reach
    if len(g) == 1:
        rows = _up(min(rows or most, counts[0]), sublanes)
        return Blocks((_up(counts[0], rows),), rows, rows + _up(reach, sublanes), chunk)
    counts[-1] = _up(counts[-1], sublanes)
    rows = min(rows or max(most // math.prod(counts[1:]), 1), counts[0])
    return Blocks((_up(counts[0], rows), *counts[1:]), rows, rows + reach, chunk)


def _up(n: int, multiple: int) -> int:
    return -(-n // multiple) * multiple


def _bytes(task: Task, b: Blocks) -> int:
    """VMEM of one program: every block twice, for the pipeline, and the sums."""
    g, size, wide = task.geometry, task.dtype.itemsize, task.accumulator.itemsize
    _, *others = zip(b.counts, layout.subpixel_axes(g), strict=True)
    lanes, shifts = layout.phase_count(g) * task.y_channels_per_group, len(layout.shifts(g))
    window = b.window * math.prod(n + a.reach for n, a in others) * size
    kernel, x = shifts * b.chunk * lanes, b.positions * b.chunk
    if task.side == "dgrad":
        sums = b.positions * lanes
        return 2 * (window * b.chunk + kernel * size + sums * size) + sums * wide
    if task.side == "fprop":
        return 2 * (window * lanes + kernel * size + x * size) + x * wide
    return 2 * (window * lanes + x * size + kernel * wide)


class Program(NamedTuple):
    """A program's place in the grid."""

    group: Any
    example: Any  # groups are so many more examples
    block: Any  # of rows
    chunk: Any  # of the channels of x


Grid = Callable[..., Program]


def chunks_last(a: jax.Array) -> Grid:
    """Grids of dgrad, which sums over chunks, and of fprop, which keeps its window for all."""
    return lambda group, n, h, c: Program(group, group * a.shape[0] + n, h, c)


def chunks_first(a: jax.Array) -> Grid:
    """Grids of wgrad, which sums over all examples and rows."""
    return lambda group, c, n, h: Program(group, group * a.shape[0] + n, h, c)


def window_spec(a: jax.Array, b: Blocks, grid: Grid, channels: int) -> pl.BlockSpec:
    """Rows with their halo: windows of neighbouring blocks overlap, so indexed in elements."""
    shape, rest = (1, b.window, *a.shape[2:-1], channels), (0,) * (a.ndim - 3)
    elements, chunked = tuple(map(pl.Element, shape)), channels < a.shape[-1]

    def index(p: Program) -> tuple[Any, ...]:
        return (p.example, p.block * b.rows, *rest, p.chunk * channels if chunked else 0)

    return _spec(elements, grid, index)


def rows_spec(a: Any, b: Blocks, grid: Grid, channels: int) -> pl.BlockSpec:
    """Rows that no other block has."""
    shape, rest = (1, b.rows, *a.shape[2:-1], channels), (0,) * (a.ndim - 3)
    chunked = channels < a.shape[-1]
    return _spec(shape, grid, lambda p: (p.example, p.block, *rest, p.chunk if chunked else 0))


def kernel_spec(w: Any, b: Blocks, grid: Grid, x_axis: int) -> pl.BlockSpec:
    """The whole kernel of one group, but a chunk of its axis ``x_axis``, the channels of x."""
    before, after = w.shape[1:x_axis], w.shape[x_axis + 1 :]
    zeros = (0,) * len(before), (0,) * len(after)
    shape = (1, *before, b.chunk, *after)
    return _spec(shape, grid, lambda p: (p.group, *zeros[0], p.chunk, *zeros[1]))


def bias_spec(lanes: jax.Array, channels: int, grid: Grid) -> pl.BlockSpec:
    """The row that the sums of one group begin as, or a chunk of it."""
    chunked = channels < lanes.shape[-1]
    return _spec((1, 1, channels), grid, lambda p: (p.group, 0, p.chunk if chunked else 0))


def _spec(shape: Any, grid: Grid, index: Callable[[Program], tuple[Any, ...]]) -> pl.BlockSpec:
    return pl.BlockSpec(shape, lambda *place: index(grid(*place)))
