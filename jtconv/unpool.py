"""Max pooling that remembers where each maximum was found, and how to undo pooling.

Arrays are ``(*batch, *spatial, channels)``, with any number of batch axes or none.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike

from jtconv import api
from jtconv.problem import arguments, dtypes, padding, symbolic
from jtconv.problem.geometry import Axis
from jtconv.typing import Padding, PerAxis, ZerosPadding


@arguments.suggests
def max_pool_with_indices(
    x: ArrayLike,
    window: PerAxis,
    *,
    stride: PerAxis | None = None,
    padding: ZerosPadding = "VALID",
    dilation: PerAxis = 1,
) -> tuple[jax.Array, jax.Array]:
    """Max pooling that remembers where each maximum was found.

    Args:
        x: input, ``(*batch, *spatial, C)``.
        window: cells per axis, one int or one per axis. An int takes the first axis of ``x``,
            and no other, for a batch; where there is one entry per spatial axis there may be
            any number of batch axes, or none.
        stride: distance between neighbouring windows; the window if None.
        padding: cells around the input that never win: an int, one int per axis, one
            ``(lo, hi)`` pair per axis, or a name, as in :func:`jtconv.conv`.
        dilation: distance between neighbouring cells of a window.

    Returns:
        ``(values, indices)``, both ``(*batch, *out, C)``. Indices are int32 and count the cells
        of the input's spatial axes in reading order, as in torch. Of equal maxima the first is
        taken, of NaNs the last. :func:`max_unpool` undoes it.

    Raises:
        ValueError, TypeError: for a wrong argument, and for padding so wide that a window
            holds nothing else.

    >>> import jax.numpy as jnp
    >>> x = jnp.array([[1., 2., 0.], [4., 3., 9.]])[..., None]
    >>> values, indices = max_pool_with_indices(x, (2, 2), stride=1)
    >>> print(values[..., 0], indices[..., 0])
    [[4. 9.]] [[3 5]]
    """
    x = dtypes.array("x", x)
    if jnp.issubdtype(x.dtype, jnp.complexfloating):
        raise TypeError(f"x must be real, for complex numbers have no order; got {x.dtype}.")
    space = spatial("window", window, x)
    symbolic.check_numbers("x", space, "indices count cells, and every window must hold some")
    axes = _axes(space, window, stride, padding, dilation)
    ones = (1,) * (x.ndim - 1 - len(space))
    cells = jnp.arange(math.prod(space), dtype=jnp.int32).reshape(*ones, *space, 1)
    # The last axis first: the first maximum in reading order is the first of the first row.
    for where, axis in zip(range(-2, -2 - len(axes), -1), reversed(axes), strict=True):
        x, cells = _largest(x, cells, where, axis)
    return x, jnp.broadcast_to(cells, x.shape)


def spatial(name: str, value: Any, x: jax.Array) -> tuple[int, ...]:
    """The spatial sizes of ``x``: as many as ``value`` has entries, or all but two if an int."""
    items = arguments.sequence(value)
    rank = x.ndim - 2 if items is None else len(items)
    if not 1 <= rank < x.ndim:
        raise ValueError(
            f"{name} must be an int for an array (batch, *spatial, C), or have one entry per "
            f"spatial axis, got {value!r} for shape {x.shape}."
        )
    return x.shape[-1 - rank : -1]


def _axes(space: tuple[int, ...], window: Any, stride: Any, pads: Any, dilation: Any) -> list[Axis]:
    """Windows as kernels of a convolution: its input, y, is what is pooled."""
    rank = len(space)
    windows = arguments.per_axis("window", window, rank, least=1)
    strides = arguments.per_axis("stride", windows if stride is None else stride, rank, least=1)
    dilations = arguments.per_axis("dilation", dilation, rank, least=1)
    pads = padding.on_axes(padding.parse(pads, rank), rank)
    axes = []
    for index, (m, k, s, d) in enumerate(zip(space, windows, strides, dilations, strict=True)):
        span = d * (k - 1) + 1
        lo, hi = padding.along(False, pads[index], m, span, s)
        axis = Axis((m + lo + hi - span) // s + 1, k, m, s, d, lo)
        _check(index, axis, (lo, hi))
        axes.append(axis)
    return axes


def _check(index: int, axis: Axis, pads: tuple[int, int]) -> None:
    """Every window must hold a cell of the input."""
    if axis.x_size < 1:
        raise ValueError(
            f"window spans {axis.effective_kernel} cells on spatial axis {index}, where x has "
            f"{axis.y_size} and padding {pads}: take a smaller window or dilation."
        )
    seen = {i for t in range(axis.kernel) for i in axis.inputs_of_tap(t)}
    if len(seen) < axis.x_size:
        raise ValueError(
            f"padding {pads} on spatial axis {index} leaves windows of {axis.effective_kernel} "
            "cells without any of x: pad less."
        )


def _largest(x: jax.Array, cells: jax.Array, where: int, axis: Axis) -> tuple[jax.Array, jax.Array]:
    """The largest along one axis, and the number of its cell; padding has the number -1."""
    value, cell = (
        _windows(a, where, axis, fill)
        for a, fill in ((x, _lowest(x.dtype)), (cells, jnp.int32(-1)))
    )
    best, found = value(0), cell(0)
    for t in range(1, axis.kernel):
        new, there = value(t), cell(t)
        better = (new > best) | (new != new) | (found < 0)
        best, found = jnp.where(better, new, best), jnp.where(better, there, found)
    return best, found


def _lowest(dtype: Any) -> Any:
    least = -np.inf if jnp.issubdtype(dtype, jnp.floating) else jnp.iinfo(dtype).min
    return np.asarray(least, dtype)


def _windows(a: jax.Array, where: int, axis: Axis, fill: Any) -> Any:
    """The ``t``-th cell of every window, as a function of ``t``."""
    span = (axis.x_size - 1) * axis.stride + 1
    need = span + axis.effective_kernel - 1
    pads = [(0, 0, 0)] * a.ndim
    pads[where] = (axis.lo, need - axis.lo - axis.y_size, 0)
    a = lax.pad(a, fill, pads)

    def cells(t: int) -> jax.Array:
        start = axis.dilation * t
        return lax.slice_in_dim(a, start, start + span, axis.stride, where % a.ndim)

    return cells


@arguments.suggests
def max_unpool(y: ArrayLike, indices: ArrayLike, *, output_size: PerAxis) -> jax.Array:
    """Each value back where :func:`max_pool_with_indices` found it, and zeros elsewhere.

    Args:
        y: ``(*batch, *spatial, C)``.
        indices: where each value goes, as the pooling returned them; shaped as ``y``.
        output_size: spatial size of what was pooled; one int (with one batch axis) or one per
            axis (with any number of them).

    Returns:
        ``(*batch, *output_size, C)``. Windows that overlap may have found the same cell: it
        holds the value of the last of them, in reading order, which alone has its gradient.
        (Torch holds one of them too, but hands the gradient to all.)

    Raises:
        ValueError, TypeError: for a wrong argument. Indices outside the output are an error
            too, but are dropped where they are traced, as in ``jax.jit``, and nobody can see.

    Zeiler, Taylor and Fergus, "Adaptive deconvolutional networks for mid and high level feature
    learning" (ICCV 2011); Noh, Hong and Han (arXiv:1505.04366).

    >>> import jax.numpy as jnp
    >>> y, indices = jnp.array([[4.], [9.]]), jnp.array([[1], [2]])
    >>> print(max_unpool(y, indices, output_size=(5,))[:, 0])
    [0. 4. 9. 0. 0.]
    """
    y, indices = dtypes.array("y", y), dtypes.array("indices", indices)
    space = spatial("output_size", output_size, y)
    size = arguments.per_axis("output_size", output_size, len(space), least=1)
    _check_indices(indices, y, size)
    batch, channels = y.shape[: -1 - len(space)], y.shape[-1]
    planes = (a.reshape(*batch, math.prod(space), channels) for a in (y, indices))
    place = jax.vmap(functools.partial(_placed, math.prod(size)), -1, -1)
    for _ in batch:
        place = jax.vmap(place)
    return place(*planes).reshape(*batch, *size, channels)


def _check_indices(indices: jax.Array, y: jax.Array, size: tuple[int, ...]) -> None:
    if indices.shape != y.shape:
        raise ValueError(f"indices must have the shape of y, {y.shape}, got {indices.shape}.")
    if not jnp.issubdtype(indices.dtype, jnp.integer):
        raise TypeError(f"indices must be integers, got {indices.dtype}.")
    if isinstance(indices, jax.core.Tracer) or indices.size == 0:
        return
    known = np.asarray(indices)  # NumPy's, for under jit JAX would trace its minimum
    least, most = int(known.min()), int(known.max())
    if least < 0 or most >= math.prod(size):
        raise ValueError(
            f"indices must lie in 0 to {math.prod(size) - 1} for output_size {size}, got "
            f"{least} to {most}. output_size must be that of the array that was pooled."
        )


def _placed(cells: int, values: jax.Array, cell: jax.Array) -> jax.Array:
    """The values of one plane at their cells: of several for one cell, the last.

    Which one that is is worked out first, so that value and derivatives know of the same one, on
    every platform.
    """
    # For jax.experimental.jet, to which whole numbers vary, but bits do not.
    cell = lax.bitwise_or(cell, jnp.zeros_like(cell))
    numbers = jnp.arange(len(cell), dtype=jnp.int32)
    last = jnp.full(cells, -1, numbers.dtype).at[cell]
    last = last.max(numbers, mode="drop", wrap_negative_indices=False).at[cell]
    wins = last.get(mode="fill", fill_value=-1, wrap_negative_indices=False) == numbers
    winners = jnp.where(wins, values, jnp.zeros_like(values))
    placed = jnp.zeros(cells, values.dtype).at[cell]
    return placed.add(winners, mode="drop", wrap_negative_indices=False)


@arguments.suggests
def average_unpool(
    y: ArrayLike,
    window: PerAxis,
    *,
    stride: PerAxis | None = None,
    padding: Padding = 0,
    output_size: PerAxis | None = None,
) -> jax.Array:
    """Each value spread evenly over its window, overlaps added: the adjoint of average pooling.

    Args:
        y: ``(batch, *spatial, C)``; without batch where ``window`` has one entry per axis.
        window: cells per axis, one int (with a batch) or one per axis.
        stride: distance between neighbouring windows; the window if None.
        padding, output_size: as in :func:`jtconv.conv_transpose`.

    Returns:
        ``(batch, *out, C)``.

    Raises:
        ValueError, TypeError: for a wrong argument.

    >>> import jax.numpy as jnp
    >>> print(average_unpool(jnp.array([[2.], [4.]]), (2,))[:, 0])
    [1. 1. 2. 2.]
    """
    y = dtypes.array("y", y)
    rank, channels = len(spatial("window", window, y)), y.shape[-1]
    window = arguments.per_axis("window", window, rank, least=1)
    even = jnp.full((*window, 1, channels), 1 / math.prod(window), y.dtype)
    return api.conv_transpose(
        y,
        even,
        stride=window if stride is None else stride,
        padding=padding,
        output_size=output_size,
        groups=channels,
    )


@arguments.suggests
def nearest_unpool(
    y: ArrayLike, factor: PerAxis, *, output_size: PerAxis | None = None
) -> jax.Array:
    """Each value repeated over its block of cells: nearest-neighbour upsampling.

    Args:
        y: ``(*batch, *spatial, C)``.
        factor: cells of a block, one int (with one batch axis) or one per axis (with any number
            of them).
        output_size: how many cells to keep, at most one block less one; all if None.

    Returns:
        ``(*batch, *out, C)``.

    Raises:
        ValueError, TypeError: for a wrong argument.

    >>> import jax.numpy as jnp
    >>> print(nearest_unpool(jnp.array([[2.], [4.]]), (2,), output_size=3)[:, 0])
    [2. 2. 4.]
    """
    y = dtypes.array("y", y)
    space = spatial("factor", factor, y)
    factors = arguments.per_axis("factor", factor, len(space), least=1)
    for where, times in zip(range(-1 - len(space), -1), factors, strict=True):
        y = jnp.repeat(y, times, axis=where)
    return kept(y, space, factors, output_size)


def kept(
    y: jax.Array, space: tuple[int, ...], factors: tuple[int, ...], output_size: Any
) -> jax.Array:
    """The first ``output_size`` cells of ``space`` upsampled by ``factors``; all if None."""
    if output_size is None:
        return y
    symbolic.check_numbers("x", space, "which output_size is legal depends on it; give none")
    size = arguments.per_axis("output_size", output_size, len(space))
    for axis, (n, f, out) in enumerate(zip(space, factors, size, strict=True)):
        if not (n - 1) * f < out <= n * f:
            raise ValueError(
                f"output_size[{axis}] must be one of {(n - 1) * f + 1} to {n * f} for an input of "
                f"{n} and a factor of {f}, got {out}."
            )
        y = jax.lax.slice_in_dim(y, 0, out, axis=y.ndim - 1 - len(space) + axis)
    return y
