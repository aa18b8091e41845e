"""im2col and its adjoint, col2im: overlap-add.

``col2im`` adds ``columns[i, t]`` to ``y[s*i + d*t - lo]``; ``im2col`` reads them from there. Both
go block by block of the kernel (`jtconv.problem.geometry.Block`): taps within one stride never
overlap, so a block is one padded copy, or one slice, of arrays after space-to-depth.
"""

from __future__ import annotations

from functools import reduce

import jax
import jax.numpy as jnp

from jtconv.algorithms.common import arrays
from jtconv.problem.geometry import Block, Geometry


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
