"""Phases together: one problem of stride 1 between x and the cells of the full output.

Where the kernel is a multiple of the stride, or filled up to one, all phases read the same
inputs: a cell of ``s`` outputs per axis is one output with ``s`` times the channels.  That
problem takes one of three roads: `mirror`, with patches of the narrow x, `mec`, where there are
many taps and x is not narrow, or `unit`, XLA's own convolution.
"""

from __future__ import annotations

import math
from dataclasses import replace
from types import ModuleType

import jax

from jtconv.geometry import Axis, Geometry
from jtconv.methods import cells, mec, mirror, unit
from jtconv.methods.task import Task

# Patches are gathered tap by tap: past this many XLA takes long to compile it.
MOST_TAPS = 64

# Phases of so many taps are worth a tap of zeros, so that all have as many.
MANY_TAPS = 4


def possible(g: Geometry) -> bool:
    """Whether the phases of every axis read the same inputs, or nearly."""
    return all(a.stride == 1 or (a.dilation == 1 and _is_nearly_whole(a)) for a in g)


def _is_nearly_whole(a: Axis) -> bool:
    return a.kernel % a.stride == 0 or a.kernel >= MANY_TAPS * a.stride


def taps(g: Geometry) -> int:
    """Taps of the longest phase."""
    return math.prod(-(-a.kernel // a.stride) for a in g)


def dgrad(x: jax.Array, w: jax.Array, task: Task) -> jax.Array:
    """x, w -> y."""
    return cells.to_y(_road(task).dgrad(x, cells.of_kernel(w, task), _unit(task)), task)


def fprop(y: jax.Array, w: jax.Array, task: Task) -> jax.Array:
    """y, w -> x."""
    x: jax.Array = _road(task).fprop(cells.of_y(y, task), cells.of_kernel(w, task), _unit(task))
    return x


def wgrad(x: jax.Array, y: jax.Array, task: Task) -> jax.Array:
    """x, y -> w."""
    return cells.to_kernel(_road(task).wgrad(x, cells.of_y(y, task), _unit(task)), task)


def patches(task: Task) -> int:
    """Numbers in patches of x along all axes."""
    return task.x_size * taps(task.geometry)


def copies(task: Task) -> int:
    """Numbers in patches and stamps of :mod:`mec`, where it can do this."""
    return mec.copies(_unit(task))


def held(task: Task) -> int:
    """Bytes of either."""
    if possible(task.geometry) and _road(task) is mec:
        return mec.held(_unit(task))
    return patches(task) * task.accumulator.itemsize


def too_many_taps(task: Task) -> bool:
    """Whether the kernel gradient would gather so many taps that XLA compiles it for long."""
    many = taps(task.geometry) > MOST_TAPS
    return many and not (possible(task.geometry) and _road(task) is mec)


def _road(task: Task) -> ModuleType:
    """How the problem of stride 1 is done: patches are gathered, stamps come out of a product."""
    if task.platform != "cpu":
        return unit
    few = taps(task.geometry) <= MOST_TAPS
    can = mec.possible(_unit(task).geometry)
    if can and not (few and 2 * patches(task) <= copies(task)):
        return mec
    return mirror if few else unit


def _unit(task: Task) -> Task:
    """The task of stride 1: only the cells that the output touches are computed."""
    axes = tuple(
        Axis(a.input, -(-a.kernel // a.stride), cells.count(a), 1, a.dilation, a.lo // a.stride)
        for a in task.geometry
    )
    channels = math.prod(task.geometry.stride) * task.out_channels
    return replace(task, geometry=Geometry(axes, task.groups), out_channels=channels)
