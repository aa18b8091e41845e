"""Arrays as the GPU kernels see them: every axis cut into cells, and each cell into phases.

``(N, cells, phases, cells, phases, ..., C)``: nothing moves in memory, and one phase of some
neighbouring cells is a box with a stride, which is what TMA copies.
"""

from __future__ import annotations

import itertools

import jax

from jtconv.algorithms.common import arrays
from jtconv.algorithms.pallas.interpret import simulation
from jtconv.algorithms.pallas.walk import Walk


def fronts(walk: Walk) -> tuple[int, ...]:
    """Cells laid before the first: none on a GPU, but simulated copies know no negative index."""
    return tuple(a.front if simulation() else 0 for a in walk.axes)


def split(source: jax.Array, walk: Walk) -> jax.Array:
    """A source in cells and phases."""
    sizes = zip(source.shape[1:-1], walk.source_phases, strict=True)
    pairs = [(-(-n // s), s) for n, s in sizes]
    whole = arrays.window(source, (0,) * len(pairs), [n * s for n, s in pairs])
    cells = whole.reshape(source.shape[0], *itertools.chain(*pairs), source.shape[-1])
    margins = ((pair, (0, 0)) for pair in ((front, 0) for front in fronts(walk)))
    return arrays.pad_space(cells, list(itertools.chain(*margins)))


def shape(walk: Walk, batch: int, channels: int) -> tuple[int, ...]:
    """The shape of a result in cells and phases."""
    return batch, *itertools.chain(*zip(walk.results, walk.phases, strict=True)), channels


def join(result: jax.Array, walk: Walk) -> jax.Array:
    """A result with its phases side by side again; the last cell may reach past the end."""
    sizes = [n * s for n, s in zip(walk.results, walk.phases, strict=True)]
    return result.reshape(result.shape[0], *sizes, result.shape[-1])
