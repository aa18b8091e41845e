"""The sub-pixel layout of the TPU kernels: arrays in positions and phases.

The full output is cut into positions of ``stride`` neighbours, its phases.  Input i reaches the
positions i + shift, for shifts from 0 to ``reach``, and adds there to the phases its taps have:

    y[s*u + r] = sum over shift of  x[u - shift] * w[shift, :, r]

so with all phases of a position side by side in the lanes, one product per shift does everything.
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

Mask = tuple[bool, ...]


@dataclass(frozen=True)
class SubpixelAxis:
    """One axis in positions: those that the output touches, ``first`` and ``count`` of them."""

    axis: Axis

    @property
    def reach(self) -> int:
        """The farthest position, counted from its own, that an input reaches."""
        return self.axis.blocks[-1].shift

    @property
    def shifts(self) -> tuple[int, ...]:
        """The positions that an input really reaches."""
        return tuple(dict.fromkeys(block.shift for block in self.axis.blocks))

    @property
    def first(self) -> int:
        """The position of the full output that output 0 lies in."""
        return self.axis.lo // self.axis.stride

    @property
    def count(self) -> int:
        """Positions that the output touches."""
        return -(-(self.axis.lo % self.axis.stride + self.axis.y_size) // self.axis.stride)

    def residues(self, shift: int) -> set[int]:
        """The phases that taps of one shift add to."""
        blocks = [b for b in self.axis.blocks if b.shift == shift]
        return {b.residue + n for b in blocks for n in range(b.count)}


def subpixel_axes(g: Geometry) -> tuple[SubpixelAxis, ...]:
    """Every axis in positions."""
    return tuple(SubpixelAxis(axis) for axis in g)


def shifts(g: Geometry) -> tuple[tuple[int, ...], ...]:
    """Every shift that some tap has, per axis."""
    return tuple(itertools.product(*(a.shifts for a in subpixel_axes(g))))


def phase_count(g: Geometry) -> int:
    """Phases of one position."""
    return math.prod(g.stride)


def leading_phases(g: Geometry) -> tuple[tuple[int, ...], ...]:
    """Phases of all axes but the last, whose phases lie side by side in memory as they are."""
    return tuple(itertools.product(*(range(a.stride) for a in g.axes[:-1])))


def output_masks(g: Geometry, shift: tuple[int, ...]) -> tuple[Mask, ...]:
    """For every leading phase, the phases of the last axis that some tap of ``shift`` adds to."""
    axes = zip(subpixel_axes(g), shift, strict=True)
    *leading, last = (axis.residues(n) for axis, n in axes)
    valid = [
        all(r in s for r, s in zip(phase, leading, strict=True)) for phase in leading_phases(g)
    ]
    return tuple(tuple(each and r in last for r in range(g.stride[-1])) for each in valid)


def pack_kernel(w: jax.Array, g: Geometry) -> jax.Array:
    """``(*k, c, G*o)`` to ``(G, shifts, c, phases, s_last*o)``."""
    rank, channels = len(g), w.shape[-2]
    w = w.reshape(*w.shape[:-1], g.groups, w.shape[-1] // g.groups)
    spread = [(0, q * a.stride - a.effective_kernel, a.dilation - 1) for q, a in _spans(g)]
    w = lax.pad(w, jnp.zeros((), w.dtype), [*spread, (0, 0, 0), (0, 0, 0), (0, 0, 0)])
    w = w.reshape(*itertools.chain(*((q, a.stride) for q, a in _spans(g))), *w.shape[-3:])
    order = (2 * rank + 1, *range(0, 2 * rank, 2), 2 * rank, *range(1, 2 * rank, 2), 2 * rank + 2)
    w = jnp.transpose(w, order)[(slice(None), *_existing_shifts(g))]
    lanes = g.stride[-1] * w.shape[-1]
    return w.reshape(g.groups, len(shifts(g)), channels, len(leading_phases(g)), lanes)


def unpack_kernel(packed: jax.Array, g: Geometry) -> jax.Array:
    """The inverse, for kernel gradients: ``(G, shifts, c, phases, s_last*o)`` to the kernel."""
    rank, x_channels = len(g), packed.shape[2]
    y_channels = packed.shape[-1] // g.stride[-1]
    counts = [len(a.shifts) for a in subpixel_axes(g)]
    packed = packed.reshape(g.groups, *counts, x_channels, *g.stride, y_channels)
    spans = [q for q, _ in _spans(g)]
    w = jnp.zeros((g.groups, *spans, x_channels, *g.stride, y_channels), packed.dtype)
    w = w.at[(slice(None), *_existing_shifts(g))].set(packed)
    pairs = itertools.chain(*((1 + a, 2 + rank + a) for a in range(rank)))
    w = jnp.transpose(w, (*pairs, 1 + rank, 0, 2 * rank + 2))
    w = w.reshape(*(q * a.stride for q, a in _spans(g)), x_channels, g.groups * y_channels)
    return w[tuple(slice(0, a.effective_kernel, a.dilation) for a in g)]


def _spans(g: Geometry) -> list[tuple[int, Axis]]:
    return [(a.reach + 1, a.axis) for a in subpixel_axes(g)]


def _existing_shifts(g: Geometry) -> tuple[jax.Array, ...]:
    return tuple(jnp.ix_(*(jnp.asarray(a.shifts) for a in subpixel_axes(g))))


def x_window(x: jax.Array, g: Geometry, counts: tuple[int, ...], halo: bool) -> jax.Array:
    """x by groups, laid where output positions find it: ``counts`` positions, and with ``halo``
    those before the first that reach it too."""
    x, axes = arrays.groups_to_batch(x, g.groups), subpixel_axes(g)
    reaches = [a.reach if halo else 0 for a in axes]
    starts = [a.first - reach for a, reach in zip(axes, reaches, strict=True)]
    lengths = [n + reach for n, reach in zip(counts, reaches, strict=True)]
    return arrays.window(x, starts if halo else [0] * len(g), lengths)


def y_window(y: jax.Array, g: Geometry, counts: tuple[int, ...]) -> jax.Array:
    """y by groups as ``(G*N, positions, phase, ..., positions, s_last*o)``, not transposed."""
    y = arrays.groups_to_batch(y, g.groups)
    axes = zip(counts, subpixel_axes(g), strict=True)
    lengths = [(n + a.reach) * a.axis.stride for n, a in axes]
    y = arrays.window(y, [-a.lo for a in g], lengths)
    return y.reshape(y.shape[0], *split_shape(g, lengths), g.stride[-1] * y.shape[-1])


def split_shape(g: Geometry, lengths: list[int]) -> tuple[int, ...]:
    """Spatial sizes cut into positions and phases, but for the last axis's phases."""
    counts = [n // s for n, s in zip(lengths, g.stride, strict=True)]
    pairs = zip(counts[:-1], g.stride[:-1], strict=True)
    return (*itertools.chain(*pairs), counts[-1])


def to_y(parts: jax.Array, g: Geometry) -> jax.Array:
    """``(G*N, positions, phase, ..., positions, s_last*o)`` to y: a reshape and a crop."""
    sizes = list(parts.shape[1:-1])
    counts = [*sizes[0:-1:2], sizes[-1]]
    whole = [n * s for n, s in zip(counts, g.stride, strict=True)]
    y = parts.reshape(parts.shape[0], *whole, parts.shape[-1] // g.stride[-1])
    y = arrays.window(y, [a.lo % a.stride for a in g], g.y_size)
    return arrays.batch_to_groups(y, g.groups)
