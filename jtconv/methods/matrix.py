"""matrix: the convolution written out as its matrix C, and the transpose of that.

``C[(i, c), (m, o)]`` is the kernel cell that joins input cell ``i`` to output cell ``m``, or
zero: a banded (Toeplitz) matrix.  ``conv(y) = C y`` and ``conv_transpose(x) = C^T x``, which
is where the operation has its name.  For teaching, for oracles and for tiny problems.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np

from jtconv.geometry import Axis, Geometry
from jtconv.methods import products
from jtconv.methods.task import Cost, Task

MOST_BYTES = 2**30


def refuse(task: Task) -> str | None:
    """A matrix as long as the input and as wide as the output must fit in memory."""
    held = cost(task).temporary_bytes
    if held > MOST_BYTES:
        return f"its matrix would hold {held / 2**30:.1f} GiB, more than {MOST_BYTES >> 30} GiB"
    return None


def cost(task: Task) -> Cost:
    """One dense product; zeros outside the band count too."""
    g = task.geometry
    cells = math.prod(g.input) * math.prod(g.output) * task.groups * task.depth * task.width
    return Cost(task.batch * cells, cells * task.accumulator.itemsize)


def dgrad(x: jax.Array, w: jax.Array, task: Task) -> jax.Array:
    """x, w -> y."""
    g = task.geometry
    x = x.reshape(x.shape[0], math.prod(g.input), g.groups, task.depth)
    y = products.einsum("nigc,gicmo->nmgo", x, toeplitz(w, g), task)
    return y.reshape(x.shape[0], *g.output, task.out_channels)


def fprop(y: jax.Array, w: jax.Array, task: Task) -> jax.Array:
    """y, w -> x."""
    g = task.geometry
    y = y.reshape(y.shape[0], math.prod(g.output), g.groups, task.width)
    x = products.einsum("nmgo,gicmo->nigc", y, toeplitz(w, g), task)
    return x.reshape(y.shape[0], *g.input, task.channels)


def wgrad(x: jax.Array, y: jax.Array, task: Task) -> jax.Array:
    """x, y -> w."""
    g = task.geometry
    x = x.reshape(x.shape[0], math.prod(g.input), g.groups, task.depth)
    y = y.reshape(y.shape[0], math.prod(g.output), g.groups, task.width)
    outer = products.einsum("nigc,nmgo->gicmo", x, y, task)
    cells = _tap_of(g).ravel()
    bins = jnp.moveaxis(outer, (1, 3), (0, 1)).reshape(cells.size, -1)
    taps = jax.ops.segment_sum(bins, jnp.asarray(cells), math.prod(g.kernel) + 1)[:-1]
    w = taps.reshape(*g.kernel, g.groups, task.depth, task.width)
    return jnp.swapaxes(w, -3, -2).reshape(*g.kernel, task.depth, task.out_channels)


def toeplitz(w: jax.Array, g: Geometry) -> jax.Array:
    """C of every group: ``(groups, input cells, C // g, output cells, O // g)``."""
    *_, depth, out_channels = w.shape
    taps = w.reshape(math.prod(g.kernel), depth, g.groups, out_channels // g.groups)
    none = jnp.zeros_like(taps[:1])
    picked = jnp.concatenate([taps, none])[_tap_of(g)]
    return jnp.transpose(picked, (3, 0, 2, 1, 4))


def _tap_of(g: Geometry) -> np.ndarray:
    """The kernel cell joining each input cell to each output cell, or the one past the last."""
    flat, known = np.zeros((1, 1), int), np.ones((1, 1), bool)
    for axis in g:
        tap, joined = _axis_taps(axis)
        shape = (flat.shape[0] * axis.input, flat.shape[1] * axis.output)
        flat = flat[:, None, :, None] * axis.kernel + tap[None, :, None, :]
        known = known[:, None, :, None] & joined[None, :, None, :]
        flat, known = flat.reshape(shape), known.reshape(shape)
    return np.where(known, flat, math.prod(g.kernel))


def _axis_taps(axis: Axis) -> tuple[np.ndarray, np.ndarray]:
    """``t`` with ``s*i + d*t - lo = m`` for every ``i`` and ``m``, and whether there is one."""
    distance = np.arange(axis.output) + axis.lo - axis.stride * np.arange(axis.input)[:, None]
    tap, remainder = np.divmod(distance, axis.dilation)
    joined = (remainder == 0) & (tap >= 0) & (tap < axis.kernel)
    return np.where(joined, tap, 0), joined
