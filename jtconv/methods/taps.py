"""taps: shifted multiply-adds, which XLA fuses into one loop.

The same stamps and overlap-add as `gemm`, but where a group has one channel, or a few, there
is no matrix to multiply: the product is written out elementwise and lives only inside the
loop that adds it up.  For depthwise layers this is the whole cost of reading x and writing y.

All three sides work on rasters (`raster`), where a block of taps is a tile that repeats:

    y[q, r] += x[q - shift] * w[block, r]                  dgrad: what is padded is x alone
    x[i] += sum over r of y[i + shift, r] * w[block, r]
    w[block, r] += sum over i of x[i] * y[i + shift, r]
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jtconv.geometry import Block
from jtconv.methods import moves, raster
from jtconv.methods.task import Cost, Task

# Each block of taps is a term of the loop; past this many, XLA takes long to compile it.
MOST_BLOCKS = 64

# Sums of rows are for kernels of up to so many terms, and written out so many at a time.
MOST_TERMS = 512
AT_ONCE = 32

# Sums over so few channels of a group are written out; longer ones are left to a reduction.
FEW = 8

# From so many channels on they fill vectors, and places of a cell need not be merged with them.
WIDE = 64

# Numbers of y that one strip of the kernel gradient reads: with its sums, what a cache holds.
STRIP = 65536


def refuse(task: Task) -> str | None:
    """A loop body has its limits."""
    blocks = task.geometry.block_count
    if blocks > MOST_BLOCKS:
        return f"its loop would have {blocks} terms, more than {MOST_BLOCKS}"
    return None


def cost(task: Task) -> Cost:
    """Nothing is wasted; held are x padded (dgrad), sums of rows (fprop), y and sums (wgrad)."""
    g = task.geometry
    held = {
        "dgrad": task.x_size,
        "fprop": task.x_size * g.stride[-1],
        "wgrad": task.y_size + g.block_count * STRIP,
    }
    return Cost(task.multiply_adds, held[task.side] * task.accumulator.itemsize)


def dgrad(x: jax.Array, w: jax.Array, task: Task) -> jax.Array:
    """x, w -> y."""
    g, kernel = task.geometry, raster.of_kernel(w, task)
    reach, cells = [a.blocks[-1].shift for a in g], moves.cell_counts(g)
    x = raster.of_x(moves.pad_space(x, [(m, m) for m in reach]), task)

    def stamps(block: raster.Blocks) -> jax.Array:
        read = (Block(0, 1, m - b.shift, 0) for m, b in zip(reach, block, strict=True))
        laid = raster.block_of_kernel(kernel, block, g)
        product = _summed(raster.under(x, tuple(read), cells) * laid, -2, task)
        return raster.covered(product, block, g)

    y = functools.reduce(jnp.add, map(stamps, g.blocks))
    full = [q * s for q, s in zip(cells, g.stride, strict=True)]
    return moves.crop(y.reshape(y.shape[0], *full, task.out_channels), g)


def fprop(y: jax.Array, w: jax.Array, task: Task) -> jax.Array:
    """y, w -> x."""
    g, kernel = task.geometry, raster.of_kernel(w, task)
    terms = math.prod(g.kernel[:-1]) * len(g.axes[-1].blocks)
    parts = _sums_of_rows if terms <= MOST_TERMS else _sums_of_blocks
    x = functools.reduce(jnp.add, parts(y, kernel, task))
    return x.reshape(y.shape[0], *g.input, task.channels)


def wgrad(x: jax.Array, y: jax.Array, task: Task) -> jax.Array:
    """x, y -> w."""
    g, cells = task.geometry, (0, *range(1, 2 * len(task.geometry), 2))
    w = moves.zeros((*g.kernel, *raster.channels(task)), x, task.accumulator)
    for block, part in zip(g.blocks, _running_sums(x, y, task), strict=True):
        taps = raster.taps(block)
        w = w.at[taps].set(jnp.sum(part, axis=cells).reshape(w[taps].shape))
    return raster.to_kernel(w, task)


def _summed(product: jax.Array, axis: int, task: Task) -> jax.Array:
    """The sum over channels of a group, of which depthwise rasters have no axis."""
    if raster.is_depthwise(task):
        return product
    if product.shape[axis] > FEW:
        return jnp.sum(product, axis=axis)
    take = lax.index_in_dim
    return functools.reduce(
        jnp.add, (take(product, i, axis, False) for i in range(product.shape[axis]))
    )


def _sums_of_rows(y: jax.Array, kernel: jax.Array, task: Task) -> Iterator[jax.Array]:
    """For some taps at a time, what they add to each cell of ``x``.

    Rows of y are added up first, with the places within a cell and the channels as one axis;
    what is left to add are those few places.
    """
    g, last = task.geometry, task.geometry.axes[-1]
    lengths = [*g.full[:-1], (last.input + last.blocks[-1].shift) * last.stride]
    canvas = moves.window(y, [-a.lo for a in g], lengths).astype(task.accumulator)
    space = (*lengths[:-1], lengths[-1] // last.stride, last.stride)
    canvas = canvas.reshape(y.shape[0], *space, *raster.channels(task, x=False))

    def product(row: Row, b: Block) -> jax.Array:
        tap, cells = row
        part = canvas[(slice(None), *cells, slice(b.shift, b.shift + last.input))]
        part = lax.slice_in_dim(part, b.residue, b.residue + b.count, axis=1 + len(g))
        weights = kernel[(*tap, slice(b.tap, b.tap + b.count))]
        if raster.is_depthwise(task):
            return raster.merged(part) * raster.merged(weights)
        return _summed(part * weights, -1, task)

    for count, run in itertools.groupby(last.blocks, lambda b: b.count):
        pairs = itertools.product(_rows(task), list(run))
        while some := list(itertools.islice(pairs, AT_ONCE)):
            yield _sum_of_places(
                functools.reduce(jnp.add, itertools.starmap(product, some)), count, task
            )


def _sum_of_places(rows: jax.Array, count: int, task: Task) -> jax.Array:
    """The sum over ``count`` places that share an axis with the channels.

    Written out where channels fill vectors, else as windows: XLA:CPU would run a plain sum
    over an inner axis number by number.
    """
    rows = rows.reshape(-1, count * task.channels)
    if task.channels >= WIDE and count <= FEW:
        places = (rows[:, i * task.channels : (i + 1) * task.channels] for i in range(count))
        return functools.reduce(jnp.add, places)
    window, zero = (1, count), np.zeros((), rows.dtype)
    return lax.reduce_window(
        rows, zero, lax.add, window, (1, 1), "VALID", window_dilation=(1, task.channels)
    )


Row = tuple[tuple[int, ...], tuple[slice, ...]]


def _rows(task: Task) -> Iterator[Row]:
    """Every tap of all axes but the last, with the cells of the full output it lands on."""
    axes = task.geometry.axes[:-1]
    for tap in itertools.product(*(range(a.kernel) for a in axes)):
        starts = [a.dilation * t for a, t in zip(axes, tap, strict=True)]
        stops = [
            start + (a.input - 1) * a.stride + 1 for a, start in zip(axes, starts, strict=True)
        ]
        yield tap, tuple(map(slice, starts, stops, task.geometry.stride))


def _sums_of_blocks(y: jax.Array, kernel: jax.Array, task: Task) -> Iterator[jax.Array]:
    """For every block of taps, what it adds to ``x``."""
    g = task.geometry
    y, places = raster.of_y(moves.uncrop(y, g), task), tuple(range(2, 2 * len(g) + 1, 2))
    for block in g.blocks:
        counts = raster.paired((1,) * len(g), [b.count for b in block])
        w = kernel[raster.taps(block)].reshape(1, *counts, *raster.channels(task))
        yield _summed(jnp.sum(raster.under(y, block, g.input) * w, axis=places), -1, task)


def _running_sums(x: jax.Array, y: jax.Array, task: Task) -> tuple[jax.Array, ...]:
    """For every block its products, added up over strips of the input.

    XLA:CPU sums over leading axes one number at a time; adding strips runs in vectors, and
    the running sums of a strip stay in cache.
    """
    g, blocks = task.geometry, list(task.geometry.blocks)
    height = _strip_height(task)
    count = -(-g.input[0] // height)
    missing = count * height - g.input[0]
    x = raster.of_x(moves.pad_space(x, [(0, missing)] + [(0, 0)] * (len(g) - 1)), task)
    y = raster.of_y(moves.uncrop(y, g, missing), task)
    merged = raster.is_depthwise(task) and task.groups < WIDE
    run = task.groups if merged else 1
    if merged:
        x, y = raster.merged(x, g.stride[-1]), raster.merged(y)

    def product(block: raster.Blocks, number: jax.Array | int) -> jax.Array:
        strip = lax.dynamic_slice_in_dim(x, number * height, height, 1)
        if merged:
            strip = strip[..., : block[-1].count * run]
        return strip * raster.under(y, block, (height, *g.input[1:]), number * height, run)

    def add(number: jax.Array, sums: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
        return tuple(t + product(b, number) for t, b in zip(sums, blocks, strict=True))

    shapes = [jax.eval_shape(functools.partial(product, b), 0) for b in blocks]
    return lax.fori_loop(0, count, add, tuple(moves.zeros(a.shape, x, a.dtype) for a in shapes))


def _strip_height(task: Task) -> int:
    """Rows of the first axis that hold about STRIP numbers of y; elsewhere than on CPUs, all."""
    g = task.geometry
    channels = task.groups * task.depth * task.width
    row = max(task.batch, 1) * math.prod(g.input[1:]) * math.prod(g.stride) * channels
    return min(max(STRIP // row, 1), g.input[0]) if task.platform == "cpu" else g.input[0]
