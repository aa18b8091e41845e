"""fft: all three sides as products of transforms.

On a circle long enough the convolution theorem turns each side into products, frequency by
frequency, that are summed over what the side sums besides taps.  With X, W and Y for the discrete
Fourier transforms, and W' for that of the reversed kernel (the conjugate of a real one's):

    dgrad   Y[n, o] = sum over c of     X[n, c] * W[c, o]
    fprop   X[n, c] = sum over o of     Y[n, o] * W'[c, o]
    wgrad   W[c, o] = sum over n of     X'[n, c] * Y[n, o]

Cut into blocks of one stride, y and the dilated kernel have ``s`` phases an axis, as `phases` has
them, and phases are so many more channels ``o``: a stride divides what is transformed, and no
transform has zeros between the cells of x.  How long circles are, and where a long signal is
cut into tiles, is in `common.circles`.

**Rounding.**  Transforms round relative to all numbers that they take.  Each result errs by at most
some ``eps * log2(n)`` times ``|a| * |b|``, the Euclidean norms of what it is computed from (Higham,
"Accuracy and Stability of Numerical Algorithms", section 24.1), n being the numbers of a transform.
Other methods err relative to the products that a result sums; here small results next to
large ones lose digits, and zeros come out as about ``eps`` times those.  Half floats are computed
in float32.  There is no matrix product, so ``precision`` changes nothing: everything is
computed as "highest" asks.

**Infinities and NaN.**  One number that is not finite makes NaN of everything that is transformed
or summed with it: of all outputs of an example (of a tile, if there are tiles) for one of x or y,
and of all outputs of a group for one of w.

Stockham, "High-speed convolution and correlation" (AFIPS 1966); for networks Mathieu, Henaff and
LeCun, "Fast Training of Convolutional Networks through FFTs" (arXiv:1312.5851).
"""

from __future__ import annotations

import functools
import itertools
import math

import jax
import jax.numpy as jnp
from jax import lax

from jtconv.algorithms.common import arrays, circles
from jtconv.algorithms.common.circles import Circle, Circles
from jtconv.algorithms.common.work import Work
from jtconv.problem.task import ROLES, Cost, Task

# Products of so many terms are written out at a time; a loop adds up the rest.
AT_ONCE = 8


def refuse(task: Task) -> str | None:
    """Integers have exact sums, and a platform has to have the transforms."""
    if not jnp.issubdtype(task.dtype, jnp.inexact):
        return f"its transforms round, and sums of {task.dtype} are exact"
    if task.platform != "cpu":
        return (
            f"its transforms were compiled and measured on cpu only; this runs on {task.platform}"
        )
    return None


def cost(task: Task) -> Cost:
    """Transforms and products of them; operands padded, all spectra and the result are held."""
    plan = circles.of(task)
    complex_bytes = task.accumulator.itemsize * (1 if task.accumulator.kind == "c" else 2)
    number = task.accumulator.itemsize * circles.points(plan)
    number += complex_bytes * circles.frequencies(task, plan)
    held = sum(circles.transforms(task, plan)) * number
    return Cost(circles.multiply_adds(task, plan), held)


def work(task: Task) -> Work:
    """Transforms, and products of them."""
    plan = circles.of(task)
    numbers = sum(circles.transforms(task, plan)) * circles.points(plan)
    phases = math.prod(task.geometry.stride) * circles.frequencies(task, plan)
    pairs = task.batch * circles.tiles(plan) * task.x_channels_per_group * task.y_channels
    return {
        "calls": 5,
        "transformed": numbers,
        "butterflies": numbers * math.log2(max(circles.points(plan), 2)),
        "complex products": pairs * phases,
    }


def note(task: Task) -> str:
    """What to know before its numbers are trusted."""
    n = circles.points(circles.of(task))
    digits = max(math.ceil(math.log2(n)), 1)
    return (
        f"errs by some {digits} eps of the norms of its operands, not of the products of a cell; "
        "one inf or NaN makes NaN of all that is transformed with it"
    )


def spreads(task: Task) -> str:
    """Both: all that is transformed together."""
    return ROLES[task.side][:2]


def dgrad(x: jax.Array, w: jax.Array, task: Task) -> jax.Array:
    """x, w -> y."""
    plan = circles.of(task)
    xs = _spectrum(_of_x(x, plan, task), plan)[:, None]
    ws = _spectrum(_of_w(w, task), plan)[:, :, :, None]
    return _to_y(_signal(_sum_of_products(xs, ws), plan, task), plan, task)


def fprop(y: jax.Array, w: jax.Array, task: Task) -> jax.Array:
    """y, w -> x."""
    plan = circles.of(task)
    ys = _spectrum(_of_y(y, plan, task), plan)[:, None]
    ws = jnp.swapaxes(_reversed_spectrum(_of_w(w, task), plan), 0, 1)[:, :, :, None]
    return _to_x(_signal(_sum_of_products(ys, ws), plan, task), plan, task)


