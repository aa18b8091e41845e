"""MEC: patches along one axis, stamps along the others.

Patches of all axes hold as many copies of x as the kernel has cells, stamps as many of y.  Where
the stride of the last axis is 1, gather x along that axis alone:

    P[i, q, (t, c)] = x[i, q - d*t + lo, c]

and a problem without that axis is left, with ``k`` times the channels of x.  A kernel of 7 by 7
then holds 7 copies of each, not 49 of one, and takes 14 moves, not 49.

Cho and Brand, "MEC: memory-efficient convolution for deep neural network" (arXiv:1706.06873).
"""

from __future__ import annotations

import math
from dataclasses import replace

import jax
from jax import lax

from jtconv.geometry import Axis, Geometry
from jtconv.methods import mirror, moves, stamps, strips
from jtconv.methods.task import Task

# Each move is a term that XLA compiles; past this many, along one axis or all the others, it
# takes long.
MOST_TAPS = 100

# Copies of more than this are made and used in strips of about half that (bytes).
MOST_BYTES = 32 * 2**20


def possible(g: Geometry) -> bool:
    """Whether there is an axis to gather along, and one to stamp along."""
    taps = math.prod(len(a.blocks) for a in g.axes[:-1]), g.axes[-1].kernel
    return len(g) > 1 and g.axes[-1].stride == 1 and max(taps) <= MOST_TAPS


def copies(task: Task) -> int:
    """Numbers that patches and stamps hold."""
    *others, last = task.geometry.axes
    patches = math.prod(a.input for a in others) * last.output * last.kernel * task.channels
    cells = math.prod(a.input * a.kernel for a in others) * last.output
    return task.batch * (patches + cells * task.out_channels)


def held(task: Task) -> int:
    """Bytes of the patches and stamps that are held at once."""
    return copies(task) * task.accumulator.itemsize // _strips(task)


def dgrad(x: jax.Array, w: jax.Array, task: Task) -> jax.Array:
    """x, w -> y."""
    return strips.run(_dgrad, x, w, task, _strips(task))


def fprop(y: jax.Array, w: jax.Array, task: Task) -> jax.Array:
    """y, w -> x."""
    return strips.run(_fprop, y, w, task, _strips(task))


def wgrad(x: jax.Array, y: jax.Array, task: Task) -> jax.Array:
    """x, y -> w."""
    return strips.run(_wgrad, x, y, task, _strips(task))


def _dgrad(x: jax.Array, w: jax.Array, task: Task) -> jax.Array:
    return stamps.dgrad(_patches(x, task), _kernel(w, task), _others(task))


def _fprop(y: jax.Array, w: jax.Array, task: Task) -> jax.Array:
    patches = stamps.fprop(y, _kernel(w, task), _others(task))
    along, patches = _along(task), _swapped(patches, task.groups, task.depth)
    shape = (*patches.shape[:-1], *along.kernel, task.channels)
    return moves.overlap_add(patches.reshape(shape), along)


def _wgrad(x: jax.Array, y: jax.Array, task: Task) -> jax.Array:
    w = stamps.wgrad(_patches(x, task), y, _others(task))
    w = w.reshape(*task.geometry.kernel, task.depth, task.out_channels)
    return lax.rev(w, (len(task.geometry) - 1,))


def _strips(task: Task) -> int:
    size = copies(task) * task.accumulator.itemsize
    return strips.count(size, MOST_BYTES, MOST_BYTES // 2, task)


def _along(task: Task) -> Geometry:
    """The gathering: the mirror image of the last axis, beside others that stay as they are."""
    *others, last = task.geometry.axes
    return Geometry((*(Axis(a.input, 1, a.input) for a in others), mirror.axis(last)))


def _others(task: Task) -> Task:
    """What is left to do: a last axis of one tap, whose channels are patches."""
    *others, last = task.geometry.axes
    rest = Geometry((*others, Axis(last.output, 1, last.output)), task.groups)
    return replace(task, geometry=rest, channels=last.kernel * task.channels)


def _patches(x: jax.Array, task: Task) -> jax.Array:
    """``x`` gathered along the last axis: ``(N, *S, Q, g * t * c)``."""
    patches = moves.unfold(x, _along(task))
    space = patches.shape[: 1 + len(task.geometry)]
    return _swapped(patches.reshape(*space, -1), task.geometry.axes[-1].kernel, task.depth)


def _swapped(patches: jax.Array, first: int, depth: int) -> jax.Array:
    """Taps and groups, of which ``first`` lie outside of the others, trade places."""
    apart = patches.reshape(*patches.shape[:-1], first, -1, depth)
    return apart.swapaxes(-2, -3).reshape(patches.shape)


def _kernel(w: jax.Array, task: Task) -> jax.Array:
    """``w`` with the taps of the last axis among the channels, in the order of the patches."""
    rank = len(task.geometry)
    turned = lax.rev(w, (rank - 1,))
    return turned.reshape(*w.shape[: rank - 1], 1, -1, w.shape[-1])
