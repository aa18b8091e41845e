"""Array reshapes that the algorithms share: pad, crop, space-to-depth, channel groups.

All of it is linear, static in shape, and written so that XLA can fuse it into one pass.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import DTypeLike

from jtconv.problem.geometry import Geometry
from jtconv.problem.symbolic import Size

Pads = Sequence[tuple[Size, Size]]


def zeros(shape: Sequence[Any], like: jax.Array, dtype: DTypeLike) -> jax.Array:
    """Zeros that vary over the same manual mesh axes (of ``jax.shard_map``) as ``like``."""
    blank = jnp.zeros(tuple(shape), dtype)
    axes = tuple(jax.typeof(like).mat.varying)
    return lax.pcast(blank, axes, to="varying") if axes else blank


def pad(x: jax.Array, pads: Pads) -> jax.Array:
    """Zeros added (or, where negative, cells cut) in front of and behind each axis."""
    if all(lo == hi == 0 for lo, hi in pads):
        return x
    return lax.pad(x, jnp.zeros((), x.dtype), [(lo, hi, 0) for lo, hi in pads])


def pad_space(x: jax.Array, pads: Pads) -> jax.Array:
    """:func:`pad` for the spatial axes of a channels-last array."""
    return pad(x, [(0, 0), *pads, (0, 0)])


def window(x: jax.Array, starts: Sequence[int], sizes: Sequence[int]) -> jax.Array:
    """``sizes`` spatial cells from ``starts`` on, zero where that leaves the array."""
    there = zip(starts, sizes, x.shape[1:-1], strict=True)
    return pad_space(x, [(-start, start + size - n) for start, size, n in there])


def space_to_depth(y: jax.Array, block: Sequence[int]) -> jax.Array:
    """``(b, *(q*s), c)`` to ``(b, *q, *s, c)`` for blocks of ``s`` cells per axis."""
    rank = len(block)
    pairs = [(n // s, s) for n, s in zip(y.shape[1:-1], block, strict=True)]
    y = y.reshape(y.shape[0], *itertools.chain(*pairs), y.shape[-1])
    order = [0, *range(1, 2 * rank, 2), *range(2, 2 * rank + 1, 2), 2 * rank + 1]
    return jnp.transpose(y, order)


def depth_to_space(blocks: jax.Array) -> jax.Array:
    """``(b, *q, *s, c)`` to ``(b, *(q*s), c)``: the inverse."""
    rank = (blocks.ndim - 2) // 2
    pairs = zip(blocks.shape[1 : rank + 1], blocks.shape[rank + 1 : -1], strict=True)
    sizes = [q * s for q, s in pairs]
    order = [0, *itertools.chain(*((1 + a, 1 + rank + a) for a in range(rank))), 2 * rank + 1]
    return jnp.transpose(blocks, order).reshape(blocks.shape[0], *sizes, blocks.shape[-1])


def block_counts(geometry: Geometry) -> tuple[int, ...]:
    """Blocks of ``stride`` cells that the full output spans, per axis."""
    return tuple(a.x_size + a.blocks[-1].shift for a in geometry)


def crop(full: jax.Array, geometry: Geometry) -> jax.Array:
    """The output, out of an array that starts where the full output does."""
    return window(full, [a.lo for a in geometry], geometry.y_size)


def uncrop(y: jax.Array, geometry: Geometry, more: int = 0) -> jax.Array:
    """``y`` in whole blocks of ``stride`` cells, starting where the full output does.

    ``more`` is a number of blocks to add behind along the first axis.
    """
    sizes = [q * a.stride for q, a in zip(block_counts(geometry), geometry, strict=True)]
    sizes[0] += more * geometry.stride[0]
    return window(y, [-a.lo for a in geometry], sizes)


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


def each_group(function: Callable[[jax.Array], jax.Array], split: jax.Array) -> jax.Array:
    """``function`` of the array of each group, ``(g, ...)``.

    Groups are an axis of their own, and not so many more examples: XLA keeps a batch that is
    sharded in its place, but would gather one that is joined with an axis before it.
    """
    return function(split[0])[None] if split.shape[0] == 1 else jax.vmap(function)(split)


def matrices(x: jax.Array, groups: int) -> jax.Array:
    """``(N, *S, g*c)`` to ``(g, N*S, c)``: one matrix a group."""
    split = split_groups(x, groups)
    return split.reshape(groups, math.prod(x.shape[:-1]), split.shape[-1])
