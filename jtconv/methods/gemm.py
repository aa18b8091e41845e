"""gemm: one matrix product, then overlap-add.

Read the law with the sum over channels taken first:

    P[i, t, o] = sum over c of x[i, c] * w[t, c, o]          one product [N*S, C] x [C, K*O]
    y[s*i + d*t - lo, o] += P[i, t, o]                       overlap-add

No zero is ever multiplied, whatever the kernel and the stride, and no cell of the kernel is
padded.  Where the kernel equals the stride nothing overlaps, and what is left is a product
and a shuffle.  The other sides run the same steps backwards: unfold ``y`` into the patches
the stamps would cover, then one product with ``w`` (fprop) or with ``x`` (wgrad).

Two roads beside the plain one: in strips where the stamps are many, so that they stay in
cache, and tap by tap where the kernel is so large that turning it would cost most of the time.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp

from jtconv.methods import moves, products
from jtconv.methods.strips import Strips
from jtconv.methods.task import Cost, Task

# Each block of taps is one term of the fused pass; past this many, XLA takes long to compile it.
MOST_BLOCKS = 64

# Stamps of more than this are computed in strips of about that (bytes): larger arrays leave the
# cache, and the allocator hands them out as fresh pages every time.
MOST_BYTES = 16 * 2**20
STRIP_BYTES = 8 * 2**20

# From this size on (bytes), and for no more rows than this, the kernel is multiplied tap by tap
# as it lies.
HEAVY_BYTES = 8 * 2**20
FEW_ROWS = 64

# Turning the kernel so that O lies innermost is a fast copy from this many channels on.
WIDE = 64


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
    if _strips(task) > 1:
        return Strips.of(task, _strips(task)).dgrad(_dgrad, x, w)
    return _dgrad(x, w, task)


def fprop(y: jax.Array, w: jax.Array, task: Task) -> jax.Array:
    """y, w -> x."""
    if _strips(task) > 1:
        return Strips.of(task, _strips(task)).fprop(_fprop, y, w)
    return _fprop(y, w, task)


def wgrad(x: jax.Array, y: jax.Array, task: Task) -> jax.Array:
    """x, y -> w."""
    if _strips(task) > 1:
        return Strips.of(task, _strips(task)).wgrad(_wgrad, x, y)
    return _wgrad(x, y, task)


def _strips(task: Task) -> int:
    """How many strips to work in: one where all stamps are small enough to hold at once."""
    rank_one = len(task.geometry) == 1
    if task.platform != "cpu" or task.stamp_bytes <= MOST_BYTES * (4 if rank_one else 1):
        return 1
    return min(-(-task.stamp_bytes // STRIP_BYTES), task.geometry.axes[0].input)


def _is_heavy(task: Task) -> bool:
    """Whether the kernel outweighs all else: moving it would cost more than the products."""
    rows = task.batch * math.prod(task.geometry.input)
    heavy = task.w_size * task.dtype.itemsize >= HEAVY_BYTES
    return heavy and rows <= FEW_ROWS and task.groups == 1 and task.platform == "cpu"


def _dgrad(x: jax.Array, w: jax.Array, task: Task) -> jax.Array:
    g, rows = task.geometry, moves.as_rows(x, task.groups)
    if _is_heavy(task):
        by_tap = w.reshape(-1, task.depth, task.width)
        rows = jnp.broadcast_to(rows, (by_tap.shape[0], *rows.shape[1:]))
        stamps = jnp.moveaxis(products.einsum("tmc,tco->tmo", rows, by_tap, task), 0, 1)
    elif _is_wide(task):
        stamps = products.einsum("gmc,gcn->gmn", rows, _matrix(w, task), task)
    else:
        stamps = products.einsum("gmc,gnc->gmn", rows, _matrix(w, task), task)
    stamps = stamps.reshape(task.groups * x.shape[0], *g.input, *g.kernel, task.width)
    return moves.unmerge_groups(moves.overlap_add(stamps, g), task.groups)


def _fprop(y: jax.Array, w: jax.Array, task: Task) -> jax.Array:
    if _is_heavy(task):
        by_tap = w.reshape(-1, task.depth, task.width)
        rows = products.einsum("tmo,tco->tmc", _patches_by_tap(y, task), by_tap, task)
        rows = jnp.sum(rows, axis=0)
    elif _is_wide(task):
        rows = products.einsum("gmn,gcn->gmc", _patches(y, task), _matrix(w, task), task)
    else:
        rows = products.einsum("gmn,gnc->gmc", _patches(y, task), _matrix(w, task), task)
    x = rows.reshape(task.groups * y.shape[0], *task.geometry.input, task.depth)
    return moves.unmerge_groups(x, task.groups)


def _wgrad(x: jax.Array, y: jax.Array, task: Task) -> jax.Array:
    if _is_heavy(task):
        patches = _patches_by_tap(y, task)
        rows = moves.as_rows(x, 1)
        rows = jnp.broadcast_to(rows, (patches.shape[0], *rows.shape[1:]))
        w = products.einsum("tmc,tmo->tco", rows, patches, task)
        return w.reshape(*task.geometry.kernel, task.depth, task.width)
    w = products.correlate(moves.as_rows(x, task.groups), _patches(y, task), task)
    w = w.reshape(task.groups, task.depth, *task.geometry.kernel, task.width)
    return moves.join_groups(jnp.moveaxis(w, 1, -2))


def _is_wide(task: Task) -> bool:
    """Whether O is long enough to be the kernel matrix's inner axis without a slow shuffle."""
    return task.width >= WIDE


def _matrix(w: jax.Array, task: Task) -> jax.Array:
    """The kernel as one matrix a group: ``(g, C // g, K*O // g)`` if wide, else its transpose."""
    split = moves.split_groups(w, task.groups)
    if _is_wide(task):
        return jnp.moveaxis(split, -2, 1).reshape(task.groups, task.depth, -1)
    return jnp.swapaxes(split, -1, -2).reshape(task.groups, -1, task.depth)


def _patches(y: jax.Array, task: Task) -> jax.Array:
    """What every stamp covers, as rows: ``(g, N*S, K*O // g)``."""
    merged = moves.merge_groups(y, task.groups)
    patches = moves.unfold(merged, task.geometry)
    rows = y.shape[0] * math.prod(task.geometry.input)
    return patches.reshape(task.groups, rows, math.prod(task.geometry.kernel) * task.width)


def _patches_by_tap(y: jax.Array, task: Task) -> jax.Array:
    """What every stamp covers, a matrix for each tap: ``(K, N*S, O)``, one group only."""
    patches = _patches(y, task)[0]
    return jnp.moveaxis(patches.reshape(patches.shape[0], -1, task.width), 1, 0)
