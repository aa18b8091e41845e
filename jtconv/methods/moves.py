"""The few ways arrays move, shared by the methods.

All of it is linear, static in shape, and written so that XLA can fuse it into one pass.
"Cells" are blocks of ``stride`` neighbours along each spatial axis: ``(batch, *cells,
*within, channels)`` is an array whose every spatial axis has been cut into cells.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from functools import reduce
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import DTypeLike

from jtconv.geometry import Block, Geometry

Margins = Sequence[tuple[int, int]]


def zeros(shape: Sequence[Any], like: jax.Array, dtype: DTypeLike) -> jax.Array:
    """Zeros that vary over the same manual mesh axes (of ``jax.shard_map``) as ``like``."""
    blank = jnp.zeros(tuple(shape), dtype)
    axes = tuple(jax.typeof(like).mat.varying)
    return lax.pcast(blank, axes, to="varying") if axes else blank


def pad(x: jax.Array, margins: Margins) -> jax.Array:
    """Zeros added (or, where negative, cells cut) in front of and behind each axis."""
    if all(lo == hi == 0 for lo, hi in margins):
        return x
    return lax.pad(x, jnp.zeros((), x.dtype), [(lo, hi, 0) for lo, hi in margins])


def pad_space(x: jax.Array, margins: Margins) -> jax.Array:
    """:func:`pad` for the spatial axes of a channels-last array."""
    return pad(x, [(0, 0), *margins, (0, 0)])


def window(x: jax.Array, starts: Sequence[int], lengths: Sequence[int]) -> jax.Array:
    """``lengths`` spatial cells from ``starts`` on, zero where that leaves the array."""
    sizes = x.shape[1:-1]
    margins = [(-a, a + n - size) for a, n, size in zip(starts, lengths, sizes, strict=True)]
    return pad_space(x, margins)


def to_cells(y: jax.Array, strides: Sequence[int]) -> jax.Array:
    """``(b, *(q*s), c)`` to ``(b, *q, *s, c)``: space to depth, before the depths are merged."""
    rank = len(strides)
    pairs = [(n // s, s) for n, s in zip(y.shape[1:-1], strides, strict=True)]
    y = y.reshape(y.shape[0], *itertools.chain(*pairs), y.shape[-1])
    order = [0, *range(1, 2 * rank, 2), *range(2, 2 * rank + 1, 2), 2 * rank + 1]
    return jnp.transpose(y, order)


def from_cells(cells: jax.Array) -> jax.Array:
    """``(b, *q, *s, c)`` to ``(b, *(q*s), c)``: depth to space."""
    rank = (cells.ndim - 2) // 2
    sizes = [
        q * s for q, s in zip(cells.shape[1 : rank + 1], cells.shape[rank + 1 : -1], strict=True)
    ]
    order = [0, *itertools.chain(*((1 + a, 1 + rank + a) for a in range(rank))), 2 * rank + 1]
    return jnp.transpose(cells, order).reshape(cells.shape[0], *sizes, cells.shape[-1])


def cell_counts(geometry: Geometry) -> tuple[int, ...]:
    """Cells of ``stride`` that the full output spans, per axis."""
    return tuple(a.input + a.blocks[-1].shift for a in geometry)


def crop(full: jax.Array, geometry: Geometry) -> jax.Array:
    """The output, out of an array that starts where the full output does."""
    return window(full, [a.lo for a in geometry], geometry.output)


def uncrop(y: jax.Array, geometry: Geometry, more: int = 0) -> jax.Array:
    """``y`` laid into whole cells that start where the full output does.

    ``more`` is a number of cells to add behind along the first axis.
    """
    lengths = [q * a.stride for q, a in zip(cell_counts(geometry), geometry, strict=True)]
    lengths[0] += more * geometry.stride[0]
    return window(y, [-a.lo for a in geometry], lengths)


def overlap_add(stamps: jax.Array, geometry: Geometry) -> jax.Array:
    """Stamps ``(b, *input, *kernel, c)`` laid ``stride`` apart and added: ``(b, *output, c)``."""
    cells = reduce(jnp.add, (_laid(stamps, geometry, block) for block in geometry.blocks))
    return crop(from_cells(cells), geometry)


def _laid(stamps: jax.Array, geometry: Geometry, blocks: tuple[Block, ...]) -> jax.Array:
    """The part of every stamp that ``blocks`` cut out, laid into the cells it lands in."""
    rank = len(blocks)
    taps = tuple(slice(b.tap, b.tap + b.count) for b in blocks)
    part = stamps[(slice(None),) * (1 + rank) + taps]
    space = [(b.shift, a.blocks[-1].shift - b.shift) for a, b in zip(geometry, blocks, strict=True)]
    within = [
        (b.residue, a.stride - b.residue - b.count) for a, b in zip(geometry, blocks, strict=True)
    ]
    return pad(part, [(0, 0), *space, *within, (0, 0)])


def unfold(y: jax.Array, geometry: Geometry) -> jax.Array:
    """The adjoint: what each stamp would cover, ``(b, *input, *kernel, c)``."""
    cells = to_cells(uncrop(y, geometry), geometry.stride)
    return _gathered(cells, geometry, ())


def _gathered(cells: jax.Array, geometry: Geometry, chosen: tuple[Block, ...]) -> jax.Array:
    rank, depth = len(geometry), len(chosen)
    if depth < rank:
        parts = [_gathered(cells, geometry, (*chosen, b)) for b in geometry.axes[depth].blocks]
        return jnp.concatenate(parts, axis=1 + rank + depth)
    space = tuple(slice(b.shift, b.shift + a.input) for a, b in zip(geometry, chosen, strict=True))
    within = tuple(slice(b.residue, b.residue + b.count) for b in chosen)
    return cells[(slice(None), *space, *within)]


def split_groups(x: jax.Array, groups: int) -> jax.Array:
    """``(..., g*c)`` to ``(g, ..., c)``."""
    if groups == 1:
        return x[None]
    return jnp.moveaxis(x.reshape(*x.shape[:-1], groups, x.shape[-1] // groups), -2, 0)


def join_groups(x: jax.Array) -> jax.Array:
    """``(g, ..., c)`` to ``(..., g*c)``."""
    if x.shape[0] == 1:
        return x[0]
    x = jnp.moveaxis(x, 0, -2)
    return x.reshape(*x.shape[:-2], x.shape[-2] * x.shape[-1])


def merge_groups(x: jax.Array, groups: int) -> jax.Array:
    """``(N, *S, g*c)`` to ``(g*N, *S, c)``: groups as so many more examples."""
    split = split_groups(x, groups)
    return split.reshape(groups * x.shape[0], *split.shape[2:])


def unmerge_groups(x: jax.Array, groups: int) -> jax.Array:
    """``(g*N, *S, c)`` to ``(N, *S, g*c)``."""
    return join_groups(x.reshape(groups, x.shape[0] // groups, *x.shape[1:]))


def as_rows(x: jax.Array, groups: int) -> jax.Array:
    """``(N, *S, g*c)`` to ``(g, N*S, c)``."""
    split = split_groups(x, groups)
    return split.reshape(groups, math.prod(x.shape[:-1]), split.shape[-1])
