"""matrix: the convolution written out as its matrix C, and the transpose of that.

``C[(i, c), (m, o)]`` is the tap between cell ``i`` of x and cell ``m`` of y, or zero: a banded
(Toeplitz) matrix.  ``conv(y) = C y`` and ``conv_transpose(x) = C^T x``, which
is where the operation has its name.  For teaching, for oracles and for tiny problems.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np

from jtconv.algorithms.common import matmul
from jtconv.problem.geometry import Axis, Geometry
from jtconv.problem.task import Cost, Task

MOST_BYTES = 2**30


def refuse(task: Task) -> str | None:
    """A matrix as long as the input and as wide as the output must fit in memory."""
    held = cost(task).temporary_bytes
    if held > MOST_BYTES:
        most = MOST_BYTES >> 30
        return f"its matrix and products would hold {held / 2**30:.1f} GiB, more than {most} GiB"
    return None


def cost(task: Task) -> Cost:
    """Zeros outside the band count; the matrix is held, and as many products of each example."""
    g = task.geometry
    entries = math.prod(g.x_size) * math.prod(g.y_size)
    entries *= task.x_channels * task.y_channels_per_group
    copies = 2 if task.side == "wgrad" else 1 + task.batch
    return Cost(task.batch * entries, copies * entries * task.accumulator.itemsize)


def spreads(task: Task) -> str:
    """None: its products are selected, not multiplied by the zeros of the matrix."""
    return ""


def dgrad(x: jax.Array, w: jax.Array, task: Task) -> jax.Array:
    """x, w -> y."""
    g = task.geometry
    x = x.reshape(x.shape[0], math.prod(g.x_size), g.groups, task.x_channels_per_group)
    products = _met(jnp.swapaxes(x, 1, 2)[..., None, None], w, task)
    y = jnp.swapaxes(jnp.sum(products, axis=(2, 3)), 1, 2)
    return y.reshape(x.shape[0], *g.y_size, task.y_channels)


def fprop(y: jax.Array, w: jax.Array, task: Task) -> jax.Array:
    """y, w -> x."""
    g = task.geometry
    y = y.reshape(y.shape[0], math.prod(g.y_size), g.groups, task.y_channels_per_group)
    products = _met(jnp.swapaxes(y, 1, 2)[:, :, None, None], w, task)
    x = jnp.swapaxes(jnp.sum(products, axis=(-2, -1)), 1, 2)
    return x.reshape(y.shape[0], *g.x_size, task.x_channels)


def wgrad(x: jax.Array, y: jax.Array, task: Task) -> jax.Array:
    """x, y -> w."""
    g = task.geometry
    x = x.reshape(x.shape[0], math.prod(g.x_size), g.groups, task.x_channels_per_group)
    y = y.reshape(y.shape[0], math.prod(g.y_size), g.groups, task.y_channels_per_group)
    outer = matmul.einsum("nigc,nmgo->gicmo", x, y, task)
    cells = _tap_of(g).ravel()
    bins = jnp.moveaxis(outer, (1, 3), (0, 1)).reshape(cells.size, -1)
    taps = jax.ops.segment_sum(bins, jnp.asarray(cells), math.prod(g.kernel) + 1)[:-1]
    w = taps.reshape(*g.kernel, g.groups, task.x_channels_per_group, task.y_channels_per_group)
    return jnp.swapaxes(w, -3, -2).reshape(*g.kernel, task.x_channels_per_group, task.y_channels)


def _met(a: jax.Array, w: jax.Array, task: Task) -> jax.Array:
    """``a`` times the matrix where cells meet, ``(N, g, i, c, m, o)``, and zero elsewhere.

    Selected, not summed by a matrix product: an infinity times a zero of the matrix is NaN.
    """
    met = _tap_of(task.geometry) < math.prod(task.geometry.kernel)
    matrix = toeplitz(w, task.geometry).astype(task.accumulator)[None]
    products = a.astype(task.accumulator) * matrix
    return jnp.where(met[None, None, :, None, :, None], products, 0)


def toeplitz(w: jax.Array, g: Geometry) -> jax.Array:
    """C of every group: ``(groups, cells of x, C // g, cells of y, O // g)``."""
    *_, c, o = w.shape
    taps = w.reshape(math.prod(g.kernel), c, g.groups, o // g.groups)
    none = jnp.zeros_like(taps[:1])
    picked = jnp.concatenate([taps, none])[_tap_of(g)]
    return jnp.transpose(picked, (3, 0, 2, 1, 4))


def _tap_of(g: Geometry) -> np.ndarray:
    """The tap between each cell of x and each cell of y, or the one past the last."""
    flat, known = np.zeros((1, 1), int), np.ones((1, 1), bool)
    for axis in g:
        tap, joined = _axis_taps(axis)
        shape = (flat.shape[0] * axis.x_size, flat.shape[1] * axis.y_size)
        flat = flat[:, None, :, None] * axis.kernel + tap[None, :, None, :]
        known = known[:, None, :, None] & joined[None, :, None, :]
        flat, known = flat.reshape(shape), known.reshape(shape)
    return np.where(known, flat, math.prod(g.kernel))


def _axis_taps(axis: Axis) -> tuple[np.ndarray, np.ndarray]:
    """``t`` with ``s*i + d*t - lo = m`` for every ``i`` and ``m``, and whether there is one."""
    distance = np.arange(axis.y_size) + axis.lo - axis.stride * np.arange(axis.x_size)[:, None]
    tap, remainder = np.divmod(distance, axis.dilation)
    joined = (remainder == 0) & (tap >= 0) & (tap < axis.kernel)
    return np.where(joined, tap, 0), joined
