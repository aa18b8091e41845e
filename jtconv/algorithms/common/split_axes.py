"""Arrays whose spatial axes are split in position into blocks of one stride each.

Every axis becomes a pair, the block and the position within it: ``(N, q0, s0, q1, s1, ..., g)``.
Unlike space-to-depth nothing moves in memory, so elementwise work between such arrays runs along
whole rows, which is what makes it fast on a CPU.  x has a single position in each block.  Where a
group has several channels, their axes follow as ``(g, c, o)``, of length one for what an array
does not have; depthwise arrays go without, since XLA:CPU copies arrays to settle the order of such
axes.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jtconv.algorithms.common import arrays
from jtconv.problem.geometry import Block, Geometry
from jtconv.problem.task import Task

Blocks = tuple[Block, ...]


def is_depthwise(task: Task) -> bool:
    """One channel in and one out, in each group."""
    return task.x_channels_per_group == task.y_channels_per_group == 1


def channels(task: Task, x: bool = True, y: bool = True) -> tuple[int, ...]:
    """The axes of channels of an array that has those of ``x``, of ``y`` or of both."""
    within = (
        ()
        if is_depthwise(task)
        else (task.x_channels_per_group if x else 1, task.y_channels_per_group if y else 1)
    )
    return task.groups, *within


def paired(blocks: Sequence[int], positions: Sequence[int]) -> tuple[int, ...]:
    """``(q0, s0, q1, s1, ...)``."""
    return tuple(itertools.chain(*zip(blocks, positions, strict=True)))


def of_x(x: jax.Array, task: Task) -> jax.Array:
    """``(N, *n, g*c)`` split, in the dtype sums are held in."""
    space = paired(x.shape[1:-1], (1,) * len(task.geometry))
    return x.astype(task.accumulator).reshape(x.shape[0], *space, *channels(task, y=False))


def of_y(y: jax.Array, task: Task) -> jax.Array:
    """``(N, *(q*s), g*o)`` split, in the dtype sums are held in."""
    strides = task.geometry.stride
    space = paired([n // s for n, s in zip(y.shape[1:-1], strides, strict=True)], strides)
    return y.astype(task.accumulator).reshape(y.shape[0], *space, *channels(task, x=False))


def joined(a: jax.Array, positions: int = 1) -> jax.Array:
    """A depthwise array with the last two axes as one: inner loops long enough for vectors.

    Where it has one position, and that stands for all, ``positions`` repeats it.
    """
    a = jnp.concatenate([a] * positions, axis=-2)
    return a.reshape(*a.shape[:-2], a.shape[-2] * a.shape[-1])


def of_kernel(w: jax.Array, task: Task) -> jax.Array:
    """``(*kernel, c, g*o)`` to ``(*kernel, g, c, o)``, in the dtype sums are held in."""
    w = w.astype(task.accumulator).reshape(*w.shape[:-1], task.groups, task.y_channels_per_group)
    return jnp.swapaxes(w, -3, -2).reshape(*task.geometry.kernel, *channels(task))


def to_kernel(w: jax.Array, task: Task) -> jax.Array:
    """The inverse."""
    kernel = task.geometry.kernel
    w = w.reshape(*kernel, task.groups, task.x_channels_per_group, task.y_channels_per_group)
    return jnp.swapaxes(w, -3, -2).reshape(*kernel, task.x_channels_per_group, task.y_channels)


def taps(block: Blocks) -> tuple[slice, ...]:
    """The slice of the kernel that a block is."""
    return tuple(slice(b.tap, b.tap + b.count) for b in block)


def block_of_kernel(kernel: jax.Array, block: Blocks, g: Geometry) -> jax.Array:
    """One block of taps as one block of ``stride`` cells, zero where it has no tap."""
    pads = [(b.residue, a.stride - b.residue - b.count) for a, b in zip(g, block, strict=True)]
    others = kernel.ndim - len(g)
    part = arrays.pad(kernel[taps(block)], pads + [(0, 0)] * others)
    return part.reshape(1, *paired((1,) * len(g), g.stride), *part.shape[len(g) :])


def masked(y: jax.Array, block: Blocks, g: Geometry) -> jax.Array:
    """``y`` where a block has taps and zero elsewhere, even where ``y`` is infinite there."""
    if all(b.count == a.stride for a, b in zip(g, block, strict=True)):
        return y
    mask = np.zeros(g.stride, bool)
    mask[tuple(slice(b.residue, b.residue + b.count) for b in block)] = True
    space = paired((1,) * len(g), g.stride)
    return jnp.where(mask.reshape(1, *space, *(1,) * (y.ndim - 1 - len(space))), y, 0)


def read_by(
    a: jax.Array, block: Blocks, sizes: Sequence[int], row: jax.Array | int = 0, run: int = 1
) -> jax.Array:
    """What ``sizes`` positions of x read of ``a`` through one block of taps.

    ``row`` is the first of them along the first axis, and ``run`` the numbers that each of the
    last positions takes (more than one in a joined array).
    """
    a = lax.dynamic_slice_in_dim(a, row + block[0].shift, sizes[0], 1)
    blocks = [slice(b.shift, b.shift + n) for b, n in zip(block, sizes, strict=True)]
    blocks[0] = slice(None)
    positions = [slice(b.residue, b.residue + b.count) for b in block]
    positions[-1] = slice(positions[-1].start * run, positions[-1].stop * run)
    return a[(slice(None), *itertools.chain(*zip(blocks, positions, strict=True)))]
