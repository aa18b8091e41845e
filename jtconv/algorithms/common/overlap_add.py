"""im2col and its adjoint, col2im: overlap-add.

``col2im`` adds ``columns[i, t]`` to ``y[s*i + d*t - lo]``; ``im2col`` reads them from there. Both
go block by block of the kernel (`jtconv.problem.geometry.Block`): taps within one stride never
overlap, so a block is one padded copy, or one slice, of arrays after space-to-depth.
"""

from __future__ import annotations

import math
from functools import reduce

import jax
import jax.numpy as jnp

from jtconv.algorithms.common import arrays, work
from jtconv.algorithms.common.work import Work
from jtconv.problem.geometry import Block, Geometry
from jtconv.problem.task import Task

# XLA's loop over the terms of a sum, or the parts of an array, is slower beyond so many.
FEW_BLOCKS = 8
TILED_BYTES = 12 * 2**20  # what a row tile keeps in use


def col2im(columns: jax.Array, g: Geometry) -> jax.Array:
    """``(b, *x_size, *kernel, c)`` added up, ``stride`` apart: ``(b, *y_size, c)``."""
    blocks = reduce(jnp.add, (_placed(columns, g, block) for block in g.blocks))
    return arrays.crop(arrays.depth_to_space(blocks), g)


def _placed(columns: jax.Array, g: Geometry, block: tuple[Block, ...]) -> jax.Array:
    """The taps of one block, where they are added to the full output after space-to-depth."""
    rank = len(block)
    taps = tuple(slice(b.tap, b.tap + b.count) for b in block)
    part = columns[(slice(None),) * (1 + rank) + taps]
    coarse = [(b.shift, a.blocks[-1].shift - b.shift) for a, b in zip(g, block, strict=True)]
    fine = [(b.residue, a.stride - b.residue - b.count) for a, b in zip(g, block, strict=True)]
    return arrays.pad(part, [(0, 0), *coarse, *fine, (0, 0)])


def im2col(y: jax.Array, g: Geometry) -> jax.Array:
    """What every position of x reads of ``y``: ``(b, *x_size, *kernel, c)``."""
    blocks = arrays.space_to_depth(arrays.uncrop(y, g), g.stride)
    return _gathered(blocks, g, ())


def _gathered(blocks: jax.Array, g: Geometry, chosen: tuple[Block, ...]) -> jax.Array:
    """The columns of all blocks that begin with ``chosen``, one of an axis."""
    rank, axis = len(g), len(chosen)
    if axis < rank:
        parts = [_gathered(blocks, g, (*chosen, b)) for b in g.axes[axis].blocks]
        return jnp.concatenate(parts, axis=1 + rank + axis)
    coarse = tuple(slice(b.shift, b.shift + a.x_size) for a, b in zip(g, chosen, strict=True))
    fine = tuple(slice(b.residue, b.residue + b.count) for b in chosen)
    return blocks[(slice(None), *coarse, *fine)]


def work_of_col2im(task: Task, tiles: int = 1, fused: bool = False) -> Work:
    """Adding blocks up; ``fused`` with the products, no column is ever written."""
    g, o, blocks = task.geometry, task.y_channels_per_group, task.geometry.block_count
    if _is_reshape(task) and not fused:
        return {}
    terms, held = task.y_elements * blocks, _held(task, tiles)
    many = terms * _share_of_many(blocks)
    how, run, kept = ("multiplied and added", o * g.groups, 0.0) if fused else ("added", o, held)
    few = work.moved(how, terms - many, run, kept)
    many_terms = work.moved("added in many terms", many, o, held)
    return work.total(few, many_terms, {"written": task.y_elements})


def work_of_im2col(task: Task, tiles: int = 1) -> Work:
    """Copying blocks: of all that a whole stride apart, and then of each block of taps."""
    g, o = task.geometry, task.y_channels_per_group
    if _is_reshape(task):
        return {}
    blocks, columns, held = g.block_count, task.im2col_elements, _held(task, tiles)
    many = columns * _share_of_many(blocks)
    how, run = "gathered" + " by groups" * (g.groups > 1), o * g.axes[-1].blocks[0].count
    parts = [work.moved(how, columns - many, run, held)]
    parts.append(work.moved(f"{how} in many parts", many, run, held))
    if blocks > 1:
        parts.append(work.moved("copied", _full_elements(task), o * g.stride[-1]))
    if g.groups > 1:
        parts.append(work.split_groups(task.y_elements, o))
    return work.total(*parts)


def _is_reshape(task: Task) -> bool:
    """Whether columns are y itself, in another shape."""
    g = task.geometry
    pointwise = all(a.kernel == a.stride == 1 for a in g)
    return g.groups == 1 and (pointwise or (len(g) == 1 and g.block_count == 1))


def _share_of_many(blocks: int) -> work.Amount:
    return max(blocks - FEW_BLOCKS, 0) / max(blocks, 1)


def _held(task: Task, tiles: int) -> work.Amount:
    if tiles > 1:
        return TILED_BYTES
    return work.NUMBER * (task.im2col_elements + _full_elements(task))


def _full_elements(task: Task) -> int:
    """Numbers of the full output in whole blocks."""
    sizes = zip(arrays.block_counts(task.geometry), task.geometry.stride, strict=True)
    return task.batch * math.prod(q * s for q, s in sizes) * task.y_channels
