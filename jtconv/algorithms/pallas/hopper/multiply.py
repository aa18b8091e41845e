"""dgrad and fprop inside: sums in registers, then the bias, one rounding and one store."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import mosaic_gpu as plgpu

from jtconv.algorithms.pallas.hopper.memory import (
    Memory,
    box_at,
    ring,
    same_bytes,
    tiled,
    tiles,
    twofold,
)
from jtconv.algorithms.pallas.hopper.plan import Place, Plan
from jtconv.algorithms.pallas.hopper.tile import MULTIPLIERS


def scratch(plan: Plan, dtype: Any) -> Memory:
    """Boxes of the source, tiles of the kernel, and boxes of the result."""
    box, stages = plan.boxes.shape, plan.stages
    return Memory(
        a=twofold((stages, MULTIPLIERS), box, plan.chunk, dtype),
        b=tiled((stages, plan.columns, plan.chunk), dtype),
        out=twofold((MULTIPLIERS,), box, plan.chunk, dtype),
        **ring(MULTIPLIERS + 1, stages),
    )


def load(arrays: Any, plan: Plan, memory: Memory, place: Place, number: Any, slot: Any) -> None:
    """Start the copies of one step."""
    source, w, *_ = arrays
    reads = plan.reads(place, number)
    channels = pl.ds(reads.channel, plan.chunk)
    for multiplier in range(MULTIPLIERS):
        corner = plan.corner(place, multiplier)
        at = box_at(plan.boxes.shape, corner, reads.shifts, channels)
        to = memory.a[1].at[slot, multiplier]
        plgpu.copy_gmem_to_smem(source.at[at], to, memory.full.at[slot])
    row, first = reads.kernel
    tile = pl.ds(row, plan.columns), pl.ds(first, plan.chunk)
    plgpu.copy_gmem_to_smem(w.at[tile], memory.b.at[slot], memory.full.at[slot])


def multiply(arrays: Any, plan: Plan, memory: Memory) -> None:
    """This warpgroup's half of every tile."""
    *_, bias, result = arrays
    shape = (math.prod(plan.boxes.shape), plan.columns)

    @tiles(plan)
    def tile(loop: Any, carry: Any) -> Any:
        place = plan.place(loop.index[0])

        def products(sums: Any) -> Any:
            step = partial(_step, sums=sums, plan=plan, memory=memory)
            return lax.fori_loop(0, place.steps, step, carry), sums[...]

        done, sums = pl.run_scoped(products, plgpu.ACC(shape, jnp.float32))
        sums += _under_each_row(bias.at[pl.ds(place.column, plan.columns)], shape)
        _store(sums.astype(result.dtype), result, plan, place, memory)
        return done

    plgpu.wait_smem_to_gmem(0)


def _step(number: Any, done: Any, *, sums: Any, plan: Plan, memory: Memory) -> Any:
    me, slot = lax.axis_index("warpgroup"), done % plan.stages
    plgpu.barrier_wait(memory.full.at[slot])
    same_bytes(memory.a[1].at[slot, me], memory.a[0].at[slot, me])
    plgpu.wgmma(sums, memory.a[0].at[slot, me], memory.b.at[slot].transpose((1, 0)))
    plgpu.wgmma_wait(0)
    plgpu.barrier_arrive(memory.free.at[slot])
    return done + 1


def _under_each_row(bias: Any, shape: tuple[int, int]) -> Any:
    # jax 0.10 wants an index apart from the reference, later versions none.
    index = () if jax.__version_info__ >= (0, 11) else (...,)
    row = plgpu.load(bias, *index, layout=plgpu.Layout.WGMMA.reduce(0), optimized=False)
    return lax.broadcast_in_dim(row, shape, [1])


def _store(sums: Any, result: Any, plan: Plan, place: Place, memory: Memory) -> None:
    me = lax.axis_index("warpgroup")
    corner, phases = plan.corner(place, me), [(0, phase) for phase in place.phase]
    in_tiles, by_axes = (part.at[me] for part in memory.out)
    for first in range(0, plan.columns, plan.chunk):
        plgpu.wait_smem_to_gmem(0, wait_read_only=True)
        in_tiles[...] = sums[:, first : first + plan.chunk]
        same_bytes(in_tiles, by_axes)
        plgpu.commit_smem()
        channels = pl.ds(place.column + first, plan.chunk)
        at = box_at(plan.boxes.shape, corner, phases, channels)
        plgpu.copy_smem_to_gmem(by_axes, result.at[at])
