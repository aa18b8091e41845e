"""The warpgroups that multiply: sums in registers, then the bias, one rounding and one store."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import mosaic_gpu as plgpu

from jtconv.methods.kernels.hopper.memory import Memory, box_at, same_bytes, tiles
from jtconv.methods.kernels.hopper.plan import Place, Plan


def multiply(bias: Any, result: Any, plan: Plan, memory: Memory) -> None:
    """This warpgroup's half of every tile."""
    shape = (math.prod(plan.box), plan.columns)

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
        at = box_at(plan, corner, phases, place.column + first)
        plgpu.copy_smem_to_gmem(by_axes, result.at[at])
