"""phases: stride-1 convolutions, one per output phase, interleaved.

Outputs ``r, r + s, r + 2s, ...`` share no tap with the outputs between them, so a transposed
convolution of stride s is s plain convolutions per axis, each with exactly the taps that its phase
has.  Where the kernel is a multiple of the stride all phases read the same inputs, and they are a
single convolution with s times the channels per axis (`common.subpixel`).

Shi et al., "Is the deconvolution layer the same as a convolutional layer?" (arXiv:1609.07009).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import replace

import jax
import jax.numpy as jnp

from jtconv.algorithms.common import arrays, stride1, subpixel, xla_conv
from jtconv.algorithms.common import work as count
from jtconv.algorithms.common.work import Work
from jtconv.problem.geometry import Geometry, Phase
from jtconv.problem.task import ROLES, Cost, Task

MOST_PHASES = 64


def refuse(task: Task) -> str | None:
    """Many separate phases are many convolutions to compile."""
    phases, taps = math.prod(task.geometry.stride), subpixel.taps(task.geometry)
    if not subpixel.possible(task.geometry) and phases > MOST_PHASES:
        return f"it would need {phases} convolutions, more than {MOST_PHASES}"
    if task.side == "wgrad" and subpixel.has_too_many_taps(task):
        return f"it would gather {taps} taps of a phase, more than {subpixel.MOST_TAPS}"
    return xla_conv.refuse(task)


def cost(task: Task) -> Cost:
    """The useful products and those of cropped cells; phases and copies are held."""
    g = task.geometry
    taps = math.prod(max(len(a.inputs_of_tap(t)) for t in range(a.kernel)) * a.kernel for a in g)
    blocks = task.tiled(task.y_elements, 8, math.prod(g.stride) * task.y_channels)
    held = blocks * task.accumulator.itemsize + subpixel.held_bytes(task)
    return Cost(task.batch * taps * task.x_channels_per_group * task.y_channels, held)


def spreads(task: Task) -> str:
    """What meets the zeros around x or y, or those that make all phases equally long."""
    g = task.geometry
    filled = subpixel.possible(g) and any(a.kernel % a.stride for a in g)
    if filled or task.groups > 1 or task.side == "wgrad":
        return ROLES[task.side][:2]
    return "w"


def work(task: Task) -> Work:
    """That of all stride-1 problems, each with a call of its own, and of what joins them."""
    g = task.geometry
    if subpixel.possible(g):
        return subpixel.work_of(task)
    sizes, parts = _phase_sizes(g), []
    for phases in itertools.product(*(a.phases for a in g)):
        if all(p.taps for p in phases):
            parts.append(stride1.work_of(_phase_task(task, phases, sizes)))
            if task.side == "fprop":
                parts.append(count.moved("copied", task.x_elements, task.x_channels))
    terms = max((part.pop(count.TERMS, 0) for part in parts), default=0) + 5 * len(parts)
    parts.append(subpixel.work_of_blocks(task, task.y_channels_per_group))
    parts.append({count.TERMS: terms})
    return count.total(*parts)


def dgrad(x: jax.Array, w: jax.Array, task: Task) -> jax.Array:
    """x, w -> y."""
    g = task.geometry
    if subpixel.possible(g):
        return subpixel.dgrad(x, w, task)
    sizes, dtype = _phase_sizes(g), xla_conv.element_type(task) or x.dtype
    parts = []
    for phases in itertools.product(*(a.phases for a in g)):
        if all(p.taps for p in phases):
            part = stride1.dgrad(x, w[_taps(phases)], _phase_task(task, phases, sizes))
        else:
            part = arrays.zeros((x.shape[0], *sizes, task.y_channels), x, dtype)
        parts.append(part)
    blocks = jnp.stack(parts, axis=-2).reshape(*parts[0].shape[:-1], *g.stride, task.y_channels)
    return arrays.window(arrays.depth_to_space(blocks), (0,) * len(g), g.y_size)


def fprop(y: jax.Array, w: jax.Array, task: Task) -> jax.Array:
    """y, w -> x."""
    g = task.geometry
    if subpixel.possible(g):
        return subpixel.fprop(y, w, task)
    x = arrays.zeros((y.shape[0], *g.x_size, task.x_channels), y, task.accumulator)
    for phases, part in _phases_of(y, task):
        sub = _phase_task(task, phases, _phase_sizes(g))
        x += stride1.fprop(part, w[_taps(phases)], sub).astype(x.dtype)
    return x


def wgrad(x: jax.Array, y: jax.Array, task: Task) -> jax.Array:
    """x, y -> w."""
    g = task.geometry
    if subpixel.possible(g):
        return subpixel.wgrad(x, y, task)
    shape = (*g.kernel, task.x_channels_per_group, task.y_channels)
    w = arrays.zeros(shape, x, task.accumulator)
    for phases, part in _phases_of(y, task):
        sub = _phase_task(task, phases, _phase_sizes(g))
        w = w.at[_taps(phases)].set(stride1.wgrad(x, part, sub))
    return w


def _phase_sizes(g: Geometry) -> tuple[int, ...]:
    """Cells that every phase gives, the last ones perhaps past the output's end."""
    return tuple(-(-a.y_size // a.stride) for a in g)


def _phases_of(y: jax.Array, task: Task) -> Iterator[tuple[tuple[Phase, ...], jax.Array]]:
    """Every phase that has taps, with the part of ``y`` that belongs to it."""
    g = task.geometry
    whole = [q * s for q, s in zip(_phase_sizes(g), g.stride, strict=True)]
    blocks = arrays.space_to_depth(arrays.window(y, (0,) * len(g), whole), g.stride)
    for phases in itertools.product(*(a.phases for a in g)):
        if all(p.taps for p in phases):
            residues = tuple(p.residue for p in phases)
            yield phases, blocks[(slice(None),) * (1 + len(g)) + residues]


def _phase_task(task: Task, phases: tuple[Phase, ...], sizes: tuple[int, ...]) -> Task:
    columns = zip(task.geometry, phases, sizes, strict=True)
    axes = tuple(p.axis(a.x_size, size) for a, p, size in columns)
    return replace(task, geometry=Geometry(axes, task.groups))


def _taps(phases: tuple[Phase, ...]) -> tuple[slice, ...]:
    """The slice of the kernel that holds these phases' taps, which come in equal steps."""
    slices = []
    for p in phases:
        step = p.taps[1] - p.taps[0] if len(p.taps) > 1 else 1
        slices.append(slice(p.taps[0], p.taps[-1] + 1, step))
    return tuple(slices)
