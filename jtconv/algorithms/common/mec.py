"""MEC: im2col along the last axis, col2im along the others.

im2col along all axes holds as many copies of x as the kernel has cells, col2im as many of y.  Where
the stride of the last axis is 1, gather x along that axis alone:

    P[i, q, (t, c)] = x[i, q - d*t + lo, c]

and a problem without that axis is left, with ``k`` times the channels of x.  A kernel of 7 by 7
then holds 7 copies of each, not 49 of one, and is copied 14 times, not 49.

Cho and Brand, "MEC: memory-efficient convolution for deep neural network" (arXiv:1706.06873).
"""

from __future__ import annotations

import math
from dataclasses import replace

import jax
from jax import lax

from jtconv.algorithms.common import im2col, operand_swap, overlap_add, row_tiling, work
from jtconv.algorithms.common.work import Work
from jtconv.problem.geometry import Axis, Geometry
from jtconv.problem.task import Task

# Each tap is a copy that XLA compiles; past this many, along one axis or all the others, it
# takes long.
MOST_TAPS = 100

# Copies of more than this are made and used in row tiles of about half that (bytes).
MOST_BYTES = 32 * 2**20


def possible(g: Geometry) -> bool:
    """Whether there is an axis for im2col, and one for col2im."""
    taps = math.prod(len(a.blocks) for a in g.axes[:-1]), g.axes[-1].kernel
    return len(g) > 1 and g.axes[-1].stride == 1 and max(taps) <= MOST_TAPS


def copied_elements(task: Task) -> int:
    """Numbers in the copies of x and of y."""
    *others, last = task.geometry.axes
    of_x = math.prod(a.x_size for a in others) * last.y_size * last.kernel * task.x_channels
    of_y = math.prod(a.x_size * a.kernel for a in others) * last.y_size * task.y_channels
    return task.batch * (of_x + of_y)


def held_bytes(task: Task) -> int:
    """Bytes of the copies that are held at once."""
    return copied_elements(task) * task.accumulator.itemsize // _tiles(task)


def work_of(task: Task, kernel: Work) -> Work:
    """im2col along the last axis beside col2im along the others; ``kernel`` as elsewhere."""
    g, tiles, last = task.geometry, _tiles(task), task.geometry.axes[-1]
    wide = task.y_channels_per_group >= im2col.WIDE
    once = kernel if wide else work.transposed(task.w_elements)
    parts = [im2col.work_of(_other_axes(task), tiles, work.times(once, tiles))]
    parts.append({"blocks": last.kernel * tiles, work.TERMS: last.kernel})
    if last.kernel > 1 or g.groups > 1:
        others = math.prod(a.x_size for a in g.axes[:-1])
        copies = task.batch * others * last.y_size * last.kernel * task.x_channels
        held = overlap_add.TILED_BYTES if tiles > 1 else held_bytes(task)
        gathered = "gathered" + " by groups" * (g.groups > 1)
        how = "added" if task.side == "fprop" else gathered
        parts.append(work.moved(how, copies, task.x_channels_per_group, held))
    return work.total(*parts)


def dgrad(x: jax.Array, w: jax.Array, task: Task) -> jax.Array:
    """x, w -> y."""
    return row_tiling.run(_dgrad, x, w, task, _tiles(task))


def fprop(y: jax.Array, w: jax.Array, task: Task) -> jax.Array:
    """y, w -> x."""
    return row_tiling.run(_fprop, y, w, task, _tiles(task))


def wgrad(x: jax.Array, y: jax.Array, task: Task) -> jax.Array:
    """x, y -> w."""
    return row_tiling.run(_wgrad, x, y, task, _tiles(task))


def _dgrad(x: jax.Array, w: jax.Array, task: Task) -> jax.Array:
    return im2col.dgrad(_columns(x, task), _kernel(w, task), _other_axes(task))


def _fprop(y: jax.Array, w: jax.Array, task: Task) -> jax.Array:
    columns = im2col.fprop(y, _kernel(w, task), _other_axes(task))
    last = _last_axis(task)
    columns = _exchanged(columns, task.groups, task.x_channels_per_group)
    shape = (*columns.shape[:-1], *last.kernel, task.x_channels)
    return overlap_add.col2im(columns.reshape(shape), last)


def _wgrad(x: jax.Array, y: jax.Array, task: Task) -> jax.Array:
    w = im2col.wgrad(_columns(x, task), y, _other_axes(task))
    w = w.reshape(*task.geometry.kernel, task.x_channels_per_group, task.y_channels)
    return lax.rev(w, (len(task.geometry) - 1,))


def _tiles(task: Task) -> int:
    size = copied_elements(task) * task.accumulator.itemsize
    return row_tiling.count(size, MOST_BYTES, MOST_BYTES // 2, task)


def _last_axis(task: Task) -> Geometry:
    """The problem along the last axis, operands swapped, beside others that stay as they are."""
    *others, last = task.geometry.axes
    return Geometry(
        (*(Axis(a.x_size, 1, a.x_size) for a in others), operand_swap.swapped_axis(last))
    )


def _other_axes(task: Task) -> Task:
    """What is left to do: a last axis of one tap, whose channels are the columns."""
    *others, last = task.geometry.axes
    rest = Geometry((*others, Axis(last.y_size, 1, last.y_size)), task.groups)
    return replace(task, geometry=rest, x_channels=last.kernel * task.x_channels)


def _columns(x: jax.Array, task: Task) -> jax.Array:
    """im2col of ``x`` along the last axis: ``(N, *S, Q, g * t * c)``."""
    columns = overlap_add.im2col(x, _last_axis(task))
    space = columns.shape[: 1 + len(task.geometry)]
    kernel = task.geometry.axes[-1].kernel
    return _exchanged(columns.reshape(*space, -1), kernel, task.x_channels_per_group)


def _exchanged(columns: jax.Array, outer: int, channels: int) -> jax.Array:
    """``(..., outer * inner * channels)`` with taps and groups, outer and inner, exchanged."""
    split = columns.reshape(*columns.shape[:-1], outer, -1, channels)
    return split.swapaxes(-2, -3).reshape(columns.shape)


def _kernel(w: jax.Array, task: Task) -> jax.Array:
    """``w`` with the taps of the last axis among the channels, in the order of the columns."""
    rank = len(task.geometry)
    flipped = lax.rev(w, (rank - 1,))
    return flipped.reshape(*w.shape[: rank - 1], 1, -1, w.shape[-1])
