"""taps: multiply-adds shifted one tap at a time, which XLA fuses into one loop.

The same stamps and overlap-add as `gemm`, but where a group has one channel, or a few, there
is no matrix to multiply: the product is written out elementwise and lives only inside the
loop that adds it up.  For depthwise layers this is the whole cost of reading x and writing y.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from functools import reduce

import jax
import jax.numpy as jnp

from jtconv.methods import moves
from jtconv.methods.task import Cost, Task

MOST_TERMS = 1024


def refuse(task: Task) -> str | None:
    """Wide groups belong to a matrix product, and a loop body has its limits."""
    terms = math.prod(task.geometry.kernel) * task.depth * task.width
    if terms > MOST_TERMS:
        return f"its loop would have {terms} terms, more than {MOST_TERMS}: use a matrix product"
    return None


def cost(task: Task) -> Cost:
    """Nothing is wasted and nothing held."""
    return Cost(task.multiply_adds, 0)


def dgrad(x: jax.Array, w: jax.Array, task: Task) -> jax.Array:
    """x, w -> y."""
    g = task.geometry
    x, w = _wide(x, task.depth, task), _wide(w, task.width, task)
    ones = (1,) * len(g)
    cells = x.reshape(*x.shape[: 1 + len(g)], *ones, *x.shape[1 + len(g) :])
    outputs = []
    for o in range(task.width):
        stamps = sum(cells[..., c] * w[..., c, :, o] for c in range(task.depth))
        outputs.append(moves.overlap_add(stamps, g))
    return _interleaved(outputs)


def fprop(y: jax.Array, w: jax.Array, task: Task) -> jax.Array:
    """y, w -> x."""
    y, w = _wide(y, task.width, task), _wide(w, task.width, task)
    outputs = []
    for c in range(task.depth):
        terms = (
            part[..., o] * w[(*tap, c, slice(None), o)]
            for tap, part in _under_taps(y, task)
            for o in range(task.width)
        )
        outputs.append(reduce(jnp.add, terms))
    return _interleaved(outputs)


def wgrad(x: jax.Array, y: jax.Array, task: Task) -> jax.Array:
    """x, y -> w."""
    x, y = _wide(x, task.depth, task), _wide(y, task.width, task)
    over = tuple(range(1 + len(task.geometry)))
    taps = [
        jnp.sum(x[..., :, None] * part[..., None, :], axis=over) for _, part in _under_taps(y, task)
    ]
    w = jnp.stack(taps).reshape(*task.geometry.kernel, task.groups, task.depth, task.width)
    return jnp.swapaxes(w, -3, -2).reshape(*task.geometry.kernel, task.depth, task.out_channels)


def _wide(a: jax.Array, channels: int, task: Task) -> jax.Array:
    """``(..., g*c)`` to ``(..., g, c)``, in the dtype sums are held in."""
    return a.astype(task.accumulator).reshape(*a.shape[:-1], task.groups, channels)


def _interleaved(outputs: list[jax.Array]) -> jax.Array:
    """Channel o of every group, for each o, to ``(..., g*o)``."""
    if len(outputs) == 1:
        return outputs[0]
    y = jnp.stack(outputs, axis=-1)
    return y.reshape(*y.shape[:-2], y.shape[-2] * y.shape[-1])


def _under_taps(y: jax.Array, task: Task) -> Iterator[tuple[tuple[int, ...], jax.Array]]:
    """For every kernel cell, the cells of ``y`` that it covers as the stamp moves."""
    g = task.geometry
    flat = y.reshape(*y.shape[:-2], task.groups * y.shape[-1])
    canvas = moves.window(flat, [-a.lo for a in g], g.full)
    for tap in itertools.product(*(range(k) for k in g.kernel)):
        starts = [a.dilation * t for a, t in zip(g, tap, strict=True)]
        where = tuple(
            slice(start, start + (a.input - 1) * a.stride + 1, a.stride)
            for a, start in zip(g, starts, strict=True)
        )
        part = canvas[(slice(None), *where)]
        yield tap, part.reshape(*part.shape[:-1], task.groups, y.shape[-1])
