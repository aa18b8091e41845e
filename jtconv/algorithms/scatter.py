"""scatter: every input cell times the kernel, added where it belongs.

The definition, step by step: the products ``x[i] * w``, added with ``lax.scatter_add`` to the full
output at ``s*i + d*t``, then cropped.  The third of the three ways, the one to read first.  The
other sides gather from the same places.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from jtconv.algorithms.common import arrays, matmul
from jtconv.algorithms.common import work as count
from jtconv.algorithms.common.work import Work
from jtconv.problem.geometry import Geometry
from jtconv.problem.task import Cost, Task


def refuse(task: Task) -> str | None:
    """Never."""
    return None


def cost(task: Task) -> Cost:
    """Every product is computed, cropped or not, and held."""
    return Cost(task.im2col_elements * task.x_channels_per_group, task.im2col_bytes)


def spreads(task: Task) -> str:
    """What meets a tap that falls outside of y, where zeros stand."""
    cut = task.side != "dgrad" and task.geometry.has_misses
    return ("w" if task.side == "fprop" else "x") if cut else ""


def work(task: Task) -> Work:
    """A product, and columns scattered or gathered by index."""
    groups, c, columns = task.groups, task.x_channels_per_group, task.im2col_elements
    width, calls = columns // max(task.rows * groups, 1), {"calls": 2.0}
    kernel = count.moved("copied", task.w_elements, task.y_channels_per_group)
    if task.side == "dgrad":
        added = count.moved("scattered by index", columns, task.y_channels)
        product = count.product(groups, task.rows, c, width)
        return count.total(calls, kernel, added, product, {"written": task.y_elements})
    gathered = count.moved("gathered by index", columns, task.y_channels)
    padded = count.moved("copied", task.y_elements, task.y_channels)
    if task.side == "fprop":
        kernel = count.transposed(task.w_elements)
        product = count.product(groups, task.rows, width, c)
    else:
        product = count.product(groups, c, task.rows, width, sums_rows=True)
    return count.total(calls, kernel, gathered, padded, product)


def dgrad(x: jax.Array, w: jax.Array, task: Task) -> jax.Array:
    """x, w -> y."""
    g = task.geometry
    x = x.reshape(*x.shape[:-1], g.groups, task.x_channels_per_group)
    w = w.reshape(*w.shape[:-1], g.groups, task.y_channels_per_group)
    products = matmul.einsum(_equation(g, "x", "w", "p"), x, w, task)
    products = products.reshape(*products.shape[:-2], task.y_channels)
    full = jnp.zeros((x.shape[0], *g.full, task.y_channels), products.dtype)
    full = full.at[(slice(None), *_positions(g))].add(products)
    return arrays.window(full, [a.lo for a in g], g.y_size)


def fprop(y: jax.Array, w: jax.Array, task: Task) -> jax.Array:
    """y, w -> x."""
    g = task.geometry
    w = w.reshape(*w.shape[:-1], g.groups, task.y_channels_per_group)
    x = matmul.einsum(_equation(g, "p", "w", "x"), _gathered(y, task), w, task)
    return x.reshape(*x.shape[:-2], task.x_channels)


def wgrad(x: jax.Array, y: jax.Array, task: Task) -> jax.Array:
    """x, y -> w."""
    g = task.geometry
    x = x.reshape(*x.shape[:-1], g.groups, task.x_channels_per_group)
    w = matmul.einsum(_equation(g, "x", "p", "w"), x, _gathered(y, task), task)
    return w.reshape(*w.shape[:-2], task.y_channels)


def _gathered(y: jax.Array, task: Task) -> jax.Array:
    """What every position of x reads of ``y``: ``(N, *x_size, *kernel, g, O // g)``."""
    g = task.geometry
    full = arrays.window(y, [-a.lo for a in g], g.full)
    columns = full[(slice(None), *_positions(g))]
    return columns.reshape(*columns.shape[:-1], g.groups, task.y_channels_per_group)


def _positions(g: Geometry) -> tuple[np.ndarray, ...]:
    """Where in the full output ``x[i] * w[t]`` is added: one index array per axis."""
    rank = len(g)
    positions = []
    for number, a in enumerate(g):
        position = a.stride * np.arange(a.x_size)[:, None] + a.dilation * np.arange(a.kernel)
        shape = [1] * (2 * rank)
        shape[number], shape[rank + number] = a.x_size, a.kernel
        positions.append(position.reshape(shape))
    return tuple(positions)


def _equation(g: Geometry, *order: str) -> str:
    """The einsum over x (positions i), w (taps t) and p, the products (both)."""
    i, t = "ijkl"[: len(g)], "tuvw"[: len(g)]
    indices = {"x": f"n{i}gc", "w": f"{t}cgo", "p": f"n{i}{t}go"}
    a, b, out = (indices[letter] for letter in order)
    return f"{a},{b}->{out}"
