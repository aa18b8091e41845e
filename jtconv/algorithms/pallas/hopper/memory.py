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

from jtconv.algorithms.pallas.hopper.tile import MULTIPLIERS
from jtconv.algorithms.pallas.interpret import simulation


class Memory(NamedTuple):
    """Shared memory of one block, or the types of it."""

    a: Any  # what warpgroups have to themselves: a ring of steps, by warpgroups
    b: Any  # what they share, a ring of steps
    out: Any  # results on their way out, by warpgroups
    full: Any  # barriers of the ring: a step has been fetched
    free: Any  # and has been multiplied


def tiled(shape: tuple[int, ...], dtype: Any) -> Any:
    """Memory in tiles, as products want it; a row of a tile is as wide as the swizzle."""
    size = jnp.dtype(dtype).itemsize
    line = min(shape[-1], 128 // size)
    transforms = plgpu.TilingTransform((8, line)), plgpu.SwizzleTransform(line * size)
    return plgpu.SMEM(shape, dtype, transforms=transforms)


def twofold(slots: tuple[int, ...], box: tuple[int, ...], line: int, dtype: Any) -> Any:
    """Boxes in tiles and by their axes."""
    swizzle = (plgpu.SwizzleTransform(line * jnp.dtype(dtype).itemsize),)
    by_axes = plgpu.SMEM((*slots, *box, line), dtype, transforms=swizzle)
    return plgpu.RefUnion(tiled((*slots, math.prod(box), line), dtype), by_axes)


def ring(copies: int, stages: int) -> dict[str, Any]:
    """The barriers of a ring whose steps take so many copies."""
    return {
        "full": plgpu.Barrier(num_arrivals=copies, num_barriers=stages),
        "free": plgpu.Barrier(num_arrivals=MULTIPLIERS, num_barriers=stages),
    }


def same_bytes(written: Any, read: Any) -> None:
    """Nothing on a GPU; carried over where members of a union are simulated apart."""
    if simulation() is not None:
        read[...] = written[...].reshape(read.shape)


def tiles(plan: Any) -> Any:
    """A loop over this block's tiles; the number of steps done so far is carried along."""
    return plgpu.nd_loop((math.prod(plan.grid),), collective_axes="block", init_carry=jnp.int32(0))


def box_at(
    box: tuple[int, ...], corner: tuple[Any, ...], shifts: Any, channels: Any
) -> tuple[Any, ...]:
    """A box of cells, shifted, of one phase an axis, as an index of an array in phases."""
    first, *starts = corner
    index = [pl.ds(first, box[0])]
    for start, (shift, phase), size in zip(starts, shifts, box[1:], strict=True):
        index += [pl.ds(start + shift, size), phase]
    return (*index, channels)
