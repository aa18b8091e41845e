"""The warpgroup that fetches: some steps ahead of the others, as far as the ring has room."""

from __future__ import annotations

from functools import partial
from typing import Any

from jax import lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import mosaic_gpu as plgpu

from jtconv.methods.kernels.hopper.memory import Memory, box_at, tiles
from jtconv.methods.kernels.hopper.plan import MULTIPLIERS, Plan


def fetch(source: Any, w: Any, plan: Plan, memory: Memory) -> None:
    """Everything that this block multiplies, in order."""

    @tiles(plan)
    def fetched(loop: Any, carry: Any) -> Any:
        place = plan.place(loop.index[0])
        corners = [plan.corner(place, multiplier) for multiplier in range(MULTIPLIERS)]

        def step(number: Any, done: Any) -> Any:
            slot = done % plan.stages
            _await(done >= plan.stages, memory.free.at[slot])
            reads = plan.reads(place, number)
            for multiplier, corner in enumerate(corners):
                at = box_at(plan, corner, reads.shifts, reads.channel)
                to = memory.a[1].at[slot, multiplier]
                plgpu.copy_gmem_to_smem(source.at[at], to, memory.full.at[slot])
            row, first = reads.kernel
            tile = pl.ds(row, plan.columns), pl.ds(first, plan.chunk)
            plgpu.copy_gmem_to_smem(w.at[tile], memory.b.at[slot], memory.full.at[slot])
            return done + 1

        return lax.fori_loop(0, place.steps, step, carry)

    # What was handed back last must have been before memory is: nobody else waits for it.
    for number in range(plan.stages):
        last = fetched - plan.stages + number
        _await(last >= 0, memory.free.at[last % plan.stages])


def _await(needed: Any, barrier: Any) -> None:
    pl.when(needed)(partial(plgpu.barrier_wait, barrier))
