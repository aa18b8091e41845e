"""Phases together: one problem of stride 1 between x and the cells of the full output.

Where the kernel is a multiple of the stride, all phases read the same inputs: a cell of
``s`` outputs per axis is one output with ``s`` times the channels.  That problem takes one of
three roads: `mirror`, with patches of the narrow x, `mec`, where there are many taps and x is
not narrow, or `unit`, XLA's own convolution.
"""

from __future__ import annotations

import math
from dataclasses import replace
from types import ModuleType

import jax
import jax.numpy as jnp

from jtconv.geometry import Axis, Geometry
from jtconv.methods import mec, mirror, moves, unit
from jtconv.methods.task import Task

# Patches are gathered tap by tap: past this many XLA takes long to compile it.
MOST_TAPS = 64


def possible(g: Geometry) -> bool:
    """Whether the phases of every axis read the same inputs."""
    return all(a.dilation == 1 and a.kernel % a.stride == 0 for a in g)


def taps(g: Geometry) -> int:
    """Taps of the longest phase."""
    return math.prod(-(-a.kernel // a.stride) for a in g)


def dgrad(x: jax.Array, w: jax.Array, task: Task) -> jax.Array:
    """x, w -> y."""
    cells = _road(task).dgrad(x, _kernel_to_cells(w, task), _unit(task))
    within = [a.lo % a.stride for a in task.geometry]
    return moves.window(moves.from_cells(_split(cells, task)), within, task.geometry.output)


def fprop(y: jax.Array, w: jax.Array, task: Task) -> jax.Array:
    """y, w -> x."""
    x: jax.Array = _road(task).fprop(_cells(y, task), _kernel_to_cells(w, task), _unit(task))
    return x


def wgrad(x: jax.Array, y: jax.Array, task: Task) -> jax.Array:
    """x, y -> w."""
    return _kernel_from_cells(_road(task).wgrad(x, _cells(y, task), _unit(task)), task)


def patches(task: Task) -> int:
    """Numbers in patches of x along all axes."""
    return task.batch * math.prod(task.geometry.input) * task.channels * taps(task.geometry)


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
        Axis(a.input, a.kernel // a.stride, _cell_count(a), lo=a.lo // a.stride)
        for a in task.geometry
    )
    cells = math.prod(task.geometry.stride)
    return replace(
        task,
        geometry=Geometry(axes, task.groups),
        out_channels=cells * task.out_channels,
    )


def _cell_count(axis: Axis) -> int:
    """Cells of ``stride`` that the output touches, in the full output's raster."""
    return -(-(axis.lo % axis.stride + axis.output) // axis.stride)


def _cells(y: jax.Array, task: Task) -> jax.Array:
    """``y`` as ``(N, *cells, g * s * o)``."""
    g = task.geometry
    lengths = [_cell_count(a) * a.stride for a in g]
    whole = moves.window(y, [-(a.lo % a.stride) for a in g], lengths)
    return _join(moves.to_cells(whole, g.stride), task)


def _split(cells: jax.Array, task: Task) -> jax.Array:
    """``(N, *Q, g * s * o)`` to ``(N, *Q, *s, g * o)``."""
    g, rank = task.geometry, len(task.geometry)
    cells = cells.reshape(*cells.shape[: 1 + rank], g.groups, *g.stride, task.width)
    cells = jnp.moveaxis(cells, 1 + rank, -2)
    return cells.reshape(*cells.shape[:-2], task.out_channels)


def _join(cells: jax.Array, task: Task) -> jax.Array:
    """``(N, *Q, *s, g * o)`` to ``(N, *Q, g * s * o)``."""
    g, rank = task.geometry, len(task.geometry)
    cells = cells.reshape(*cells.shape[:-1], g.groups, task.width)
    cells = jnp.moveaxis(cells, -2, 1 + rank)
    return cells.reshape(*cells.shape[: 1 + rank], math.prod(cells.shape[1 + rank :]))


def _kernel_to_cells(w: jax.Array, task: Task) -> jax.Array:
    """``(*(T*s), c, g * o)`` to ``(*T, c, g * s * o)``."""
    depth_last = jnp.moveaxis(w, -2, 0)
    cells = moves.to_cells(depth_last, task.geometry.stride)
    return jnp.moveaxis(_join(cells, task), 0, -2)


def _kernel_from_cells(w: jax.Array, task: Task) -> jax.Array:
    """The way back."""
    return jnp.moveaxis(moves.from_cells(_split(jnp.moveaxis(w, -2, 0), task)), 0, -2)