def wgrad(x: jax.Array, y: jax.Array, task: Task) -> jax.Array:
    """x, y -> w."""
    plan = circles.of(task)
    xs = _reversed_spectrum(jnp.moveaxis(_of_x(x, plan, task), 2, 0), plan)[:, :, None]
    ys = _spectrum(jnp.moveaxis(_of_y(y, plan, task), 2, 0), plan)[:, None]
    return _to_w(_signal(_sum_of_products(xs, ys), plan, task), task)


def _sum_of_products(a: jax.Array, b: jax.Array) -> jax.Array:
    """The sum of ``a * b`` over their first axis.

    XLA:CPU runs a product of complex matrices, one for each frequency, number by number; written
    out, terms run in vectors along the frequencies.
    """
    terms = a.shape[0]
    if not isinstance(terms, int) or terms == 0:  # a batch, symbolic or empty
        return jnp.sum(a * b, axis=0)
    loops, rest = divmod(terms, AT_ONCE)

    def written_out(a: jax.Array, b: jax.Array) -> jax.Array:
        return functools.reduce(jnp.add, (a[i] * b[i] for i in range(a.shape[0])))

    def add(total: jax.Array, some: tuple[jax.Array, ...]) -> tuple[jax.Array, None]:
        return total + written_out(*some), None

    first = rest or AT_ONCE
    total, left = written_out(a[:first], b[:first]), loops - (rest == 0)
    if left == 0:
        return total
    chunks = tuple(c[first:].reshape(left, AT_ONCE, *c.shape[1:]) for c in (a, b))
    total, _ = lax.scan(add, total, chunks)
    return total


# Transforms, over the last axes: those of space.


def _spectrum(a: jax.Array, plan: Circles) -> jax.Array:
    others, axes = a.ndim - len(plan), range(-len(plan), 0)
    pads = [(0, c.length - n) for c, n in zip(plan, a.shape[others:], strict=True)]
    a = arrays.pad(a, [(0, 0)] * others + pads)
    if jnp.issubdtype(a.dtype, jnp.complexfloating):
        return jnp.fft.fftn(a, axes=axes)
    return jnp.fft.rfftn(a, axes=axes)


def _reversed_spectrum(a: jax.Array, plan: Circles) -> jax.Array:
    """That of ``a[-t]``."""
    return jnp.conj(_spectrum(jnp.conj(a), plan))


def _signal(spectrum: jax.Array, plan: Circles, task: Task) -> jax.Array:
    axes = range(-len(plan), 0)
    if task.accumulator.kind == "c":
        return jnp.fft.ifftn(spectrum, axes=axes)
    return jnp.fft.irfftn(spectrum, s=[c.length for c in plan], axes=axes)


# Between the arrays of the law and those that are transformed, space last: x as (c, g, n, *tile),
# w as (c, o, g, *blocks) and y as (o, g, n, *blocks), where o are phases of channels, and n are
# tiles of examples.


def _of_x(x: jax.Array, plan: Circles, task: Task) -> jax.Array:
    g, rank = task.geometry, len(plan)
    pads = [(0, c.tiles * c.tile - n) for c, n in zip(plan, g.x_size, strict=True)]
    x = arrays.pad_space(x.astype(task.accumulator), pads)
    pairs = itertools.chain(*((c.tiles, c.tile) for c in plan))
    x = x.reshape(x.shape[0], *pairs, g.groups, task.x_channels_per_group)
    order = (2 * rank + 2, 2 * rank + 1, 0, *_firsts(1, rank), *_seconds(1, rank))
    return _joined(jnp.transpose(x, order), 2, 1 + rank)


def _to_x(x: jax.Array, plan: Circles, task: Task) -> jax.Array:
    rank = len(plan)
    x = _with_tiles(x[(..., *(slice(c.tile) for c in plan))], plan)
    pairs = itertools.chain(*((3 + a, 3 + rank + a) for a in range(rank)))
    x = jnp.transpose(x, (2, *pairs, 1, 0))
    x = x.reshape(x.shape[0], *(c.tiles * c.tile for c in plan), task.x_channels)
    return arrays.window(x, (0,) * rank, task.geometry.x_size)


def _of_w(w: jax.Array, task: Task) -> jax.Array:
    g, rank = task.geometry, len(task.geometry)
    blocks = [circles.kernel_blocks(a) for a in g]
    spread = [
        (0, n * a.stride - a.effective_kernel, a.dilation - 1)
        for n, a in zip(blocks, g, strict=True)
    ]
    w = lax.pad(w, jnp.zeros((), w.dtype), [*spread, (0, 0, 0), (0, 0, 0)])
    pairs = itertools.chain(*zip(blocks, g.stride, strict=True))
    channels = task.x_channels_per_group, g.groups, task.y_channels_per_group
    w = w.astype(task.accumulator).reshape(*pairs, *channels)
    order = (2 * rank, 2 * rank + 2, *_seconds(0, rank), 2 * rank + 1, *_firsts(0, rank))
    return _joined(jnp.transpose(w, order), 1, 1 + rank)


