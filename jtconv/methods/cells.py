"""Cells of one stride each, as channels: how y and the kernel look where phases are merged."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp

from jtconv.geometry import Axis
from jtconv.methods import moves
from jtconv.methods.task import Task


def count(axis: Axis) -> int:
    """Cells of ``stride`` that the output touches, in the full output's raster."""
    return -(-(axis.lo % axis.stride + axis.output) // axis.stride)


def of_y(y: jax.Array, task: Task) -> jax.Array:
    """``y`` as ``(N, *cells, g * s * o)``."""
    g = task.geometry
    lengths = [count(a) * a.stride for a in g]
    whole = moves.window(y, [-(a.lo % a.stride) for a in g], lengths)
    return _join(moves.to_cells(whole, g.stride), task)


def to_y(cells: jax.Array, task: Task) -> jax.Array:
    """The way back."""
    within = [a.lo % a.stride for a in task.geometry]
    return moves.window(moves.from_cells(_split(cells, task)), within, task.geometry.output)


def of_kernel(w: jax.Array, task: Task) -> jax.Array:
    """``(*k, c, g * o)`` to ``(*T, c, g * s * o)``, where ``T*s`` is ``k`` or a little more."""
    depth_first = moves.pad_space(
        jnp.moveaxis(w, -2, 0), [(0, -a.kernel % a.stride) for a in task.geometry]
    )
    cells = moves.to_cells(depth_first, task.geometry.stride)
    return jnp.moveaxis(_join(cells, task), 0, -2)


def to_kernel(w: jax.Array, task: Task) -> jax.Array:
    """The way back."""
    w = jnp.moveaxis(moves.from_cells(_split(jnp.moveaxis(w, -2, 0), task)), 0, -2)
    return w[tuple(slice(k) for k in task.geometry.kernel)]


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
