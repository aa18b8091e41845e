"""gemm: one matrix product, then overlap-add.

The steps, and their derivation, are in `stamps`.  No zero is ever multiplied, whatever the
kernel and the stride, and no cell of the kernel is padded.  Where the kernel equals the stride
nothing overlaps, and what is left is a product and a shuffle.

Where the stamps are many they are made and added in strips, so that they stay in cache.
"""

from __future__ import annotations

import math

import jax

from jtconv.methods import stamps, strips
from jtconv.methods.task import Cost, Task

# Each block of taps is one term of the fused pass; past this many, XLA takes long to compile it.
MOST_BLOCKS = 64

# Stamps of more than this are computed in strips of about that (bytes): larger arrays leave the
# cache, and the allocator hands them out as fresh pages every time.
MOST_BYTES = 16 * 2**20
STRIP_BYTES = 8 * 2**20


def refuse(task: Task) -> str | None:
    """Why this problem is not for gemm, if it is not."""
    blocks = task.geometry.block_count
    if blocks > MOST_BLOCKS:
        return f"its overlap-add would have {blocks} terms, more than {MOST_BLOCKS}"
    return None


def cost(task: Task) -> Cost:
    """Every stamp is computed whole, and those of a strip are held."""
    g = task.geometry
    sums = task.batch * math.prod(g.input) * math.prod(g.kernel) * task.out_channels
    return Cost(sums * task.depth, task.stamp_bytes // _strips(task))


def dgrad(x: jax.Array, w: jax.Array, task: Task) -> jax.Array:
    """x, w -> y."""
    return strips.run(stamps.dgrad, x, w, task, _strips(task))


def fprop(y: jax.Array, w: jax.Array, task: Task) -> jax.Array:
    """y, w -> x."""
    return strips.run(stamps.fprop, y, w, task, _strips(task))


def wgrad(x: jax.Array, y: jax.Array, task: Task) -> jax.Array:
    """x, y -> w."""
    return strips.run(stamps.wgrad, x, y, task, _strips(task))


def _strips(task: Task) -> int:
    """How many strips to work in: one where all stamps are small enough to hold at once."""
    most = MOST_BYTES * (4 if len(task.geometry) == 1 else 1)
    return strips.count(task.stamp_bytes, most, STRIP_BYTES, task)
