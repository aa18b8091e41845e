"""The depthwise kernel gradient: the sums of all taps stay in registers on the way down a column.

A warpgroup goes down its column in some of the examples and writes what every tap sums to once,
in float32, for each position of its width; XLA adds those up, little beside the rows it read.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import mosaic_gpu as plgpu

from jtconv.algorithms.pallas.depthwise.columns import (
    Columns,
    each,
    load_with_halo,
    source_index,
)
from jtconv.algorithms.pallas.interpret import simulation
from jtconv.algorithms.pallas.tiling import unravel

BLOCKS = 264  # enough to fill an H100 twice: as many parts as that takes share the examples


def shares(columns: Columns) -> tuple[int, int, int]:
    """Parts of the batch, columns and lines of channels: a block each."""
    batch, *others = columns.grid
    parts = [n for n in range(1, batch + 1) if batch % n == 0]
    enough = [n for n in parts if n * others[0] * others[1] >= BLOCKS]
    return (enough or [batch])[0], others[0], others[1]


def launch(columns: Columns, dtype: Any) -> Any:
    """The kernel as a function of x, and of y in positions and phases."""
    simulated, (parts, across, lines) = simulation(), shares(columns)
    taps = columns.taps[0] - 1, *columns.taps[1:]
    sums = parts * across, *taps[:2], columns.channels
    return plgpu.kernel(
        partial(_kernel, columns=columns),
        out_type=jax.ShapeDtypeStruct(sums, jnp.float32),
        grid=(parts * across * lines,),
        grid_names=("block",),
        scratch_types={
            "cells": plgpu.SMEM((columns.rows, columns.width, columns.line), dtype),
            "rows": plgpu.SMEM(columns.source, dtype),
            "out": plgpu.SMEM(taps, jnp.float32),
            "arrived": plgpu.Barrier(num_arrivals=columns.source[0] + 1),
        },
        compiler_params=plgpu.CompilerParams(lowering_semantics=plgpu.LoweringSemantics.Lane),
        interpret=simulated.how if simulated else None,
    )


def _kernel(x: Any, y: Any, w: Any, *, columns: Columns, **memory: Any) -> None:
    parts, across, lines = shares(columns)
    part, column, line = unravel(lax.axis_index("block"), (parts, across, lines))
    first, channels = column * columns.width, pl.ds(line * columns.line, columns.line)
    row_tiles, share = columns.row_tiles, columns.batch // parts

    def row_tile(number: Any) -> tuple[Any, ...]:
        example, top = part * share + number // row_tiles, number % row_tiles * columns.rows
        return _row_tile(x, y, columns, (example, top, first, channels), **memory)

    def add(number: Any, sums: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(a + b for a, b in zip(sums, row_tile(number), strict=True))

    begin = row_tile(part - part)  # zero, but no constant: those may not lie outside of an array
    for tap, total in enumerate(lax.fori_loop(1, share * row_tiles, add, begin)):
        memory["out"][tap] = total
    plgpu.commit_smem()
    plgpu.copy_smem_to_gmem(memory["out"], w.at[part * across + column, :, :, channels])
    plgpu.wait_smem_to_gmem(0)


def _row_tile(
    x: Any,
    y: Any,
    columns: Columns,
    at: tuple[Any, ...],
    cells: Any,
    rows: Any,
    arrived: Any,
    out: Any,
) -> tuple[Any, ...]:
    """What every tap sums over some rows of one example."""
    example, top, first, channels = at
    corner = example, pl.ds(top, columns.rows), pl.ds(first, columns.width), channels
    plgpu.copy_gmem_to_smem(x.at[corner], cells, arrived)
    load_with_halo(y, rows, arrived, columns, at)
    plgpu.barrier_wait(arrived)
    sums = tuple(_sums(cells, rows, columns, tap) for tap in each(columns.schedule.kernel))
    plgpu.commit_smem()  # all have read what comes to be overwritten
    return sums


def _sums(cells: Any, rows: Any, columns: Columns, tap: tuple[int, ...]) -> Any:
    """What one tap sums over some rows, in float32, for each position of the width."""
    sums = jnp.zeros((columns.width, columns.line), jnp.float32)
    for row in range(columns.rows):
        source = rows[source_index(columns, (0, 0), tap, row)]
        sums += cells[row].astype(jnp.float32) * source.astype(jnp.float32)
    return sums
