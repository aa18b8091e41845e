"""Phases together: one problem of stride 1 between x and the cells of the full output.

Where the kernel is a multiple of the stride, all phases read the same inputs: a cell of
``s`` outputs per axis is one output with ``s`` times the channels.  And a problem of stride 1
has a mirror image, in which x and y trade places and the kernel is turned round; on a CPU the
products of that image are the fast ones, with patches of the narrow x, not of the wide cells.
"""

from __future__ import annotations

import math
from dataclasses import replace

import jax
import jax.numpy as jnp
from jax import lax

from jtconv.geometry import Axis, Geometry
from jtconv.layout import adjoint_kernel
from jtconv.methods import convolution, moves, stamps
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
    unit, kernel = _unit(task), _kernel_to_cells(w, task)
    if _by_products(task):
        cells = stamps.fprop(x, _mirrored_kernel(kernel, unit), _mirrored(unit))
    else:
        cells = convolution.unit_dgrad(x, kernel, unit)
    within = [a.lo % a.stride for a in task.geometry]
    return moves.window(moves.from_cells(_split(cells, task)), within, task.geometry.output)


def fprop(y: jax.Array, w: jax.Array, task: Task) -> jax.Array:
    """y, w -> x."""
    unit, kernel = _unit(task), _kernel_to_cells(w, task)
    if _by_products(task):
        return stamps.dgrad(_cells(y, task), _mirrored_kernel(kernel, unit), _mirrored(unit))
    return convolution.unit_fprop(_cells(y, task), kernel, unit)


def wgrad(x: jax.Array, y: jax.Array, task: Task) -> jax.Array:
    """x, y -> w."""
    unit, cells = _unit(task), _cells(y, task)
    if _by_products(task):
        kernel = _mirrored_kernel(stamps.wgrad(cells, x, _mirrored(unit)), unit)
    else:
        kernel = convolution.unit_wgrad(x, cells, unit)
    return _kernel_from_cells(kernel, task)


def _by_products(task: Task) -> bool:
    return task.platform == "cpu" and taps(task.geometry) <= MOST_TAPS


def _mirrored(task: Task) -> Task:
    """The mirror image of a task of stride 1."""
    axes = (Axis(a.output, a.kernel, a.input, lo=a.kernel - 1 - a.lo) for a in task.geometry)
    return replace(
        task,
        geometry=Geometry(tuple(axes), task.groups),
        channels=task.out_channels,
        out_channels=task.channels,
    )


def _mirrored_kernel(w: jax.Array, task: Task) -> jax.Array:
    return adjoint_kernel(lax.rev(w, range(len(task.geometry))), task.groups)


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
