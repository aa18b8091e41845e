"""How the TPU kernel cuts a task up, so that its blocks fit VMEM, or why it refuses."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import jax.numpy as jnp

from jtconv.algorithms.pallas.interpret import simulation
from jtconv.algorithms.pallas.tiling import distinct
from jtconv.algorithms.pallas.tpu import cells
from jtconv.problem.task import Task

# Of the 16 MiB of VMEM that a v5e gives one kernel unasked, with room for what Mosaic adds.
VMEM_BYTES = 12 * 2**20
# Rows of a product: the first are enough to keep the matrix unit streaming; `tune` finds the best.
TILES = {"512 rows": 512, "1024 rows": 1024, "256 rows": 256, "128 rows": 128}
UNASKED = "512 rows"
CHUNKS = (1024, 512, 256, 128)
MOST_PRODUCTS = 64  # unrolled into one program


@dataclass(frozen=True)
class Blocks:
    """How one task is cut up."""

    counts: tuple[int, ...]  # cells computed per axis, padded
    rows: int  # of the first axis in one block
    window: int  # rows of the source that a block reads
    chunk: int  # channels of x in one step

    @property
    def steps(self) -> int:
        """Blocks along the first axis."""
        return self.counts[0] // self.rows

    @property
    def padded(self) -> tuple[int, ...]:
        """Cells to lay out in front of the kernel: the last window is read whole."""
        return self.counts[0] + self.window, *self.counts[1:]

    @property
    def cells(self) -> int:
        """Cells of a block: the rows of its products."""
        return self.rows * math.prod(self.counts[1:])


def refuse(task: Task) -> str | None:
    """Why not."""
    g = task.geometry
    if simulation() is None and task.dtype.name not in ("bfloat16", "float32"):
        return f"TPUs multiply bfloat16 and float32, and this is {task.dtype}"
    if not jnp.issubdtype(task.dtype, jnp.floating):
        return f"the kernel is written for floats, and this is {task.dtype}"
    products = len(cells.shifts(g)) * len(cells.inner_phases(g))
    if products > MOST_PRODUCTS:
        return f"it would unroll {products} products, more than {MOST_PRODUCTS}"
    if blocks(task) is None:
        return f"one row of it does not fit {VMEM_BYTES // 2**20} MiB of VMEM"
    return None


def tiles(task: Task) -> tuple[str, ...]:
    """The names of tiles to try; those that are cut down to the same blocks are one."""
    return distinct({name: blocks(replace(task, tile=name)) for name in TILES})


def blocks(task: Task) -> Blocks | None:
    """The largest blocks that fit, if any do."""
    chunks = [
        c for c in CHUNKS if c < task.x_channels_per_group and task.x_channels_per_group % c == 0
    ]
    for chunk in (task.x_channels_per_group, *chunks):
        found = _blocks(task, chunk)
        if _bytes(task, found) <= VMEM_BYTES:
            return found
        least = _blocks(task, chunk, rows=1)
        while found.rows > least.rows:
            found = _blocks(task, chunk, rows=found.rows // 2)
            if _bytes(task, found) <= VMEM_BYTES:
                return found
    return None


def _blocks(task: Task, chunk: int, rows: int | None = None) -> Blocks:
    g, sublanes = task.geometry, max(8, 32 // task.dtype.itemsize)
    counts, most = list(g.x_size), TILES[task.tile or UNASKED]
    if task.side == "dgrad":
        counts = [r.count for r in cells.rasters(g)]
    reach = cells.rasters(g)[0].reach
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
    others = math.prod(c + r.reach for c, r in zip(b.counts[1:], cells.rasters(g)[1:], strict=True))
    lanes, shifts = cells.phases(g) * task.y_channels_per_group, len(cells.shifts(g))
    window = b.window * others * size
    kernel = shifts * b.chunk * lanes
    if task.side == "dgrad":
        sums = b.cells * lanes
        return 2 * (window * b.chunk + kernel * size + sums * size) + sums * wide
    source = window * lanes
    if task.side == "fprop":
        return 2 * (source + kernel * size + b.cells * b.chunk * size) + b.cells * b.chunk * wide
    return 2 * (source + b.cells * b.chunk * size + kernel * wide)


def checked(task: Task) -> Blocks:
    """The blocks of a task that was not refused."""
    found = blocks(task)
    if found is None:
        raise ValueError(f"no blocks of {task} fit VMEM: refuse() was not asked.")
    return found
