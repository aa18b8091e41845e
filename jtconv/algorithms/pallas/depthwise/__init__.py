"""The kernels for depthwise layers on GPUs: memory is the limit, so each number moves once.

A warpgroup has a column of the result to itself, some positions wide and as many channels as one
line of memory, and goes down it a few rows at a time.  TMA brings the rows with their halo, each of
their phases, and fills what lies outside with zeros; every position is summed in registers in
float32, from shifted views of the same rows, and TMA takes each phase to the positions it owns.
The kernel lies in shared memory all the while, repeated along the width, so that it has the shape
of what it multiplies, and the bias after its last tap.  No tensor core would help: there is one
channel a group.

For a kernel gradient the sums of all taps stay in registers.  A warpgroup goes down its column in
some of the examples and writes what every tap sums to once, in float32, for each position of its
width; XLA adds those up, little beside the rows it read.

columns    the work in integers

Never run on a GPU: they are lowered for CUDA, and interpreted on jax 0.11 and later.
"""

from __future__ import annotations

import itertools
import math
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import mosaic_gpu as plgpu

from jtconv.algorithms.common import arrays
from jtconv.algorithms.pallas.depthwise.columns import LINE_BYTES, MOST_SUMS, TILES, Columns, tiles
from jtconv.algorithms.pallas.interpret import simulation
from jtconv.algorithms.pallas.tiling import unravel
from jtconv.problem.task import Task

__all__ = ["dgrad", "fprop", "refuse", "tiles", "wgrad"]

MOST_PRODUCTS = 128  # unrolled for one row


def refuse(task: Task) -> str | None:
    """Why not."""
    if task.dtype.name not in ("float16", "bfloat16", "float32") or task.result_dtype != task.dtype:
        return f"it takes and gives floats of 16 or 32 bits, not {task.dtype}-{task.result_dtype}"
    if len(task.geometry) > 2:
        return "it is written for one or two axes"
    line, taps = LINE_BYTES // task.dtype.itemsize, math.prod(task.geometry.kernel)
    if task.x_channels % line:
        return f"it goes by lines of {line} channels, and there are {task.x_channels}"
    if taps > MOST_PRODUCTS:
        return f"it would unroll {taps} products"
    narrow = min(TILES.values())
    most = MOST_SUMS // narrow.width
    if task.side == "wgrad" and taps > most:
        return f"it keeps the sums of {most} taps at most, not {taps}"
    if not tiles(task):
        needed = Columns.cut(1, task, narrow).line_count * LINE_BYTES
        return f"it needs {needed >> 10} KiB of shared memory"
    return None


def dgrad(x: jax.Array, w: jax.Array, task: Task, bias: jax.Array | None) -> jax.Array:
    """x, w -> y."""
    return arrays.window(_run(x, w, task, bias), (0,) * len(task.geometry), task.geometry.y_size)


def fprop(y: jax.Array, w: jax.Array, task: Task, bias: jax.Array | None) -> jax.Array:
    """y, w -> x."""
    return _run(y, w, task, bias)


def wgrad(x: jax.Array, y: jax.Array, task: Task) -> jax.Array:
    """x, y -> w."""
    columns = Columns.of(x.shape[0], task)
    if len(task.geometry) == 1:
        x, y = x[:, None], y[:, None]
    parts, across, _ = columns.shares
    taps = columns.taps[0] - 1, *columns.taps[1:]
    result = jax.ShapeDtypeStruct((parts * across, *taps[:2], columns.channels), jnp.float32)
    scratch = {
        "cells": plgpu.SMEM((columns.rows, columns.tile.width, columns.line), x.dtype),
        "rows": plgpu.SMEM(columns.source, x.dtype),
        "out": plgpu.SMEM(taps, jnp.float32),
        "arrived": plgpu.Barrier(num_arrivals=columns.source[0] + 1),
    }
    kernel = _launch(_wgrad_kernel, columns, result, math.prod(columns.shares), scratch)
    sums = kernel(x, columns.schedule.split(y))
    w = jnp.sum(sums, (0, 2)).reshape(*task.geometry.kernel, 1, task.x_channels)
    return w.astype(task.result_dtype)


def _run(source: jax.Array, w: jax.Array, task: Task, bias: jax.Array | None) -> jax.Array:
    columns, plain = Columns.of(source.shape[0], task), len(task.geometry) == 1
    source = source[:, None] if plain else source
    last = jnp.zeros(task.x_channels, w.dtype) if bias is None else bias
    taps = jnp.concatenate([w.reshape(-1, task.x_channels), last[None]])
    taps = jnp.repeat(taps[:, None], columns.tile.width, axis=1)
    shape = columns.schedule.result_shape(columns.batch, task.x_channels)
    result = jax.ShapeDtypeStruct(shape, source.dtype)
    scratch = {
        "rows": plgpu.SMEM(columns.source, source.dtype),
        "taps": plgpu.SMEM(columns.taps, source.dtype),
        "out": plgpu.SMEM(columns.result, source.dtype),
        "arrived": plgpu.Barrier(num_arrivals=columns.source[0]),
        "begun": plgpu.Barrier(),
    }
    kernel = _launch(_conv_kernel, columns, result, math.prod(columns.grid), scratch)
    y = columns.schedule.join(kernel(columns.schedule.split(source), taps))
    return y[:, 0] if plain else y


