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

# Each block of taps is a term of the loop; past this many, XLA takes long to compile it.
MOST_BLOCKS = 64

# Taps one by one up to here (fprop); more are summed block by block, with less to compile.
MOST_TAPS = 128

# Sums over so few channels are written out; longer ones are left to a reduction.
FEW = 8

# Numbers of y that one strip of the kernel gradient reads: with its sums, what a cache holds.
STRIP = 65536


def refuse(task: Task) -> str | None:
    """A loop body has its limits."""
    blocks = task.geometry.block_count
    if blocks > MOST_BLOCKS:
        return f"its loop would have {blocks} terms, more than {MOST_BLOCKS}"
    return None


def cost(task: Task) -> Cost:
    """Nothing is wasted, and nothing held but the running sums of a kernel gradient."""
    held = (
        task.geometry.block_count * STRIP * task.accumulator.itemsize if task.side == "wgrad" else 0
    )
    return Cost(task.multiply_adds, held)


def dgrad(x: jax.Array, w: jax.Array, task: Task) -> jax.Array:
    """x, w -> y."""
    g = task.geometry
    x = _by_group(x, task)
    x = x.reshape(*x.shape[: 1 + len(g)], *(1,) * len(g), *x.shape[1 + len(g) :], 1)
    stamps = _summed(x, _kernel_by_group(w, task), -2)
    stamps = stamps.reshape(*stamps.shape[:-2], task.out_channels)
    return moves.overlap_add(stamps, g)


def fprop(y: jax.Array, w: jax.Array, task: Task) -> jax.Array:
    """y, w -> x."""
    w = _kernel_by_group(w, task)
    if math.prod(task.geometry.kernel) > MOST_TAPS:
        parts = _sums_of_blocks(y, w, task)
    else:
        parts = (_summed(part[..., None, :], w[tap], -1) for tap, part in _under_taps(y, task))
    x = reduce(jnp.add, parts)
    return x.reshape(*x.shape[:-2], task.channels)


def wgrad(x: jax.Array, y: jax.Array, task: Task) -> jax.Array:
    """x, y -> w."""
    g = task.geometry
    in_strips = task.platform == "cpu" and all(a.dilation == 1 for a in g)
    w = _strips(x, y, task) if in_strips else _sums(x, y, task)
    w = w.reshape(*g.kernel, task.groups, task.depth, task.width)
    return jnp.swapaxes(w, -3, -2).reshape(*g.kernel, task.depth, task.out_channels)