def _to_w(w: jax.Array, task: Task) -> jax.Array:
    g, rank = task.geometry, len(task.geometry)
    blocks = [circles.kernel_blocks(a) for a in g]
    w = w[(..., *map(slice, blocks))]
    w = w.reshape(w.shape[0], task.y_channels_per_group, *g.stride, g.groups, *blocks)
    pairs = itertools.chain(*((3 + rank + a, 2 + a) for a in range(rank)))
    w = jnp.transpose(w, (*pairs, 0, 2 + rank, 1))
    cells = [n * s for n, s in zip(blocks, g.stride, strict=True)]
    w = w.reshape(*cells, task.x_channels_per_group, task.y_channels)
    return w[tuple(slice(0, a.effective_kernel, a.dilation) for a in g)]


def _of_y(y: jax.Array, plan: Circles, task: Task) -> jax.Array:
    """Every tile with what follows it, as far as its kernel reaches."""
    g, rank = task.geometry, len(plan)
    cells = [c.blocks * s for c, s in zip(plan, g.stride, strict=True)]
    y = arrays.window(y.astype(task.accumulator), [-a.lo for a in g], cells)
    pairs = itertools.chain(*((c.blocks, s) for c, s in zip(plan, g.stride, strict=True)))
    y = y.reshape(y.shape[0], *pairs, g.groups, task.y_channels_per_group)
    order = (2 * rank + 2, *_seconds(1, rank), 2 * rank + 1, 0, *_firsts(1, rank))
    y = _joined(jnp.transpose(y, order), 0, 1 + rank)
    for number, c in enumerate(plan):  # the axes of tiles gather in front of the space left
        y = jnp.moveaxis(_overlapping(y, 3 + 2 * number, c), 3 + 2 * number, 3 + number)
    return _joined(y, 2, 1 + rank)


def _to_y(y: jax.Array, plan: Circles, task: Task) -> jax.Array:
    """Its adjoint: what the kernel reaches of the next tile is added to it."""
    g, rank = task.geometry, len(plan)
    y = _with_tiles(y, plan)
    for number, c in reversed(list(enumerate(plan))):
        y = _added(jnp.moveaxis(y, 3 + number, 3 + 2 * number), 3 + 2 * number, c)
    y = y.reshape(task.y_channels_per_group, *g.stride, *y.shape[1:])
    pairs = itertools.chain(*((3 + rank + a, 1 + a) for a in range(rank)))
    y = jnp.transpose(y, (2 + rank, *pairs, 1 + rank, 0))
    cells = [c.blocks * s for c, s in zip(plan, g.stride, strict=True)]
    y = y.reshape(y.shape[0], *cells, task.y_channels)
    ends = [circles.reached(a) for a in g]
    y = arrays.window(y, [start for start, _ in ends], [stop - start for start, stop in ends])
    return arrays.window(y, [a.lo - e[0] for a, e in zip(g, ends, strict=True)], g.y_size)


def _overlapping(y: jax.Array, axis: int, c: Circle) -> jax.Array:
    """``axis`` as two: the tiles, and the blocks of one and of those of the next it reaches."""
    if c.tiles == 1:
        return jnp.expand_dims(y, axis)
    tiles = y.reshape(*y.shape[:axis], c.tiles + 1, c.tile, *y.shape[axis + 1 :])
    this = lax.slice_in_dim(tiles, 0, c.tiles, axis=axis)
    rest = lax.slice_in_dim(tiles, 1, c.tiles + 1, axis=axis)
    rest = lax.slice_in_dim(rest, 0, c.length - c.tile, axis=axis + 1)
    return jnp.concatenate([this, rest], axis + 1)


def _added(y: jax.Array, axis: int, c: Circle) -> jax.Array:
    """The adjoint: axes ``axis`` and the next as one."""
    if c.tiles == 1:
        return jnp.squeeze(y, axis)
    this = lax.slice_in_dim(y, 0, c.tile, axis=axis + 1)
    rest = lax.slice_in_dim(y, c.tile, c.length, axis=axis + 1)
    none = [(0, 0)] * y.ndim
    this = arrays.pad(this, [*none[:axis], (0, 1), *none[axis + 1 :]])
    rest = arrays.pad(rest, [*none[:axis], (1, 0), (0, 2 * c.tile - c.length), *none[axis + 2 :]])
    return jnp.reshape(this + rest, (*y.shape[:axis], c.blocks, *y.shape[axis + 2 :]))


def _firsts(start: int, pairs: int) -> range:
    """The first axes of so many pairs of them."""
    return range(start, start + 2 * pairs, 2)


def _seconds(start: int, pairs: int) -> range:
    return _firsts(start + 1, pairs)


def _joined(a: jax.Array, start: int, count: int) -> jax.Array:
    """``count`` axes from ``start`` on as one."""
    stop = start + count
    return a.reshape(*a.shape[:start], math.prod(a.shape[start:stop]), *a.shape[stop:])


def _with_tiles(a: jax.Array, plan: Circles) -> jax.Array:
    """Axis 2 as the batch and, after it, the tiles along each axis."""
    batch = a.shape[2] // circles.tiles(plan)
    return a.reshape(*a.shape[:2], batch, *(c.tiles for c in plan), *a.shape[3:])
