"""Inside the depthwise kernel: one warpgroup, going down its column."""

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

from jtconv.algorithms.pallas.depthwise.columns import Columns
from jtconv.algorithms.pallas.interpret import simulation
from jtconv.algorithms.pallas.phased import fronts
from jtconv.algorithms.pallas.tiling import unravel


def launch(result: jax.ShapeDtypeStruct, columns: Columns) -> Any:
    """The kernel as a function of source and taps, both as ``sides`` lays them."""
    simulated, dtype = simulation(), result.dtype
    return plgpu.kernel(
        partial(_kernel, columns=columns),
        out_type=result,
        grid=(math.prod(columns.grid),),
        grid_names=("block",),
        scratch_types={
            "rows": plgpu.SMEM(columns.source, dtype),
            "taps": plgpu.SMEM(columns.taps, dtype),
            "out": plgpu.SMEM(columns.result, dtype),
            "arrived": plgpu.Barrier(num_arrivals=columns.source[0]),
            "begun": plgpu.Barrier(),
        },
        compiler_params=plgpu.CompilerParams(lowering_semantics=plgpu.LoweringSemantics.Lane),
        interpret=simulated.how if simulated else None,
    )


def _kernel(source: Any, w: Any, result: Any, *, columns: Columns, **memory: Any) -> None:
    example, column, line = unravel(lax.axis_index("block"), columns.grid)
    first, lanes = column * columns.width, pl.ds(line * columns.line, columns.line)
    plgpu.copy_gmem_to_smem(w.at[:, :, lanes], memory["taps"], memory["begun"])
    plgpu.barrier_wait(memory["begun"])

    def strip(number: Any, _: tuple[()]) -> tuple[()]:
        at = example, number * columns.rows, first, lanes
        halo(source, memory["rows"], memory["arrived"], columns, at)
        plgpu.barrier_wait(memory["arrived"])
        _strip(result, columns, at, memory["rows"], memory["taps"], memory["out"])
        return ()

    lax.fori_loop(0, -(-columns.walk.results[0] // columns.rows), strip, ())
    plgpu.wait_smem_to_gmem(0)


def _strip(
    result: Any, columns: Columns, at: tuple[Any, ...], rows: Any, taps: Any, out: Any
) -> None:
    """Every phase of some rows, and on to where it belongs."""
    example, top, first, lanes = at
    plgpu.wait_smem_to_gmem(0, wait_read_only=True)
    for slot, phase in enumerate(each(columns.walk.phases)):
        for row in range(columns.rows):
            out[slot, row] = _cells(rows, taps, columns, phase, row).astype(out.dtype)
    plgpu.commit_smem()
    for slot, (a, b) in enumerate(each(columns.walk.phases)):
        to = (example, pl.ds(top, columns.rows), a, pl.ds(first, columns.width), b, lanes)
        plgpu.copy_smem_to_gmem(out.at[slot], result.at[to])


def each(sizes: tuple[int, ...]) -> Any:
    """Every place in a box of these sizes."""
    return itertools.product(*map(range, sizes))


def halo(source: Any, rows: Any, arrived: Any, columns: Columns, at: tuple[Any, ...]) -> None:
    """Fetch rows with their halo, every phase of them."""
    example, *corner, lanes = at
    laid = zip(corner, columns.walk.axes, fronts(columns.walk), rows.shape[1:3], strict=True)
    down, across = (pl.ds(start - axis.front + front, n) for start, axis, front, n in laid)
    for slot, (a, b) in enumerate(each(columns.walk.source_phases)):
        index = (example, down, a, across, b, lanes)
        plgpu.copy_gmem_to_smem(source.at[index], rows.at[slot], arrived)


def _cells(rows: Any, taps: Any, columns: Columns, phase: tuple[int, ...], row: int) -> Any:
    """One row of cells of one phase, summed in float32, the bias first."""
    walk = columns.walk
    sums = taps[columns.taps[0] - 1].astype(jnp.float32)
    for number in each(walk.counts(phase)):
        tap, (down, across) = walk.step(phase, number)
        slot = down.phase * walk.source_phases[1] + across.phase
        left = across.shift + walk.axes[1].front
        source = rows[slot, row + down.shift + walk.axes[0].front, left : left + columns.width]
        sums += source.astype(jnp.float32) * taps[tap].astype(jnp.float32)
    return sums
