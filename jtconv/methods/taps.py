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
from jax import lax

from jtconv.geometry import Block, Geometry
from jtconv.methods import moves
from jtconv.methods.task import Cost, Task

MOST_TERMS = 1024

# Numbers of y that one strip of the kernel gradient reads: with its sums, what a cache holds.
STRIP = 65536


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
        stamps = reduce(jnp.add, (cells[..., c] * w[..., c, :, o] for c in range(task.depth)))
        outputs.append(moves.overlap_add(stamps, g))
    return _interleaved(outputs)


def fprop(y: jax.Array, w: jax.Array, task: Task) -> jax.Array:
    """y, w -> x."""
    y, w = _wide(y, task.width, task), _wide(w, task.width, task)
    inputs = [y[..., o] for o in range(task.width)]
    outputs = []
    for c in range(task.depth):
        terms = (
            part * w[(*tap, c, slice(None), o)]
            for o in range(task.width)
            for tap, part in _under_taps(inputs[o], task.geometry)
        )
        outputs.append(reduce(jnp.add, terms))
    return _interleaved(outputs)


def wgrad(x: jax.Array, y: jax.Array, task: Task) -> jax.Array:
    """x, y -> w."""
    g = task.geometry
    x, y = _wide(x, task.depth, task), _wide(y, task.width, task)
    in_strips = task.platform == "cpu" and all(a.dilation == 1 for a in g)
    pairs = [
        _strips(x[..., c], y[..., o], g) if in_strips else _sums(x[..., c], y[..., o], g)
        for c in range(task.depth)
        for o in range(task.width)
    ]
    w = jnp.stack(pairs, axis=-1).reshape(*g.kernel, task.groups, task.depth, task.width)
    return jnp.swapaxes(w, -3, -2).reshape(*g.kernel, task.depth, task.out_channels)


def _sums(x: jax.Array, y: jax.Array, g: Geometry) -> jax.Array:
    """One pair of channels: a sum over all cells for every tap, ``(*kernel, groups)``."""
    over = tuple(range(1 + len(g)))
    taps = [jnp.sum(x * part, axis=over) for _, part in _under_taps(y, g)]
    return jnp.stack(taps).reshape(*g.kernel, -1)


def _strips(x: jax.Array, y: jax.Array, g: Geometry) -> jax.Array:
    """The same, adding strip after strip of the input elementwise before the one sum.

    XLA:CPU sums over leading axes one number at a time; adding strips runs in vectors, and
    the running sums of a strip stay in cache.
    """
    rank, lead = len(g), g.axes[0]
    height = _strip_height(x, g)
    count = -(-lead.input // height)
    whole = [(0, count * height - lead.input)] + [(0, 0)] * (rank - 1)
    cells = moves.to_cells(moves.pad_space(moves.uncrop(y, g), _in_strides(whole, g)), g.stride)
    x = moves.pad_space(x, whole)
    x = x.reshape(*x.shape[:-1], *(1,) * rank, x.shape[-1])
    blocks = list(itertools.product(*(a.blocks for a in g)))

    def add_strip(number: jax.Array, sums: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
        strip = lax.dynamic_slice_in_dim(x, number * height, height, 1)
        terms = []
        for block in blocks:
            start = number * height + block[0].shift
            part = lax.dynamic_slice_in_dim(cells, start, height, 1)
            terms.append(strip * part[_beyond_first(block, g)])
        return tuple(a + b for a, b in zip(sums, terms, strict=True))

    shape = (x.shape[0], height, *g.input[1:], *g.stride, x.shape[-1])
    sums = lax.fori_loop(0, count, add_strip, (jnp.zeros(shape, x.dtype),) * len(blocks))
    parts = [jnp.sum(a, axis=tuple(range(1 + rank))) for a in sums]
    counts = [len(a.blocks) for a in g]
    w = moves.from_cells(jnp.stack(parts).reshape(1, *counts, *g.stride, -1))[0]
    return w[tuple(slice(0, k) for k in g.kernel)]


def _strip_height(x: jax.Array, g: Geometry) -> int:
    """Rows of the first axis that hold about STRIP numbers of y."""
    row = math.prod(g.input[1:]) * math.prod(g.stride) * x.shape[-1]
    return min(max(STRIP // row, 1), g.axes[0].input)


def _in_strides(margins: moves.Margins, g: Geometry) -> list[tuple[int, int]]:
    return [(lo * s, hi * s) for (lo, hi), s in zip(margins, g.stride, strict=True)]


def _beyond_first(block: tuple[Block, ...], g: Geometry) -> tuple[slice, ...]:
    """Where the block's cells lie along every spatial axis but the first."""
    pairs = zip(g.axes[1:], block[1:], strict=True)
    return (slice(None), slice(None), *(slice(b.shift, b.shift + a.input) for a, b in pairs))


def _wide(a: jax.Array, channels: int, task: Task) -> jax.Array:
    """``(..., g*c)`` to ``(..., g, c)``, in the dtype sums are held in."""
    return a.astype(task.accumulator).reshape(*a.shape[:-1], task.groups, channels)


def _interleaved(outputs: list[jax.Array]) -> jax.Array:
    """Channel o of every group, for each o, to ``(..., g*o)``."""
    if len(outputs) == 1:
        return outputs[0]
    y = jnp.stack(outputs, axis=-1)
    return y.reshape(*y.shape[:-2], y.shape[-2] * y.shape[-1])


def _under_taps(y: jax.Array, g: Geometry) -> Iterator[tuple[tuple[int, ...], jax.Array]]:
    """For every kernel cell, the cells of ``y`` that it covers as the stamp moves."""
    canvas = moves.window(y, [-a.lo for a in g], g.full)
    for tap in itertools.product(*(range(k) for k in g.kernel)):
        starts = [a.dilation * t for a, t in zip(g, tap, strict=True)]
        where = tuple(
            slice(start, start + (a.input - 1) * a.stride + 1, a.stride)
            for a, start in zip(g, starts, strict=True)
        )
        yield tap, canvas[(slice(None), *where)]
