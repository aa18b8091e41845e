"""The three sides as matrix products, with im2col and col2im around them.

Read the law with the sum over channels taken first:

    P[i, t, o] = sum over c of x[i, c] * w[t, c, o]          one product [N*S, C] x [C, K*O]
    y[s*i + d*t - lo, o] += P[i, t, o]                       col2im, an overlap-add

The other sides run the same steps backwards: im2col of ``y``, then one product with ``w`` (fprop)
or with ``x`` (wgrad).  Where the kernel outweighs everything else all three go tap by tap, since
transposing it would cost most of the time.

Chellapilla, Puri and Simard, "High performance convolutional neural networks for document
processing" (IWFHR 2006).
"""

from __future__ import annotations

import functools
import math

import jax
import jax.numpy as jnp

from jtconv.algorithms.common import arrays, matmul, work
from jtconv.algorithms.common import overlap_add as columns_of
from jtconv.algorithms.common.work import Work
from jtconv.problem.task import Task

# From this size on (bytes), and for no more rows than this on each side, the kernel is
# multiplied tap by tap as it is.
HEAVY_BYTES = 8 * 2**20
FEW_ROWS = {"dgrad": 32, "fprop": 32, "wgrad": 160}

# Transposing the kernel so that O is the last axis is a fast copy from this many channels on.
WIDE = 64


def dgrad(x: jax.Array, w: jax.Array, task: Task) -> jax.Array:
    """x, w -> y."""
    g, rows = task.geometry, arrays.matrices(x, task.groups)
    if is_heavy(task):
        by_tap = _kernel_by_tap(w, task)
        rows = jnp.broadcast_to(rows, (by_tap.shape[0], *rows.shape[1:]))
        columns = jnp.moveaxis(matmul.einsum("tmc,tco->tmo", rows, by_tap, task), 0, 1)
    elif _is_wide(task):
        columns = matmul.einsum("gmc,gcn->gmn", rows, _kernel_matrix(w, task), task)
    else:
        columns = matmul.einsum("gmc,gnc->gmn", rows, _kernel_matrix(w, task), task)
    shape = (task.groups, x.shape[0], *g.x_size, *g.kernel, task.y_channels_per_group)
    col2im = functools.partial(columns_of.col2im, g=g)
    return arrays.join_groups(arrays.each_group(col2im, columns.reshape(shape)))


def fprop(y: jax.Array, w: jax.Array, task: Task) -> jax.Array:
    """y, w -> x."""
    if is_heavy(task):
        by_tap = _kernel_by_tap(w, task)
        rows = matmul.einsum("tmo,tco->tmc", _columns_by_tap(y, task), by_tap, task)
        rows = jnp.sum(rows, axis=0)
    elif _is_wide(task):
        rows = matmul.einsum("gmn,gcn->gmc", _columns(y, task), _kernel_matrix(w, task), task)
    else:
        rows = matmul.einsum("gmn,gnc->gmc", _columns(y, task), _kernel_matrix(w, task), task)
    shape = (task.groups, y.shape[0], *task.geometry.x_size, task.x_channels_per_group)
    return arrays.join_groups(rows.reshape(shape))


def wgrad(x: jax.Array, y: jax.Array, task: Task) -> jax.Array:
    """x, y -> w."""
    kernel, c, o = task.geometry.kernel, task.x_channels_per_group, task.y_channels_per_group
    if is_heavy(task):
        columns = _columns_by_tap(y, task)
        rows = arrays.matrices(x, 1)
        rows = jnp.broadcast_to(rows, (columns.shape[0], *rows.shape[1:]))
        return matmul.einsum("tmc,tmo->tco", rows, columns, task).reshape(*kernel, c, o)
    return correlated(x, y, task)


def correlated(x: jax.Array, y: jax.Array, task: Task) -> jax.Array:
    """The kernel gradient as one product a group: x against im2col of y."""
    w = matmul.correlate(arrays.matrices(x, task.groups), _columns(y, task), task)
    kernel, c, o = task.geometry.kernel, task.x_channels_per_group, task.y_channels_per_group
    return arrays.join_groups(jnp.moveaxis(w.reshape(task.groups, c, *kernel, o), 1, -2))


