"""The kernel gradient inside: sums in registers, over one part of the cells."""

from __future__ import annotations

import itertools
from functools import partial
from typing import Any

import jax.numpy as jnp
from jax import lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import mosaic_gpu as plgpu

from jtconv.algorithms.pallas.hopper.gradient.plan import LINE, Place, Plan
from jtconv.algorithms.pallas.hopper.memory import (
    Memory,
    box_at,
    ring,
    same_bytes,
    tiled,
    tiles,
    twofold,
)
from jtconv.algorithms.pallas.hopper.tile import MULTIPLIERS


def scratch(plan: Plan, dtype: Any) -> Memory:
    """Boxes of y and of x, by lines of channels, and a square of the result."""
    box, (down, across) = plan.boxes.shape, _lines(plan)
    return Memory(
        a=twofold((plan.stages, MULTIPLIERS, down), box, LINE, dtype),
        b=twofold((plan.stages, across), box, LINE, dtype),
        out=tiled((MULTIPLIERS, LINE, LINE), jnp.float32),
        **ring(MULTIPLIERS * down + across, plan.stages),
    )


def load(arrays: Any, plan: Plan, memory: Memory, place: Place, number: Any, slot: Any) -> None:
    """Start the copies of one step."""
    x, y, _ = arrays
    box, corner = plan.boxes.shape, plan.boxes.corner(place.first + number)
    full, (down, across) = memory.full.at[slot], _lines(plan)
    for multiplier in range(MULTIPLIERS):
        first, shifts = plan.under(place, multiplier)
        for line in range(down):
            at = box_at(box, corner, shifts, pl.ds(first + line * LINE, LINE))
            plgpu.copy_gmem_to_smem(y.at[at], memory.a[1].at[slot, multiplier, line], full)
    cells = [pl.ds(start, size) for start, size in zip(corner, box, strict=True)]
    first = place.group * plan.depth + place.column * plan.tile.columns
    for line in range(across):
        at = (*cells, pl.ds(first + line * LINE, LINE))
        plgpu.copy_gmem_to_smem(x.at[at], memory.b[1].at[slot, line], full)


def multiply(arrays: Any, plan: Plan, memory: Memory) -> None:
    """This warpgroup's half of every tile."""
    *_, result = arrays
    squares = list(itertools.product(*map(range, _lines(plan))))

    @tiles(plan)
    def tile(loop: Any, carry: Any) -> Any:
        place = plan.place(loop.index[0])

        def products(*sums: Any) -> Any:
            each = dict(zip(squares, sums, strict=True))
            step = partial(_step, sums=each, plan=plan, memory=memory)
            done = lax.fori_loop(0, place.steps, step, carry)
            return done, *(total[...] for total in sums)

        empty = [plgpu.ACC((LINE, LINE), jnp.float32) for _ in squares]
        done, *sums = pl.run_scoped(products, *empty)
        for square, total in zip(squares, sums, strict=True):
            _store(total, result, plan, place, square, memory)
        return done

    plgpu.wait_smem_to_gmem(0)


def _lines(plan: Plan) -> tuple[int, int]:
    """Lines of channels of a warpgroup's rows, and of the columns."""
    return plan.tile.rows // LINE, plan.tile.columns // LINE


def _step(number: Any, done: Any, *, sums: Any, plan: Plan, memory: Memory) -> Any:
    me, slot = lax.axis_index("warpgroup"), done % plan.stages
    plgpu.barrier_wait(memory.full.at[slot])
    same_bytes(memory.a[1].at[slot, me], memory.a[0].at[slot, me])
    same_bytes(memory.b[1].at[slot], memory.b[0].at[slot])
    for (down, across), total in sums.items():
        rows = memory.a[0].at[slot, me, down].transpose((1, 0))
        plgpu.wgmma(total, rows, memory.b[0].at[slot, across])
    plgpu.wgmma_wait(0)
    plgpu.barrier_arrive(memory.free.at[slot])
    return done + 1


def _store(
    total: Any, result: Any, plan: Plan, place: Place, square: tuple[int, ...], memory: Memory
) -> None:
    me, (down, across) = lax.axis_index("warpgroup"), square
    row = plan.row(place, me) + down * LINE
    column = place.column * plan.tile.columns + across * LINE
    plgpu.wait_smem_to_gmem(0, wait_read_only=True)
    memory.out.at[me][...] = total
    plgpu.commit_smem()
    to = result.at[pl.ds(row, LINE), pl.ds(column, LINE)]
    plgpu.copy_smem_to_gmem(memory.out.at[me], to)
