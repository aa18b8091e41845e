"""What the three warpgroups share: memory, barriers to meet at, and the way through the tiles.

One thing leans on how Mosaic lays memory out.  Products want boxes in tiles of eight rows, copies
want them by their axes, and as a box is as wide as the swizzle both are the same bytes: they are
two members of a ``RefUnion``, each starting at its first byte.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import mosaic_gpu as plgpu

from jtconv.methods.kernels.hopper.plan import MULTIPLIERS, Plan
from jtconv.methods.kernels.interpret import simulation


class Memory(NamedTuple):
    """Shared memory of one block; boxes are twofold, in tiles and by their axes."""

    a: Any  # boxes of the source: a ring of steps, by warpgroups
    b: Any  # tiles of the kernel, a ring of steps
    out: Any  # boxes of the result, by warpgroups
    full: Any  # barriers of the ring: a step has been fetched
    free: Any  # and has been multiplied


def scratch(plan: Plan, dtype: Any) -> Memory:
    """The types of it."""
    swizzle = (plgpu.SwizzleTransform(plan.chunk * dtype.itemsize),)
    tiled = (plgpu.TilingTransform((8, plan.chunk)), *swizzle)
    rows = math.prod(plan.box)

    def twofold(*slots: int) -> Any:
        return plgpu.RefUnion(
            plgpu.SMEM((*slots, rows, plan.chunk), dtype, transforms=tiled),
            plgpu.SMEM((*slots, *plan.box, plan.chunk), dtype, transforms=swizzle),
        )

    return Memory(
        a=twofold(plan.stages, MULTIPLIERS),
        b=plgpu.SMEM((plan.stages, plan.columns, plan.chunk), dtype, transforms=tiled),
        out=twofold(MULTIPLIERS),
        full=plgpu.Barrier(num_arrivals=MULTIPLIERS + 1, num_barriers=plan.stages),
        free=plgpu.Barrier(num_arrivals=MULTIPLIERS, num_barriers=plan.stages),
    )


def same_bytes(written: Any, read: Any) -> None:
    """Nothing on a GPU; carried over where members of a union are simulated apart."""
    if simulation() is not None:
        read[...] = written[...].reshape(read.shape)


def tiles(plan: Plan) -> Any:
    """A loop over this block's tiles; the number of steps done so far is carried along."""
    return plgpu.nd_loop((math.prod(plan.grid),), collective_axes="block", init_carry=jnp.int32(0))


def box_at(plan: Plan, corner: Any, shifts: Any, channel: Any) -> tuple[Any, ...]:
    """A box of cells, shifted, of one phase an axis, as an index of an array of cells."""
    first, *starts = corner
    index = [pl.ds(first, plan.box[0])]
    for start, (shift, phase), size in zip(starts, shifts, plan.box[1:], strict=True):
        index += [pl.ds(start + shift, size), phase]
    return (*index, pl.ds(channel, plan.chunk))
