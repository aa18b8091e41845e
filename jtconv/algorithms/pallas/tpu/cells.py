"""Arrays as the TPU kernel reads them.

The full output is cut into cells of ``stride`` neighbours.  Input cell i reaches the cells
i + shift, for shifts from 0 to ``reach``, and lands there on the phases its taps have:

    y[s*u + r] = sum over shift of  x[u - shift] * w[shift, :, r]

so with all phases of a cell side by side in the lanes, one product per shift does everything.
Taps that do not exist are zeros in ``w[shift, :, r]``.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jax import lax

from jtconv.algorithms.common import arrays
from jtconv.problem.geometry import Axis, Geometry


@dataclass(frozen=True)
class Raster:
    """One axis in cells: those that the output touches, ``first`` and ``count`` of them."""

    axis: Axis

    @property
    def reach(self) -> int:
        """The farthest cell, counted from its own, that an input cell reaches."""
        return self.axis.blocks[-1].shift

    @property
    def shifts(self) -> tuple[int, ...]:
        """The cells that an input cell really reaches."""
        return tuple(dict.fromkeys(block.shift for block in self.axis.blocks))

    @property
    def first(self) -> int:
        """The cell of the full output that output cell 0 lies in."""
        return self.axis.lo // self.axis.stride

    @property
    def count(self) -> int:
        """Cells that the output touches."""
        return -(-(self.axis.lo % self.axis.stride + self.axis.y_size) // self.axis.stride)


def rasters(g: Geometry) -> tuple[Raster, ...]:
    """Every axis in cells."""
    return tuple(Raster(axis) for axis in g)


def shifts(g: Geometry) -> tuple[tuple[int, ...], ...]:
    """Every shift that some tap has, per axis."""
    return tuple(itertools.product(*(r.shifts for r in rasters(g))))


def inner_phases(g: Geometry) -> tuple[tuple[int, ...], ...]:
    """Phases of all axes but the last, whose phases lie side by side in memory as they are."""
    return tuple(itertools.product(*(range(a.stride) for a in g.axes[:-1])))


def from_kernel(w: jax.Array, g: Geometry) -> jax.Array:
    """``(*k, c, G*o)`` to ``(G, shifts, c, phases, s_last*o)``."""
    rank, depth = len(g), w.shape[-2]
    w = w.reshape(*w.shape[:-1], g.groups, w.shape[-1] // g.groups)
    spread = [(0, q * a.stride - a.effective_kernel, a.dilation - 1) for q, a in _spans(g)]
    w = lax.pad(w, jnp.zeros((), w.dtype), [*spread, (0, 0, 0), (0, 0, 0), (0, 0, 0)])
    w = w.reshape(*itertools.chain(*((q, a.stride) for q, a in _spans(g))), *w.shape[-3:])
    order = (2 * rank + 1, *range(0, 2 * rank, 2), 2 * rank, *range(1, 2 * rank, 2), 2 * rank + 2)
    w = jnp.transpose(w, order)[(slice(None), *_live(g))]
    lanes = g.stride[-1] * w.shape[-1]
    return w.reshape(g.groups, len(shifts(g)), depth, len(inner_phases(g)), lanes)


def to_kernel(cells: jax.Array, g: Geometry) -> jax.Array:
    """The way back, for kernel gradients: ``(G, shifts, c, phases, s_last*o)`` to the kernel."""
    rank, depth = len(g), cells.shape[2]
    width = cells.shape[-1] // g.stride[-1]
    counts = [len(r.shifts) for r in rasters(g)]
    cells = cells.reshape(g.groups, *counts, depth, *g.stride, width)
    spans = [q for q, _ in _spans(g)]
    whole = jnp.zeros((g.groups, *spans, depth, *g.stride, width), cells.dtype)
    cells = whole.at[(slice(None), *_live(g))].set(cells)
    pairs = itertools.chain(*((1 + a, 2 + rank + a) for a in range(rank)))
    cells = jnp.transpose(cells, (*pairs, 1 + rank, 0, 2 * rank + 2))
    flat = cells.reshape(*(q * a.stride for q, a in _spans(g)), depth, g.groups * width)
    return flat[tuple(slice(0, a.effective_kernel, a.dilation) for a in g)]


def _spans(g: Geometry) -> list[tuple[int, Axis]]:
    return [(r.reach + 1, r.axis) for r in rasters(g)]


def _live(g: Geometry) -> tuple[jax.Array, ...]:
    return tuple(jnp.ix_(*(jnp.asarray(r.shifts) for r in rasters(g))))


def small_window(x: jax.Array, g: Geometry, counts: tuple[int, ...], halo: bool) -> jax.Array:
    """x by groups, laid where output cells find it: ``counts`` cells, and with ``halo`` those
    before the first that reach it too."""
    x = arrays.merge_groups(x, g.groups)
    reaches = [r.reach if halo else 0 for r in rasters(g)]
    starts = [r.first - reach for r, reach in zip(rasters(g), reaches, strict=True)]
    lengths = [n + reach for n, reach in zip(counts, reaches, strict=True)]
    return arrays.window(x, starts if halo else [0] * len(g), lengths)


def large_window(y: jax.Array, g: Geometry, counts: tuple[int, ...]) -> jax.Array:
    """y by groups as ``(G*N, cells, phase, cells, ..., cells, s_last*o)`` without a transpose."""
    y = arrays.merge_groups(y, g.groups)
    lengths = [(n + r.reach) * r.axis.stride for n, r in zip(counts, rasters(g), strict=True)]
    y = arrays.window(y, [-a.lo for a in g], lengths)
    return y.reshape(y.shape[0], *split_shape(g, lengths), g.stride[-1] * y.shape[-1])


def split_shape(g: Geometry, lengths: list[int]) -> tuple[int, ...]:
    """Spatial sizes cut into cells and phases, but for the last axis's phases."""
    cells = [n // s for n, s in zip(lengths, g.stride, strict=True)]
    pairs = zip(cells[:-1], g.stride[:-1], strict=True)
    return (*itertools.chain(*pairs), cells[-1])


def to_output(cells: jax.Array, g: Geometry) -> jax.Array:
    """``(G*N, cells, phase, cells, ..., cells, s_last*o)`` to y: a reshape and a crop."""
    sizes = list(cells.shape[1:-1])
    counts = [*sizes[0:-1:2], sizes[-1]]
    whole = [n * s for n, s in zip(counts, g.stride, strict=True)]
    y = cells.reshape(cells.shape[0], *whole, cells.shape[-1] // g.stride[-1])
    y = arrays.window(y, [a.lo % a.stride for a in g], g.y_size)
    return arrays.unmerge_groups(y, g.groups)


def phases(g: Geometry) -> int:
    """Cells of the output in one cell of the raster."""
    return math.prod(g.stride)
