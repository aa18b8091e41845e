"""Max pooling that remembers where each maximum was found."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike

from jtconv import arguments, operands
from jtconv import padding as conventions
from jtconv.geometry import Axis

PerAxis = int | Sequence[int]


def max_pool_with_indices(
    x: ArrayLike,
    window: PerAxis,
    *,
    stride: PerAxis | None = None,
    padding: Any = "VALID",
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
        taken, of NaNs the last. :func:`max_unpool` is the way back.

    Raises:
        ValueError, TypeError: for a wrong argument, and for padding so wide that a window
            holds nothing else.

    >>> import jax.numpy as jnp
    >>> x = jnp.array([[1., 2., 0.], [4., 3., 9.]])[..., None]
    >>> values, indices = max_pool_with_indices(x, (2, 2), stride=1)
    >>> print(values[..., 0], indices[..., 0])
    [[4. 9.]] [[3 5]]
    """
    x = operands.array("x", x)
    if jnp.issubdtype(x.dtype, jnp.complexfloating):
        raise TypeError(f"x must be real, for complex numbers have no order; got {x.dtype}.")
    space = spatial("window", window, x)
    axes = _axes(space, window, stride, padding, dilation)
    cells = jnp.arange(math.prod(space), dtype=jnp.int32).reshape(*space, 1)
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


def _axes(
    space: tuple[int, ...], window: Any, stride: Any, padding: Any, dilation: Any
) -> list[Axis]:
    """Windows as kernels of a convolution: its input, the large side, is what is pooled."""
    rank = len(space)
    windows = arguments.per_axis("window", window, rank, least=1)
    strides = arguments.per_axis("stride", windows if stride is None else stride, rank, least=1)
    dilations = arguments.per_axis("dilation", dilation, rank, least=1)
    pads = conventions.parse(padding, rank)
    axes = []
    for index, (m, k, s, d) in enumerate(zip(space, windows, strides, dilations, strict=True)):
        span = d * (k - 1) + 1
        if isinstance(pads, str):
            lo, hi = conventions.of_convolution(pads, m, span, s)
        else:
            lo, hi = pads[index]
        axis = Axis((m + lo + hi - span) // s + 1, k, m, s, d, lo)
        _check(index, axis, (lo, hi))
        axes.append(axis)
    return axes


def _check(index: int, axis: Axis, pads: tuple[int, int]) -> None:
    """Every window must hold a cell of the input."""
    if axis.input < 1:
        raise ValueError(
            f"window spans {axis.effective_kernel} cells on spatial axis {index}, where x has "
            f"{axis.output} and padding {pads}: take a smaller window or dilation."
        )
    seen = {i for t in range(axis.kernel) for i in axis.inputs_of_tap(t)}
    if len(seen) < axis.input:
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


def _lowest(dtype: Any) -> jax.Array:
    return dtype.type(-jnp.inf if jnp.issubdtype(dtype, jnp.floating) else jnp.iinfo(dtype).min)


def _windows(a: jax.Array, where: int, axis: Axis, fill: jax.Array) -> Any:
    """The ``t``-th cell of every window, as a function of ``t``."""
    span = (axis.input - 1) * axis.stride + 1
    need = span + axis.effective_kernel - 1
    pads = [(0, 0, 0)] * a.ndim
    pads[where] = (axis.lo, need - axis.lo - axis.output, 0)
    a = lax.pad(a, fill, pads)

    def cells(t: int) -> jax.Array:
        start = axis.dilation * t
        return lax.slice_in_dim(a, start, start + span, axis.stride, where % a.ndim)

    return cells
