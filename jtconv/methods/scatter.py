"""scatter: every input cell throws its stamp, and what overlaps adds up.

The definition, step by step: the stamps ``x[i] * w``, laid out with ``lax.scatter_add`` on
the full canvas at ``s*i + d*t``, then cropped.  The third of the three ways, the one to read
first.  The other sides gather from the same places.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from jtconv.geometry import Geometry
from jtconv.methods import moves, products
from jtconv.methods.task import Cost, Task


def refuse(task: Task) -> str | None:
    """Never."""
    return None


def cost(task: Task) -> Cost:
    """Every stamp is computed whole, and held."""
    return Cost(task.stamp_bytes // task.accumulator.itemsize * task.depth, task.stamp_bytes)


def dgrad(x: jax.Array, w: jax.Array, task: Task) -> jax.Array:
    """x, w -> y."""
    g = task.geometry
    x = x.reshape(*x.shape[:-1], g.groups, task.depth)
    w = w.reshape(*w.shape[:-1], g.groups, task.width)
    stamps = products.einsum(_equation(g, "x", "w", "s"), x, w, task)
    stamps = stamps.reshape(*stamps.shape[:-2], task.out_channels)
    canvas = jnp.zeros((x.shape[0], *g.full, task.out_channels), stamps.dtype)
    canvas = canvas.at[(slice(None), *_places(g))].add(stamps)
    return moves.window(canvas, [a.lo for a in g], g.output)


def fprop(y: jax.Array, w: jax.Array, task: Task) -> jax.Array:
    """y, w -> x."""
    g = task.geometry
    w = w.reshape(*w.shape[:-1], g.groups, task.width)
    x = products.einsum(_equation(g, "s", "w", "x"), _covered(y, task), w, task)
    return x.reshape(*x.shape[:-2], task.channels)


def wgrad(x: jax.Array, y: jax.Array, task: Task) -> jax.Array:
    """x, y -> w."""
    g = task.geometry
    x = x.reshape(*x.shape[:-1], g.groups, task.depth)
    w = products.einsum(_equation(g, "x", "s", "w"), x, _covered(y, task), task)
    return w.reshape(*w.shape[:-2], task.out_channels)


def _covered(y: jax.Array, task: Task) -> jax.Array:
    """The part of ``y`` under every stamp: ``(N, *input, *kernel, g, O // g)``."""
    g = task.geometry
    canvas = moves.window(y, [-a.lo for a in g], g.full)
    stamps = canvas[(slice(None), *_places(g))]
    return stamps.reshape(*stamps.shape[:-1], g.groups, task.width)


def _places(g: Geometry) -> tuple[np.ndarray, ...]:
    """Where on the full canvas kernel cell t of input i lands: one index array per axis."""
    rank = len(g)
    places = []
    for number, a in enumerate(g):
        place = a.stride * np.arange(a.input)[:, None] + a.dilation * np.arange(a.kernel)
        shape = [1] * (2 * rank)
        shape[number], shape[rank + number] = a.input, a.kernel
        places.append(place.reshape(shape))
    return tuple(places)


def _equation(g: Geometry, *order: str) -> str:
    """The einsum over x (input cells i), w (kernel cells t) and s, the stamps (both)."""
    i, t = "ijkl"[: len(g)], "tuvw"[: len(g)]
    words = {"x": f"n{i}gc", "w": f"{t}cgo", "s": f"n{i}{t}go"}
    a, b, out = (words[letter] for letter in order)
    return f"{a},{b}->{out}"
