"""What a program of the TPU kernel computes, from references to blocks in VMEM."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental import pallas as pl

from jtconv.algorithms.pallas.tpu import cells
from jtconv.algorithms.pallas.tpu.blocks import Blocks
from jtconv.algorithms.pallas.tpu.landing import Phases, landing, select
from jtconv.problem.geometry import Geometry


def dgrad(x: Any, w: Any, bias: Any, y: Any, sums: Any, *, g: Geometry, b: Blocks) -> None:
    """Rows of y, summed over chunks."""
    step, reaches = pl.program_id(3), [r.reach for r in cells.rasters(g)]

    @pl.when(step == 0)
    def _begin() -> None:
        sums[...] = jnp.broadcast_to(bias[0], sums.shape)

    for number, shift in enumerate(cells.shifts(g)):
        starts = [reach - n for reach, n in zip(reaches, shift, strict=True)]
        rows = x[_at(b, starts, (0,) * (len(g) - 1))].reshape(b.cells, b.chunk)
        product = _dot(rows, w[0, number], (1, 0), sums.dtype)
        sums[...] += select(product, tuple(itertools.chain(*landing(g, shift))))

    @pl.when(step == pl.num_programs(3) - 1)
    def _write() -> None:
        lanes = y.shape[-1]
        for number, phase in enumerate(cells.inner_phases(g)):
            part = sums[:, number * lanes : (number + 1) * lanes].astype(y.dtype)
            whole = _at(b, (0,) * len(g), phase)
            y[whole] = part.reshape(b.rows, *b.counts[1:], lanes)


def fprop(y: Any, w: Any, bias: Any, x: Any, *, g: Geometry, b: Blocks) -> None:
    """Rows of a chunk of x."""
    sums = jnp.broadcast_to(bias[0], (b.cells, b.chunk))
    for shift, phase, met, rows in _under(y, g, b):
        sums += _dot(select(rows, met), w[0, shift, phase], (1, 1), bias.dtype)
    x[...] = sums.astype(x.dtype).reshape(x.shape)


def wgrad(x: Any, y: Any, w: Any, *, g: Geometry, b: Blocks) -> None:
    """A chunk of the kernel, summed over programs."""

    @pl.when((pl.program_id(2) == 0) & (pl.program_id(3) == 0))
    def _clear() -> None:
        w[...] = jnp.zeros(w.shape, w.dtype)

    cells_of_x = x[...].reshape(b.cells, b.chunk)
    for shift, phase, _, rows in _under(y, g, b):
        w[0, shift, phase] += _dot(cells_of_x, rows, (0, 0), w.dtype)


def _under(y: Any, g: Geometry, b: Blocks) -> Iterator[tuple[int, int, Phases, jax.Array]]:
    """What of y lies under the cells of x, for every shift and phase that its taps land on."""
    for number, shift in enumerate(cells.shifts(g)):
        landed = zip(cells.inner_phases(g), landing(g, shift), strict=True)
        for inner, (phase, met) in enumerate(landed):
            if any(met):
                rows = y[_at(b, shift, phase)].reshape(b.cells, y.shape[-1])
                yield number, inner, met, rows


def _at(b: Blocks, starts: Any, phase: tuple[int, ...]) -> tuple[Any, ...]:
    """The block's cells of one phase, from ``starts`` on."""
    sizes = (b.rows, *b.counts[1:])
    space = [pl.ds(start, size) for start, size in zip(starts, sizes, strict=True)]
    index: list[Any] = [0]
    for axis, inner in zip(space, (*phase, None), strict=True):
        index += [axis] if inner is None else [axis, inner]
    return (*index, slice(None))


def _dot(a: jax.Array, b: jax.Array, over: tuple[int, int], dtype: Any) -> jax.Array:
    # The precision in force where a kernel is traced is that of jax.config: the default of
    # TPUs rounds float32 to bfloat16.
    exact = lax.Precision.HIGHEST if a.dtype == jnp.float32 else None
    numbers = (((over[0],), (over[1],)), ((), ()))
    return lax.dot_general(a, b, numbers, precision=exact, preferred_element_type=dtype)
