"""phases: plain stride-1 convolutions, one per output phase, interleaved.

Outputs ``r, r + s, r + 2s, ...`` never share a kernel cell with the outputs between them, so a
transposed convolution of stride s is s plain convolutions per axis, each with exactly the taps
its phase has.  Where the kernel is a multiple of the stride all phases read the same inputs,
and they are a single convolution with s times the channels per axis.

Shi et al., "Is the deconvolution layer the same as a convolutional layer?" (arXiv:1609.07009).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import replace

import jax
import jax.numpy as jnp

from jtconv.geometry import Axis, Geometry, Phase
from jtconv.methods import convolution, moves
from jtconv.methods.task import Cost, Task

MOST_PHASES = 64

# A kernel gradient unfolds its patches tap by tap: past this many XLA takes long to compile it.
MOST_TAPS = 64


def refuse(task: Task) -> str | None:
    """Many separate phases are many convolutions to compile."""
    phases = math.prod(task.geometry.stride)
    if not _merges(task.geometry) and phases > MOST_PHASES:
        return f"it would need {phases} convolutions, more than {MOST_PHASES}"
    taps = math.prod(-(-a.kernel // a.stride) for a in task.geometry)
    if task.side == "wgrad" and taps > MOST_TAPS:
        return f"it would unfold {taps} taps of a phase, more than {MOST_TAPS}"
    return None


def cost(task: Task) -> Cost:
    """Exactly the useful products but for the cropped cells; the phases are held until laid."""
    held = task.y_size * task.accumulator.itemsize
    g = task.geometry
    taps = math.prod(max(len(a.inputs_of_tap(t)) for t in range(a.kernel)) * a.kernel for a in g)
    return Cost(task.batch * taps * task.depth * task.out_channels, held)


def dgrad(x: jax.Array, w: jax.Array, task: Task) -> jax.Array:
    """x, w -> y."""
    g = task.geometry
    if _merges(g):
        sub = _merged(task)
        cells = convolution.unit_dgrad(x, _kernel_to_cells(w, task), sub)
        within = [a.lo % a.stride for a in g]
        return moves.window(moves.from_cells(_split(cells, task)), within, g.output)
    counts = _counts(g)
    parts = []
    for phases in itertools.product(*(a.phases for a in g)):
        if all(p.taps for p in phases):
            sub = _phase_task(task, phases, counts)
            parts.append(convolution.unit_dgrad(x, w[_taps(phases)], sub))
        else:
            parts.append(moves.zeros((x.shape[0], *counts, task.out_channels), x, task.accumulator))
    cells = jnp.stack(parts, axis=-2).reshape(*parts[0].shape[:-1], *g.stride, task.out_channels)
    return moves.window(moves.from_cells(cells), (0,) * len(g), g.output)


def fprop(y: jax.Array, w: jax.Array, task: Task) -> jax.Array:
    """y, w -> x."""
    g = task.geometry
    if _merges(g):
        return convolution.unit_fprop(_cells(y, task), _kernel_to_cells(w, task), _merged(task))
    x = moves.zeros((y.shape[0], *g.input, task.channels), y, task.accumulator)
    for phases, part in _parts(y, task):
        sub = _phase_task(task, phases, _counts(g))
        x += convolution.unit_fprop(part, w[_taps(phases)], sub)
    return x


def wgrad(x: jax.Array, y: jax.Array, task: Task) -> jax.Array:
    """x, y -> w."""
    g = task.geometry
    if _merges(g):
        return _kernel_from_cells(convolution.unit_wgrad(x, _cells(y, task), _merged(task)), task)
    w = moves.zeros((*g.kernel, task.depth, task.out_channels), x, task.accumulator)
    for phases, part in _parts(y, task):
        sub = _phase_task(task, phases, _counts(g))
        w = w.at[_taps(phases)].set(convolution.unit_wgrad(x, part, sub))
    return w


# Phases apart: each a task of stride 1.


def _counts(g: Geometry) -> tuple[int, ...]:
    """Cells that every phase gives, the last ones perhaps past the output's end."""
    return tuple(-(-a.output // a.stride) for a in g)


def _parts(y: jax.Array, task: Task) -> Iterator[tuple[tuple[Phase, ...], jax.Array]]:
    """Every phase that has taps, with the part of ``y`` that belongs to it."""
    g = task.geometry
    whole = [q * s for q, s in zip(_counts(g), g.stride, strict=True)]
    cells = moves.to_cells(moves.window(y, (0,) * len(g), whole), g.stride)
    for phases in itertools.product(*(a.phases for a in g)):
        if all(p.taps for p in phases):
            within = tuple(p.residue for p in phases)
            yield phases, cells[(slice(None),) * (1 + len(g)) + within]


def _phase_task(task: Task, phases: tuple[Phase, ...], counts: tuple[int, ...]) -> Task:
    columns = zip(task.geometry, phases, counts, strict=True)
    axes = tuple(p.axis(a.input, count) for a, p, count in columns)
    return replace(task, geometry=Geometry(axes, task.groups))


def _taps(phases: tuple[Phase, ...]) -> tuple[slice, ...]:
    """The slice of the kernel that holds these phases' taps, which lie in equal steps."""
    slices = []
    for p in phases:
        step = p.taps[1] - p.taps[0] if len(p.taps) > 1 else 1
        slices.append(slice(p.taps[0], p.taps[-1] + 1, step))
    return tuple(slices)


# Phases together: one task of stride 1 between x and the cells of the full output.


def _merges(g: Geometry) -> bool:
    return all(a.dilation == 1 and a.kernel % a.stride == 0 for a in g)


def _merged(task: Task) -> Task:
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
