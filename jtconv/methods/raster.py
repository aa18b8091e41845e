"""Rasters: arrays whose spatial axes are split in place into cells of one stride each.

Every axis becomes a pair, the cell and the place within it: ``(N, q0, s0, q1, s1, ..., g)``.
Nothing moves in memory, so elementwise work between rasters runs along whole rows, which is
what makes it fast on a CPU.  x has a single place in each cell.  Where a group has several
channels, their axes follow as ``(g, c, o)``, of length one for what an array does not have;
depthwise rasters go without, since XLA:CPU copies arrays to settle the order of such axes.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jtconv.geometry import Block, Geometry
from jtconv.methods import moves
from jtconv.methods.task import Task

Blocks = tuple[Block, ...]


def is_depthwise(task: Task) -> bool:
    """One channel in and one out, in each group."""
    return task.depth == task.width == 1


def channels(task: Task, x: bool = True, y: bool = True) -> tuple[int, ...]:
    """The axes of channels of a raster that has those of ``x``, of ``y`` or of both."""
    within = () if is_depthwise(task) else (task.depth if x else 1, task.width if y else 1)
    return task.groups, *within


def paired(cells: Sequence[int], places: Sequence[int]) -> tuple[int, ...]:
    """``(q0, s0, q1, s1, ...)``."""
    return tuple(itertools.chain(*zip(cells, places, strict=True)))


def of_x(x: jax.Array, task: Task) -> jax.Array:
    """``(N, *n, g*c)`` as a raster, in the dtype sums are held in."""
    space = paired(x.shape[1:-1], (1,) * len(task.geometry))
    return x.astype(task.accumulator).reshape(x.shape[0], *space, *channels(task, y=False))


def of_y(y: jax.Array, task: Task) -> jax.Array:
    """``(N, *(q*s), g*o)`` as a raster, in the dtype sums are held in."""
    strides = task.geometry.stride
    space = paired([n // s for n, s in zip(y.shape[1:-1], strides, strict=True)], strides)
    return y.astype(task.accumulator).reshape(y.shape[0], *space, *channels(task, x=False))


def merged(raster: jax.Array, places: int = 1) -> jax.Array:
    """A depthwise raster with the last two axes as one: inner loops long enough for vectors.

    Where it has one place, and that stands for all, ``places`` repeats it.
    """
    raster = jnp.concatenate([raster] * places, axis=-2)
    return raster.reshape(*raster.shape[:-2], raster.shape[-2] * raster.shape[-1])


def of_kernel(w: jax.Array, task: Task) -> jax.Array:
    """``(*kernel, c, g*o)`` to ``(*kernel, g, c, o)``, in the dtype sums are held in."""
    w = w.astype(task.accumulator).reshape(*w.shape[:-1], task.groups, task.width)
    return jnp.swapaxes(w, -3, -2).reshape(*task.geometry.kernel, *channels(task))


def to_kernel(w: jax.Array, task: Task) -> jax.Array:
    """The way back."""
    kernel = task.geometry.kernel
    w = w.reshape(*kernel, task.groups, task.depth, task.width)
    return jnp.swapaxes(w, -3, -2).reshape(*kernel, task.depth, task.out_channels)


def taps(block: Blocks) -> tuple[slice, ...]:
    """Where a block lies in the kernel."""
    return tuple(slice(b.tap, b.tap + b.count) for b in block)


def block_of_kernel(kernel: jax.Array, block: Blocks, g: Geometry) -> jax.Array:
    """One block as a raster of a single cell, zero where it has no tap."""
    margins = [(b.residue, a.stride - b.residue - b.count) for a, b in zip(g, block, strict=True)]
    others = kernel.ndim - len(g)
    part = moves.pad(kernel[taps(block)], margins + [(0, 0)] * others)
    return part.reshape(1, *paired((1,) * len(g), g.stride), *part.shape[len(g) :])


def covered(y: jax.Array, block: Blocks, g: Geometry) -> jax.Array:
    """``y`` where a block has taps and zero elsewhere, even where ``y`` is infinite there."""
    if all(b.count == a.stride for a, b in zip(g, block, strict=True)):
        return y
    mask = np.zeros(g.stride, bool)
    mask[tuple(slice(b.residue, b.residue + b.count) for b in block)] = True
    space = paired((1,) * len(g), g.stride)
    return jnp.where(mask.reshape(1, *space, *(1,) * (y.ndim - 1 - len(space))), y, 0)


def under(
    raster: jax.Array, block: Blocks, sizes: Sequence[int], row: jax.Array | int = 0, run: int = 1
) -> jax.Array:
    """The part of a raster that a block covers as its stamp moves over ``sizes`` inputs.

    ``row`` is the first of them along the first axis, and ``run`` the numbers that each of the
    last places takes (more than one in a merged raster).
    """
    raster = lax.dynamic_slice_in_dim(raster, row + block[0].shift, sizes[0], 1)
    cells = [slice(b.shift, b.shift + n) for b, n in zip(block, sizes, strict=True)]
    cells[0] = slice(None)
    places = [slice(b.residue, b.residue + b.count) for b in block]
    places[-1] = slice(places[-1].start * run, places[-1].stop * run)
    return raster[(slice(None), *itertools.chain(*zip(cells, places, strict=True)))]
