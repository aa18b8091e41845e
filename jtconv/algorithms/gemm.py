"""gemm: one matrix product, then overlap-add.

The steps, and their derivation, are in `common.im2col`.  No zero is ever multiplied, whatever the
kernel and the stride, and no tap of the kernel is padded.  Where the kernel equals the stride
nothing overlaps, and what is left is a product and depth-to-space.

Where the columns are many they are made and added in row tiles, so that they stay in cache.
"""

from __future__ import annotations

import jax

from jtconv.algorithms.common import im2col, row_tiling
from jtconv.algorithms.common.work import Work
from jtconv.problem.task import Cost, Task

# Each block of taps is one term of the fused pass; past this many, XLA takes long to compile it.
MOST_BLOCKS = 64

# Columns of more than this are computed in row tiles of about that (bytes): larger arrays leave
# the cache, and the allocator hands them out as fresh pages every time.
MOST_BYTES = 16 * 2**20
TILE_BYTES = 8 * 2**20


def refuse(task: Task) -> str | None:
    """Why this problem is not for gemm, if it is not."""
    blocks = task.geometry.block_count
    if blocks > MOST_BLOCKS:
        return f"its overlap-add would have {blocks} terms, more than {MOST_BLOCKS}"
    return None


def cost(task: Task) -> Cost:
    """Cropped products are computed, too, and the columns of a row tile are held."""
    products = task.im2col_elements * task.x_channels_per_group
    columns, kernel = task.im2col_elements, task.geometry.kernel
    if len(kernel) > 1:  # of a signal XLA:TPU lays time along the lanes
        columns = task.tiled(columns, kernel[-1], task.y_channels_per_group)
    return Cost(products, columns * task.accumulator.itemsize // _tiles(task))


def spreads(task: Task) -> str:
    """What meets a tap that falls outside of y; and rows of zeros fill up the last row tile."""
    return row_tiling.spreads(task, _tiles(task))


def work(task: Task) -> Work:
    """That of the three steps, in row tiles."""
    return im2col.work_of(task, _tiles(task))


def dgrad(x: jax.Array, w: jax.Array, task: Task) -> jax.Array:
    """x, w -> y."""
    return row_tiling.run(im2col.dgrad, x, w, task, _tiles(task))


def fprop(y: jax.Array, w: jax.Array, task: Task) -> jax.Array:
    """y, w -> x."""
    return row_tiling.run(im2col.fprop, y, w, task, _tiles(task))


def wgrad(x: jax.Array, y: jax.Array, task: Task) -> jax.Array:
    """x, y -> w."""
    return row_tiling.run(im2col.wgrad, x, y, task, _tiles(task))


def _tiles(task: Task) -> int:
    """How many row tiles: one where all columns are small enough to hold at once."""
    most = MOST_BYTES * (4 if len(task.geometry) == 1 else 1)
    return row_tiling.count(task.im2col_bytes, most, TILE_BYTES, task)
