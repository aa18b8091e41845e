"""The warpgroup that fetches: some steps ahead of the others, as far as the ring has room."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from jax import lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import mosaic_gpu as plgpu

from jtconv.algorithms.pallas.hopper.memory import Memory, tiles

# Starts the copies of one step: its place, its number there, and its slot of the ring.
Load = Callable[[Any, Any, Any], None]


def fetch(load: Load, plan: Any, memory: Memory) -> None:
    """Everything that this block multiplies, in order."""

    @tiles(plan)
    def fetched(loop: Any, carry: Any) -> Any:
        place = plan.place(loop.index[0])

        def step(number: Any, done: Any) -> Any:
            slot = done % plan.stages
            _await(done >= plan.stages, memory.free.at[slot])
            load(place, number, slot)
            return done + 1

        return lax.fori_loop(0, place.steps, step, carry)

    # What was handed back last must have been before memory is: nobody else waits for it.
    for number in range(plan.stages):
        last = fetched - plan.stages + number
        _await(last >= 0, memory.free.at[last % plan.stages])


def _await(needed: Any, barrier: Any) -> None:
    pl.when(needed)(partial(plgpu.barrier_wait, barrier))
