"""Which block of each array a program of the TPU kernel's grid has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
from jax.experimental import pallas as pl

from jtconv.algorithms.pallas.tpu.blocks import Blocks


class Program(NamedTuple):
    """A program's place."""

    group: Any
    example: Any  # groups are so many more examples
    block: Any  # of rows
    chunk: Any  # of the channels of x


At = Callable[..., Program]


def chunks_last(a: jax.Array) -> At:
    """Grids of dgrad, which sums over chunks, and of fprop, which keeps its window for all."""
    return lambda group, n, h, c: Program(group, group * a.shape[0] + n, h, c)


def chunks_first(a: jax.Array) -> At:
    """Grids of wgrad, which sums over all examples and rows."""
    return lambda group, c, n, h: Program(group, group * a.shape[0] + n, h, c)


def window(a: jax.Array, b: Blocks, at: At, channels: int) -> pl.BlockSpec:
    """Rows with their halo: windows of neighbouring blocks overlap, so counted in elements."""
    shape = (1, b.window, *a.shape[2:-1], channels)
    chunked = channels < a.shape[-1]

    def index(*program: Any) -> tuple[Any, ...]:
        p = at(*program)
        rest = (0,) * (len(shape) - 3)
        return (p.example, p.block * b.rows, *rest, p.chunk * channels if chunked else 0)

    return pl.BlockSpec(tuple(pl.Element(size) for size in shape), index)


def rows(a: Any, b: Blocks, at: At, channels: int) -> pl.BlockSpec:
    """Rows that no other block has."""
    shape = (1, b.rows, *a.shape[2:-1], channels)
    chunked = channels < a.shape[-1]

    def index(*program: Any) -> tuple[Any, ...]:
        p = at(*program)
        return (p.example, p.block, *(0,) * (len(shape) - 3), p.chunk if chunked else 0)

    return pl.BlockSpec(shape, index)


def kernel(w: Any, b: Blocks, at: At, channels: int) -> pl.BlockSpec:
    """The whole kernel of one group, but a chunk of its axis ``channels``."""
    before, after = w.shape[1:channels], w.shape[channels + 1 :]

    def index(*program: Any) -> tuple[Any, ...]:
        p = at(*program)
        return (p.group, *(0,) * len(before), p.chunk, *(0,) * len(after))

    return pl.BlockSpec((1, *before, b.chunk, *after), index)


def bias(lanes: Any, channels: int, at: At) -> pl.BlockSpec:
    """The row that the sums of one group begin as, or a chunk of it."""
    chunked = channels < lanes.shape[-1]

    def index(*program: Any) -> tuple[Any, ...]:
        p = at(*program)
        return (p.group, 0, p.chunk if chunked else 0)

    return pl.BlockSpec((1, 1, channels), index)
