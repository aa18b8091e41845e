"""taps: shifted multiply-adds, which XLA fuses into one loop.

The same products and overlap-add as `gemm`, but where a group has one channel, or a few, there
is no matrix to multiply: the product is written out elementwise and lives only inside the
loop that adds it up.  For depthwise layers this is the whole cost of reading x and writing y.

All three sides work on arrays with split axes (`common.split_axes`), where a block of taps is a
pattern that repeats:

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

from jtconv.algorithms.common import arrays, split_axes
from jtconv.algorithms.common import work as count
from jtconv.algorithms.common.work import Work
from jtconv.problem.geometry import Block
from jtconv.problem.task import Cost, Task

# Each block of taps is a term of the loop; past this many, XLA takes long to compile it.
MOST_BLOCKS = 64

# Sums of rows are for kernels of up to so many terms, and written out so many at a time.
MOST_TERMS = 512
AT_ONCE = 32

# Sums over so few channels of a group are written out; longer ones are left to a reduction.
FEW = 8

# From so many channels on they fill vectors, and need not be joined with the axis before them.
WIDE = 64

# Numbers of y that one row tile of the kernel gradient reads: with its sums, what a cache holds.
TILE = 65536


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
        "dgrad": task.x_elements,
        "fprop": task.x_elements * g.stride[-1],
        "wgrad": task.y_elements + g.block_count * TILE,
    }
    numbers = task.tiled(held[task.side], g.stride[-1], task.y_channels)
    return Cost(task.multiply_adds, numbers * task.accumulator.itemsize)


def spreads(task: Task) -> str:
    """What meets a tap that falls outside of y, or the zeros around x."""
    g = task.geometry
    if task.side == "dgrad":
        return "w" if any(a.blocks[-1].shift for a in g) else ""
    if task.side == "fprop":
        return "w" if g.has_misses else ""
    return "x" * g.has_misses + "y" * (g.x_size[0] % _tile_height(task) > 0)


def work(task: Task) -> Work:
    """Terms of the loop, by how they run in vectors, and what it reads and writes."""
    terms = {"dgrad": _terms_of_dgrad, "fprop": _terms_of_fprop, "wgrad": _terms_of_wgrad}
    blocks = task.geometry.block_count
    loop = {"blocks of a loop": blocks, count.TERMS: blocks * len(task.geometry)}
    return count.total(count.CALL, loop, terms[task.side](task))


def _terms_of_dgrad(task: Task) -> Work:
    g, c, o = task.geometry, task.x_channels_per_group, task.y_channels_per_group
    counts = task.batch * math.prod(arrays.block_counts(g))
    full = counts * math.prod(g.stride) * task.y_channels
    terms = full * g.block_count * c
    if c == 1 and g.groups > 1:
        how = "loop terms, depthwise"
    elif c > FEW:
        how = "loop terms, summed channels"
    else:
        how = "loop terms, few channels" if g.groups == 1 else "loop terms, few channels of groups"
    return {
        how: terms,
        "loop terms, one by one": terms / max(o, 1) if c > FEW and o < count.LANES else 0,
        "loop results": task.y_elements,
        "loop results, beyond cache": task.y_elements * count.beyond_cache(count.NUMBER * full),
        "loop reads": counts * task.x_channels,
    }


def _terms_of_fprop(task: Task) -> Work:
    g, c, o = task.geometry, task.x_channels_per_group, task.y_channels_per_group
    terms = task.im2col_elements * c
    if split_axes.is_depthwise(task):
        strided = g.stride[-1] > 1
        how = "row terms, depthwise strided" if strided else "row terms, depthwise"
    else:
        wide = g.groups == 1 and o <= FEW and c >= WIDE
        how = "row terms, wide" if wide else "row terms"
    rows = math.prod(g.kernel[:-1]) * len(g.axes[-1].blocks)
    terms_each = 0.25 if split_axes.is_depthwise(task) else 1.0  # to compile: channels are summed
    size = count.NUMBER * task.y_elements
    return {
        how: terms,
        "row reads": task.y_elements,
        "row reads, beyond cache": task.y_elements * count.beyond_cache(size),
        "rows": rows,
        count.TERMS: max(rows * terms_each - g.block_count, 0) * len(g),
    }


def _terms_of_wgrad(task: Task) -> Work:
    g, height = task.geometry, _tile_height(task)
    channels = task.x_channels_per_group * task.y_channels
    taps, full = math.prod(g.kernel), task.batch * math.prod(arrays.block_counts(g))
    full *= math.prod(g.stride) * task.y_channels
    sums = task.batch * height * math.prod(g.x_size[1:]) * taps * channels
    depthwise = split_axes.is_depthwise(task)
    return {
        "tile terms, depthwise" if depthwise else "tile terms": task.rows * taps * channels,
        "tile sums": sums,
        "tile sums, beyond cache": sums * count.beyond_cache(count.NUMBER * sums),
        "tile reads": full + task.x_elements,
    }


def dgrad(x: jax.Array, w: jax.Array, task: Task) -> jax.Array:
    """x, w -> y."""
    g, kernel = task.geometry, split_axes.of_kernel(w, task)
    reach, sizes = [a.blocks[-1].shift for a in g], arrays.block_counts(g)
    x = split_axes.of_x(arrays.pad_space(x, [(m, m) for m in reach]), task)

    def products(block: split_axes.Blocks) -> jax.Array:
        read = (Block(0, 1, m - b.shift, 0) for m, b in zip(reach, block, strict=True))
        weights = split_axes.block_of_kernel(kernel, block, g)
        product = _summed(split_axes.read_by(x, tuple(read), sizes) * weights, -2, task)
        return split_axes.masked(product, block, g)

    y = functools.reduce(jnp.add, map(products, g.blocks))
    full = [q * s for q, s in zip(sizes, g.stride, strict=True)]
    return arrays.crop(y.reshape(y.shape[0], *full, task.y_channels), g)


def fprop(y: jax.Array, w: jax.Array, task: Task) -> jax.Array:
    """y, w -> x."""
    g, kernel = task.geometry, split_axes.of_kernel(w, task)
    terms = math.prod(g.kernel[:-1]) * len(g.axes[-1].blocks)
    parts = _sums_of_rows if terms <= MOST_TERMS else _sums_of_blocks
    x = functools.reduce(jnp.add, parts(y, kernel, task))
    return x.reshape(y.shape[0], *g.x_size, task.x_channels)


def wgrad(x: jax.Array, y: jax.Array, task: Task) -> jax.Array:
    """x, y -> w."""
    g, summed = task.geometry, (0, *range(1, 2 * len(task.geometry), 2))
    w = arrays.zeros((*g.kernel, *split_axes.channels(task)), x, task.accumulator)
    for block, part in zip(g.blocks, _running_sums(x, y, task), strict=True):
        taps = split_axes.taps(block)
        w = w.at[taps].set(jnp.sum(part, axis=summed, dtype=part.dtype).reshape(w[taps].shape))
    return split_axes.to_kernel(w, task)


def _summed(product: jax.Array, axis: int, task: Task) -> jax.Array:
    """The sum over channels of a group, of which depthwise arrays have no axis."""
    if split_axes.is_depthwise(task):
        return product
    if product.shape[axis] > FEW:
        return jnp.sum(product, axis=axis)
    take = lax.index_in_dim
    return functools.reduce(
        jnp.add, (take(product, i, axis, False) for i in range(product.shape[axis]))
    )


def _sums_of_rows(y: jax.Array, kernel: jax.Array, task: Task) -> Iterator[jax.Array]:
    """For some taps at a time, what they add to each cell of ``x``.

    Rows of y are added up first, with the positions within a block and the channels as one axis;
    what is left to add are those few positions.
    """
    g, last = task.geometry, task.geometry.axes[-1]
    sizes = [*g.full[:-1], (last.x_size + last.blocks[-1].shift) * last.stride]
    full = arrays.window(y, [-a.lo for a in g], sizes).astype(task.accumulator)
    space = (*sizes[:-1], sizes[-1] // last.stride, last.stride)
    full = full.reshape(y.shape[0], *space, *split_axes.channels(task, x=False))

    def product(row: Row, b: Block) -> jax.Array:
        tap, cells = row
        part = full[(slice(None), *cells, slice(b.shift, b.shift + last.x_size))]
        part = lax.slice_in_dim(part, b.residue, b.residue + b.count, axis=1 + len(g))
        weights = kernel[(*tap, slice(b.tap, b.tap + b.count))]
        weights = weights.reshape(*(1,) * (part.ndim - weights.ndim), *weights.shape)
        if split_axes.is_depthwise(task):
            return split_axes.joined(part) * split_axes.joined(weights)
        return _summed(part * weights, -1, task)

    for taps, run in itertools.groupby(last.blocks, lambda b: b.count):
        pairs = itertools.product(_rows(task), list(run))
        while some := list(itertools.islice(pairs, AT_ONCE)):
            yield _sum_of_positions(
                functools.reduce(jnp.add, itertools.starmap(product, some)), taps, task
            )


def _sum_of_positions(rows: jax.Array, count: int, task: Task) -> jax.Array:
    """The sum over ``count`` positions that share an axis with the channels.

    Written out where channels fill vectors, else as windows: XLA:CPU would run a plain sum
    over an inner axis number by number.
    """
    rows = rows.reshape(-1, count * task.x_channels)
    if task.x_channels >= WIDE and count <= FEW:
        positions = (rows[:, i * task.x_channels : (i + 1) * task.x_channels] for i in range(count))
        return functools.reduce(jnp.add, positions)
    window, zero = (1, count), np.zeros((), rows.dtype)
    sums: jax.Array = lax.reduce_window(
        rows, zero, lax.add, window, (1, 1), "VALID", window_dilation=(1, task.x_channels)
    )
    return sums


Row = tuple[tuple[int, ...], tuple[slice, ...]]


def _rows(task: Task) -> Iterator[Row]:
    """Every tap of all axes but the last, with the cells of the full output that it is added to."""
    axes = task.geometry.axes[:-1]
    for tap in itertools.product(*(range(a.kernel) for a in axes)):
        starts = [a.dilation * t for a, t in zip(axes, tap, strict=True)]
        stops = [
            start + (a.x_size - 1) * a.stride + 1 for a, start in zip(axes, starts, strict=True)
        ]
        yield tap, tuple(map(slice, starts, stops, task.geometry.stride))


def _sums_of_blocks(y: jax.Array, kernel: jax.Array, task: Task) -> Iterator[jax.Array]:
    """For every block of taps, what it adds to ``x``."""
    g = task.geometry
    y, positions = split_axes.of_y(arrays.uncrop(y, g), task), tuple(range(2, 2 * len(g) + 1, 2))
    for block in g.blocks:
        counts = split_axes.paired((1,) * len(g), [b.count for b in block])
        w = kernel[split_axes.taps(block)].reshape(1, *counts, *split_axes.channels(task))
        yield _summed(jnp.sum(split_axes.read_by(y, block, g.x_size) * w, axis=positions), -1, task)


def _running_sums(x: jax.Array, y: jax.Array, task: Task) -> tuple[jax.Array, ...]:
    """For every block its products, added up over tiles of rows of the input.

    XLA:CPU sums over leading axes one number at a time; adding tiles runs in vectors, and
    the running sums of a tile stay in cache.
    """
    g, blocks = task.geometry, list(task.geometry.blocks)
    height = _tile_height(task)
    count = -(-g.x_size[0] // height)
    missing = count * height - g.x_size[0]
    x = split_axes.of_x(arrays.pad_space(x, [(0, missing)] + [(0, 0)] * (len(g) - 1)), task)
    y = split_axes.of_y(arrays.uncrop(y, g, missing), task)
    join = split_axes.is_depthwise(task) and task.groups < WIDE
    run = task.groups if join else 1
    if join:
        x, y = split_axes.joined(x, g.stride[-1]), split_axes.joined(y)

    def product(block: split_axes.Blocks, number: jax.Array | int) -> jax.Array:
        tile = lax.dynamic_slice_in_dim(x, number * height, height, 1)
        if join:
            tile = tile[..., : block[-1].count * run]
        return tile * split_axes.read_by(y, block, (height, *g.x_size[1:]), number * height, run)

    def add(number: jax.Array, sums: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
        return tuple(t + product(b, number) for t, b in zip(sums, blocks, strict=True))

    shapes = [jax.eval_shape(functools.partial(product, b), 0) for b in blocks]
    zeros = tuple(arrays.zeros(a.shape, x, a.dtype) for a in shapes)
    sums: tuple[jax.Array, ...] = lax.fori_loop(0, count, add, zeros)
    return sums


def _tile_height(task: Task) -> int:
    """Rows of the first axis that hold about TILE numbers of y; elsewhere than on CPUs, all."""
    g = task.geometry
    channels = task.groups * task.x_channels_per_group * task.y_channels_per_group
    row = max(task.batch, 1) * math.prod(g.x_size[1:]) * math.prod(g.stride) * channels
    return min(max(TILE // row, 1), g.x_size[0]) if task.platform == "cpu" else g.x_size[0]