def _by_group(a: jax.Array, task: Task) -> jax.Array:
    """``(..., g*c)`` to ``(..., g, c)``, in the dtype sums are held in."""
    a = a.astype(task.accumulator)
    return a.reshape(*a.shape[:-1], task.groups, a.shape[-1] // task.groups)


def _kernel_by_group(w: jax.Array, task: Task) -> jax.Array:
    """``(*kernel, c, g*o)`` to ``(*kernel, g, c, o)``."""
    return jnp.swapaxes(_by_group(w, task), -3, -2)


def _summed(a: jax.Array, b: jax.Array, axis: int) -> jax.Array:
    """``sum(a * b, axis)``, written out where it is short."""
    length = a.shape[axis]
    if length > FEW:
        return jnp.sum(a * b, axis=axis)
    take = lax.index_in_dim
    terms = (take(a, i, axis, False) * take(b, i, axis, False) for i in range(length))
    return reduce(jnp.add, terms)


def _under_taps(y: jax.Array, task: Task) -> Iterator[tuple[tuple[int, ...], jax.Array]]:
    """For every kernel cell, the cells of ``y`` it covers as the stamp moves, by group."""
    g = task.geometry
    canvas = moves.window(y, [-a.lo for a in g], g.full)
    for tap in itertools.product(*(range(k) for k in g.kernel)):
        starts = [a.dilation * t for a, t in zip(g, tap, strict=True)]
        where = tuple(
            slice(start, start + (a.input - 1) * a.stride + 1, a.stride)
            for a, start in zip(g, starts, strict=True)
        )
        yield tap, _by_group(canvas[(slice(None), *where)], task)


def _sums_of_blocks(y: jax.Array, w: jax.Array, task: Task) -> Iterator[jax.Array]:
    """For every block of taps, what it adds to each cell of ``x``."""
    g, rank = task.geometry, len(task.geometry)
    cells = _by_group(moves.to_cells(moves.uncrop(y, g), g.stride), task)
    for block in itertools.product(*(a.blocks for a in g)):
        space = (slice(b.shift, b.shift + a.input) for a, b in zip(g, block, strict=True))
        within = (slice(b.residue, b.residue + b.count) for b in block)
        part = cells[(slice(None), *space, *within)]
        kernel = w[tuple(slice(b.tap, b.tap + b.count) for b in block)]
        yield jnp.sum(part[..., None, :] * kernel, axis=(*range(1 + rank, 1 + 2 * rank), -1))


def _sums(x: jax.Array, y: jax.Array, task: Task) -> jax.Array:
    """The kernel gradient as a sum over all cells for every tap."""
    over = tuple(range(1 + len(task.geometry)))
    x = _by_group(x, task)[..., None]
    return jnp.stack([jnp.sum(x * p[..., None, :], axis=over) for _, p in _under_taps(y, task)])


def _strips(x: jax.Array, y: jax.Array, task: Task) -> jax.Array:
    """The kernel gradient with strips of the input added up elementwise before the one sum.

    XLA:CPU sums over leading axes one number at a time; adding strips runs in vectors, and
    the running sums of a strip stay in cache.
    """
    g, rank = task.geometry, len(task.geometry)
    height = _strip_height(task)
    count = -(-g.input[0] // height)
    missing = count * height - g.input[0]
    x, cells = _laid_for_strips(x, y, missing, task)
    blocks = list(itertools.product(*(a.blocks for a in g)))

    def add_strip(number: jax.Array, sums: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
        strip = lax.dynamic_slice_in_dim(x, number * height, height, 1)
        return tuple(
            total + strip * _strip_under(cells, block, number * height, height, g)
            for total, block in zip(sums, blocks, strict=True)
        )

    channels = (task.groups, task.depth, task.width)
    shape = (x.shape[0], height, *g.input[1:], *g.stride, *channels)
    blank = moves.zeros(shape, x, x.dtype)
    sums = lax.fori_loop(0, count, add_strip, (blank,) * len(blocks))
    parts = jnp.stack([jnp.sum(a, axis=tuple(range(1 + rank))) for a in sums])
    w = parts.reshape(1, *(len(a.blocks) for a in g), *g.stride, math.prod(channels))
    return moves.from_cells(w)[0][tuple(slice(0, k) for k in g.kernel)]


def _strip_height(task: Task) -> int:
    """Rows of the first axis that hold about STRIP numbers of y."""
    g = task.geometry
    channels = task.groups * task.depth * task.width
    row = max(task.batch, 1) * math.prod(g.input[1:]) * math.prod(g.stride) * channels
    return min(max(STRIP // row, 1), g.input[0])


def _laid_for_strips(
    x: jax.Array, y: jax.Array, missing: int, task: Task
) -> tuple[jax.Array, jax.Array]:
    """x with ``missing`` zero rows more and room for stamps; y in cells, as many rows more."""
    g, rank = task.geometry, len(task.geometry)
    others = [(0, 0)] * (rank - 1)
    x = _by_group(moves.pad_space(x, [(0, missing), *others]), task)
    x = x.reshape(*x.shape[: 1 + rank], *(1,) * rank, *x.shape[1 + rank :], 1)
    y = moves.pad_space(moves.uncrop(y, g), [(0, missing * g.stride[0]), *others])
    return x, _by_group(moves.to_cells(y, g.stride), task)[..., None, :]


def _strip_under(
    cells: jax.Array, block: tuple[Block, ...], row: jax.Array, height: int, g: Geometry
) -> jax.Array:
    """The cells that a block of taps covers as the stamp moves over one strip."""
    strip = lax.dynamic_slice_in_dim(cells, row + block[0].shift, height, 1)
    pairs = zip(g.axes[1:], block[1:], strict=True)
    others = (slice(b.shift, b.shift + a.input) for a, b in pairs)
    return strip[(slice(None), slice(None), *others)]
