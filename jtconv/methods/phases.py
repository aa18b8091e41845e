"""phases: plain stride-1 convolutions, one per output phase, interleaved.

Outputs ``r, r + s, r + 2s, ...`` never share a kernel cell with the outputs between them, so a
transposed convolution of stride s is s plain convolutions per axis, each with exactly the taps
its phase has.  Where the kernel is a multiple of the stride all phases read the same inputs,
and they are a single convolution with s times the channels per axis (`merged`).

Shi et al., "Is the deconvolution layer the same as a convolutional layer?" (arXiv:1609.07009).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import replace

import jax
import jax.numpy as jnp

from jtconv.geometry import Geometry, Phase
from jtconv.methods import merged, moves, unit
from jtconv.methods.task import Cost, Task

MOST_PHASES = 64


def refuse(task: Task) -> str | None:
    """Many separate phases are many convolutions to compile."""
    phases, taps = math.prod(task.geometry.stride), merged.taps(task.geometry)
    if not merged.possible(task.geometry) and phases > MOST_PHASES:
        return f"it would need {phases} convolutions, more than {MOST_PHASES}"
    if task.side == "wgrad" and merged.too_many_taps(task):
        return f"it would gather {taps} taps of a phase, more than {merged.MOST_TAPS}"
    return None


def cost(task: Task) -> Cost:
    """Exactly the useful products but for the cropped cells; phases and patches are held."""
    g = task.geometry
    taps = math.prod(max(len(a.inputs_of_tap(t)) for t in range(a.kernel)) * a.kernel for a in g)
    held = task.y_size * task.accumulator.itemsize + merged.held(task)
    return Cost(task.batch * taps * task.depth * task.out_channels, held)


def dgrad(x: jax.Array, w: jax.Array, task: Task) -> jax.Array:
    """x, w -> y."""
    g = task.geometry
    if merged.possible(g):
        return merged.dgrad(x, w, task)
    counts = _counts(g)
    parts = []
    for phases in itertools.product(*(a.phases for a in g)):
        if all(p.taps for p in phases):
            sub = _phase_task(task, phases, counts)
            parts.append(unit.dgrad(x, w[_taps(phases)], sub))
        else:
            parts.append(moves.zeros((x.shape[0], *counts, task.out_channels), x, task.accumulator))
    cells = jnp.stack(parts, axis=-2).reshape(*parts[0].shape[:-1], *g.stride, task.out_channels)
    return moves.window(moves.from_cells(cells), (0,) * len(g), g.output)


def fprop(y: jax.Array, w: jax.Array, task: Task) -> jax.Array:
    """y, w -> x."""
    g = task.geometry
    if merged.possible(g):
        return merged.fprop(y, w, task)
    x = moves.zeros((y.shape[0], *g.input, task.channels), y, task.accumulator)
    for phases, part in _parts(y, task):
        sub = _phase_task(task, phases, _counts(g))
        x += unit.fprop(part, w[_taps(phases)], sub)
    return x


def wgrad(x: jax.Array, y: jax.Array, task: Task) -> jax.Array:
    """x, y -> w."""
    g = task.geometry
    if merged.possible(g):
        return merged.wgrad(x, y, task)
    w = moves.zeros((*g.kernel, task.depth, task.out_channels), x, task.accumulator)
    for phases, part in _parts(y, task):
        sub = _phase_task(task, phases, _counts(g))
        w = w.at[_taps(phases)].set(unit.wgrad(x, part, sub))
    return w


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
