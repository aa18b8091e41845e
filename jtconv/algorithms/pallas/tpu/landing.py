"""Where the taps of one shift land among the lanes of a cell.

A kernel that is no multiple of its stride, or dilated, has no tap for some phases; in its place
stands a zero, and an infinity times zero is no zero.  So such lanes are selected, not multiplied.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from functools import reduce
from operator import or_

import jax
import jax.numpy as jnp
from jax import lax

from jtconv.algorithms.pallas.tpu import cells
from jtconv.problem.geometry import Axis, Geometry

Phases = tuple[bool, ...]


def landing(g: Geometry, shift: tuple[int, ...]) -> tuple[Phases, ...]:
    """For every inner phase, the phases of the last axis that a tap of ``shift`` lands on."""
    *inner, last = (_residues(axis, n) for axis, n in zip(g, shift, strict=True))
    hit = [
        all(r in s for r, s in zip(phase, inner, strict=True)) for phase in cells.inner_phases(g)
    ]
    ends = [r in last for r in range(g.stride[-1])]
    return tuple(tuple(met and end for end in ends) for met in hit)


def _residues(axis: Axis, shift: int) -> set[int]:
    blocks = [b for b in axis.blocks if b.shift == shift]
    return {b.residue + n for b in blocks for n in range(b.count)}


def select(rows: jax.Array, phases: Phases) -> jax.Array:
    """``(rows, phases*channels)`` with zeros for phases that no tap lands on."""
    if all(phases):
        return rows
    width, lane = rows.shape[1] // len(phases), lax.broadcasted_iota(jnp.int32, rows.shape, 1)
    inside = reduce(or_, ((a * width <= lane) & (lane < b * width) for a, b in _runs(phases)))
    # Selected at 32 bits at least: masks of the lanes of halves are another matter.
    wide = jnp.promote_types(rows.dtype, jnp.float32)
    return jnp.where(inside, rows.astype(wide), jnp.zeros((), wide)).astype(rows.dtype)


def _runs(phases: Phases) -> Iterator[tuple[int, int]]:
    """Where those that are met begin and end."""
    start = 0
    for met, group in itertools.groupby(phases):
        stop = start + len(list(group))
        if met:
            yield start, stop
        start = stop