def work_of(task: Task, tiles: int = 1, kernel: Work | None = None) -> Work:
    """What it does, in ``tiles`` row tiles; ``kernel`` is what is done to it, if not the usual."""
    g, groups, taps = task.geometry, task.groups, math.prod(task.geometry.kernel)
    c, o, columns = task.x_channels_per_group, task.y_channels_per_group, task.im2col_elements
    parts = [work.CALL, {"blocks": g.block_count * tiles, work.TERMS: g.block_count * len(g)}]
    if groups > 1:
        parts.append(work.split_groups(task.x_elements, c))
    if task.side != "wgrad":
        parts.append(work.times(_kernel_work(task), tiles) if kernel is None else kernel)
    if task.side == "dgrad":
        fused = groups > 1 and c == 1 and tiles == 1  # XLA makes one loop of products and sums
        if not fused:
            parts.append(work.product(groups, task.rows, c, taps * o))
        return work.total(*parts, columns_of.work_of_col2im(task, tiles, fused))
    parts.append(columns_of.work_of_im2col(task, tiles))
    if groups > 1 and c == 1:
        parts.append({"dot products": columns})
    elif task.side == "fprop":
        parts.append(work.product(groups, task.rows, taps * o, c))
    else:
        parts.append(work.product(groups, c, task.rows, taps * o, sums_rows=True))
    if task.side == "wgrad":
        parts.append(work.times(work.moved("copied", task.w_elements, o), tiles))
    return work.total(*parts)


def _kernel_work(task: Task) -> Work:
    """Bringing the kernel into the form of a matrix."""
    if is_heavy(task) or (_is_wide(task) and math.prod(task.geometry.kernel) == 1):
        return {}
    if _is_wide(task):
        return work.moved("copied", task.w_elements, task.y_channels_per_group)
    return work.transposed(task.w_elements)


def is_heavy(task: Task) -> bool:
    """Whether the kernel outweighs all else: moving it would cost more than the products."""
    few = task.rows <= FEW_ROWS[task.side] and task.groups == 1 and task.platform == "cpu"
    return few and task.w_elements * task.dtype.itemsize >= HEAVY_BYTES


def _is_wide(task: Task) -> bool:
    """Whether O is long enough to be the kernel matrix's last axis without a slow transpose."""
    return task.y_channels_per_group >= WIDE


def _kernel_matrix(w: jax.Array, task: Task) -> jax.Array:
    """The kernel as one matrix a group: ``(g, C // g, K*O // g)`` if wide, else its transpose."""
    split = arrays.split_groups(w, task.groups)
    if _is_wide(task):
        return jnp.moveaxis(split, -2, 1).reshape(task.groups, task.x_channels_per_group, -1)
    return jnp.swapaxes(split, -1, -2).reshape(task.groups, -1, task.x_channels_per_group)


def _kernel_by_tap(w: jax.Array, task: Task) -> jax.Array:
    """A matrix for each tap: ``(K, C, O)``, one group only."""
    return w.reshape(-1, task.x_channels_per_group, task.y_channels_per_group)


def _columns(y: jax.Array, task: Task) -> jax.Array:
    """im2col of ``y``, as rows: ``(g, N*S, K*O // g)``."""
    g = task.geometry
    im2col = functools.partial(columns_of.im2col, g=g)
    columns = arrays.each_group(im2col, arrays.split_groups(y, task.groups))
    width = math.prod(g.kernel) * task.y_channels_per_group
    return columns.reshape(task.groups, y.shape[0] * math.prod(g.x_size), width)


def _columns_by_tap(y: jax.Array, task: Task) -> jax.Array:
    """im2col of ``y``, a matrix for each tap: ``(K, N*S, O)``, one group only."""
    columns = _columns(y, task)[0]
    return jnp.moveaxis(columns.reshape(columns.shape[0], -1, task.y_channels_per_group), 1, 0)
