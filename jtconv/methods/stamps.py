"""Stamps as matrix products: the plain road of `gemm`, and of `phases` where they merge.

Read the law with the sum over channels taken first:

    P[i, t, o] = sum over c of x[i, c] * w[t, c, o]          one product [N*S, C] x [C, K*O]
    y[s*i + d*t - lo, o] += P[i, t, o]                       overlap-add

The other sides run the same steps backwards: unfold ``y`` into the patches the stamps would
cover, then one product with ``w`` (fprop) or with ``x`` (wgrad).  Where the kernel outweighs
everything else all three go tap by tap, since turning it would cost most of the time.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp

from jtconv.methods import moves, products
from jtconv.methods.task import Task

# From this size on (bytes), and for no more rows than this on each side, the kernel is
# multiplied tap by tap as it lies.
HEAVY_BYTES = 8 * 2**20
FEW_ROWS = {"dgrad": 32, "fprop": 32, "wgrad": 160}

# Turning the kernel so that O lies innermost is a fast copy from this many channels on.
WIDE = 64


def dgrad(x: jax.Array, w: jax.Array, task: Task) -> jax.Array:
    """x, w -> y."""
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


def fprop(y: jax.Array, w: jax.Array, task: Task) -> jax.Array:
    """y, w -> x."""
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


def wgrad(x: jax.Array, y: jax.Array, task: Task) -> jax.Array:
    """x, y -> w."""
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


def _is_heavy(task: Task) -> bool:
    """Whether the kernel outweighs all else: moving it would cost more than the products."""
    rows = task.batch * math.prod(task.geometry.input)
    heavy = task.w_size * task.dtype.itemsize >= HEAVY_BYTES
    return heavy and rows <= FEW_ROWS[task.side] and task.groups == 1 and task.platform == "cpu"