def _launch(kernel: Any, columns: Columns, result: Any, blocks: int, scratch: Any) -> Any:
    simulated = simulation()
    return plgpu.kernel(
        partial(kernel, columns=columns),
        out_type=result,
        grid=(blocks,),
        grid_names=("block",),
        scratch_types=scratch,
        compiler_params=plgpu.CompilerParams(lowering_semantics=plgpu.LoweringSemantics.Lane),
        interpret=simulated.how if simulated else None,
    )


def _each(sizes: tuple[int, ...]) -> Any:
    """Every index of an array of these sizes."""
    return itertools.product(*map(range, sizes))


def _load_with_halo(source: Any, rows: Any, arrived: Any, columns: Columns, at: Any) -> None:
    """Load rows with their halo, every phase of them."""
    example, *corner, channels = at
    schedule = columns.schedule
    laid = zip(corner, schedule.axes, schedule.pads, rows.shape[1:3], strict=True)
    down, across = (pl.ds(start - axis.halo[0] + pad, n) for start, axis, pad, n in laid)
    for slot, (a, b) in enumerate(_each(schedule.source_phases)):
        index = (example, down, a, across, b, channels)
        plgpu.copy_gmem_to_smem(source.at[index], rows.at[slot], arrived)


# Inside the kernel of dgrad and fprop.


def _conv_kernel(source: Any, w: Any, result: Any, *, columns: Columns, **memory: Any) -> None:
    example, column, line = unravel(lax.axis_index("block"), columns.grid)
    first, channels = column * columns.tile.width, pl.ds(line * columns.line, columns.line)
    plgpu.copy_gmem_to_smem(w.at[:, :, channels], memory["taps"], memory["begun"])
    plgpu.barrier_wait(memory["begun"])

    def row_tile(number: Any, _: tuple[()]) -> tuple[()]:
        at = example, number * columns.rows, first, channels
        _load_with_halo(source, memory["rows"], memory["arrived"], columns, at)
        plgpu.barrier_wait(memory["arrived"])
        _conv_row_tile(result, columns, at, memory["rows"], memory["taps"], memory["out"])
        return ()

    lax.fori_loop(0, columns.row_tiles, row_tile, ())
    plgpu.wait_smem_to_gmem(0)


def _conv_row_tile(
    result: Any, columns: Columns, at: tuple[Any, ...], rows: Any, taps: Any, out: Any
) -> None:
    """Every phase of some rows, and on to where it belongs."""
    example, top, first, channels = at
    plgpu.wait_smem_to_gmem(0, wait_read_only=True)
    for slot, phase in enumerate(_each(columns.schedule.phases)):
        for row in range(columns.rows):
            out[slot, row] = _sums(rows, taps, columns, phase, row).astype(out.dtype)
    plgpu.commit_smem()
    for slot, (a, b) in enumerate(_each(columns.schedule.phases)):
        to = (example, pl.ds(top, columns.rows), a, pl.ds(first, columns.tile.width), b, channels)
        plgpu.copy_smem_to_gmem(out.at[slot], result.at[to])


def _sums(rows: Any, taps: Any, columns: Columns, phase: tuple[int, ...], row: int) -> Any:
    """One row of one phase, summed in float32, the bias first."""
    schedule = columns.schedule
    sums = taps[columns.taps[0] - 1].astype(jnp.float32)
    for number in _each(schedule.counts(phase)):
        tap, _ = schedule.step(phase, number)
        source = rows[columns.source_index(phase, number, row)]
        sums += source.astype(jnp.float32) * taps[tap].astype(jnp.float32)
    return sums


# Inside the kernel of wgrad.


def _wgrad_kernel(x: Any, y: Any, w: Any, *, columns: Columns, **memory: Any) -> None:
    parts, across, _ = columns.shares
    part, column, line = unravel(lax.axis_index("block"), columns.shares)
    first, channels = column * columns.tile.width, pl.ds(line * columns.line, columns.line)
    row_tiles, share = columns.row_tiles, columns.batch // parts

    def row_tile(number: Any) -> tuple[Any, ...]:
        example, top = part * share + number // row_tiles, number % row_tiles * columns.rows
        return _wgrad_row_tile(x, y, columns, (example, top, first, channels), **memory)

    def add(number: Any, sums: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(a + b for a, b in zip(sums, row_tile(number), strict=True))

    begin = row_tile(part - part)  # zero, but no constant: those may not lie outside of an array
    for tap, total in enumerate(lax.fori_loop(1, share * row_tiles, add, begin)):
        memory["out"][tap] = total
    plgpu.commit_smem()
    plgpu.copy_smem_to_gmem(memory["out"], w.at[part * across + column, :, :, channels])
    plgpu.wait_smem_to_gmem(0)


def _wgrad_row_tile(
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
    corner = example, pl.ds(top, columns.rows), pl.ds(first, columns.tile.width), channels
    plgpu.copy_gmem_to_smem(x.at[corner], cells, arrived)
    _load_with_halo(y, rows, arrived, columns, at)
    plgpu.barrier_wait(arrived)
    sums = tuple(_tap_sums(cells, rows, columns, tap) for tap in _each(columns.schedule.kernel))
    plgpu.commit_smem()  # all have read what comes to be overwritten
    return sums


def _tap_sums(cells: Any, rows: Any, columns: Columns, tap: tuple[int, ...]) -> Any:
    """What one tap sums over some rows, in float32, for each position of the width."""
    sums = jnp.zeros((columns.tile.width, columns.line), jnp.float32)
    for row in range(columns.rows):
        source = rows[columns.source_index((0, 0), tap, row)]
        sums += cells[row].astype(jnp.float32) * source.astype(jnp.float32)
    return sums
