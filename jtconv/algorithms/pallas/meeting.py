"""Cells that meet nothing, hidden: what is cropped away, and what no stamp reaches.

Kernels multiply cells past an edge by the zeros that lie there, and an infinity times zero is no
zero.  A kernel gradient would be NaN by a number that is none of its business.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from jtconv.problem.geometry import Axis, Geometry


def hidden(x: jax.Array, y: jax.Array, g: Geometry) -> tuple[jax.Array, jax.Array]:
    """x and y with zeros for all cells that meet none of the other; most often as they are."""
    met = [_met(axis) for axis in g]
    for number, (small, large) in enumerate(met, 1):
        x, y = _select(x, small, number), _select(y, large, number)
    return x, y


def _met(a: Axis) -> tuple[np.ndarray, np.ndarray]:
    """Which cells of x and which of y some tap brings together, along one axis."""
    small, large = np.zeros(a.x_size, bool), np.zeros(a.y_size, bool)
    for tap in range(a.kernel):
        cells = a.inputs_of_tap(tap)
        if cells:
            small[cells.start : cells.stop] = True
            first, last = (a.stride * i + a.dilation * tap - a.lo for i in (cells[0], cells[-1]))
            large[first : last + 1 : a.stride] = True
    return small, large


def _select(a: jax.Array, met: np.ndarray, axis: int) -> jax.Array:
    if met.all():
        return a
    shape = [-1 if number == axis else 1 for number in range(a.ndim)]
    return jnp.where(met.reshape(shape), a, jnp.zeros((), a.dtype))
