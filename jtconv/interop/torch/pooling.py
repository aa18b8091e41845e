"""torch's pooling, as functions of channels-last arrays."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import reduce
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jtconv.interop.torch.arrays import each, space, sums_in
from jtconv.interop.torch.table import of_ranks


class _Window(NamedTuple):
    """One axis: n cells, padded, under a window that moves by the stride to ``out`` places."""

    n: int
    size: int
    stride: int
    pad: int
    dilation: int
    out: int

    @property
    def pads(self) -> tuple[int, int]:
        """Cells in front, and as many at the end as the last window reads."""
        span = self.dilation * (self.size - 1) + 1
        return self.pad, max((self.out - 1) * self.stride + span - self.n - self.pad, 0)

    def cells(self, count_include_pad: bool) -> np.ndarray:
        """What each window of an average divides by; one that reaches beyond the padding less."""
        first = np.arange(self.out) * self.stride - self.pad
        last = np.minimum(first + self.size, self.n + self.pad)
        if not count_include_pad:
            first, last = np.maximum(first, 0), np.minimum(last, self.n)
        return last - first


def _window(n: int, size: int, stride: int, pad: int, dilation: int, ceil_mode: bool) -> _Window:
    span = dilation * (size - 1) + 1
    if pad > span // 2:
        raise ValueError(f"padding must be at most half of the kernel, {span // 2}, got {pad}.")
    free = n + 2 * pad - span
    out = (-(-free // stride) if ceil_mode else free // stride) + 1
    if ceil_mode and (out - 1) * stride >= n + pad:
        out -= 1  # the last window would see nothing but padding
    if out < 1:
        raise ValueError(f"kernel_size leaves no output of {n} cells: {size}, padding {pad}.")
    return _Window(n, size, stride, pad, dilation, out)


def _windows(
    x: jax.Array, rank: int, kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil: bool
) -> list[_Window]:
    sizes = each(kernel_size, rank)
    strides = sizes if stride is None else each(stride, rank)
    given = zip(sizes, strides, each(padding, rank), each(dilation, rank), strict=True)
    return [
        _window(x.shape[axis], *numbers, ceil)
        for axis, numbers in zip(space(x, rank), given, strict=True)
    ]


def _reduced(
    x: jax.Array, windows: list[_Window], initial: Any, operation: Callable[..., Any]
) -> jax.Array:
    """The windows of each example and channel, reduced; padded by the initial value."""
    apart = [1] * (x.ndim - 1 - len(windows))

    def every(name: str) -> tuple[int, ...]:
        return (*apart, *(getattr(window, name) for window in windows), 1)

    pads = [*([(0, 0)] * len(apart)), *(window.pads for window in windows), (0, 0)]
    start = np.array(initial, x.dtype)
    return lax.reduce_window(
        x, start, operation, every("size"), every("stride"), pads, None, every("dilation")
    )


def max_pool(
    x: jax.Array,
    *,
    rank: int,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
) -> jax.Array:
    """The largest of each window."""
    windows = _windows(x, rank, kernel_size, stride, padding, dilation, ceil_mode)
    if all(window.dilation == 1 for window in windows):
        return _reduced(x, windows, _least(x.dtype), lax.max)
    return _dilated_max(x, windows)


def _least(dtype: Any) -> Any:
    return -jnp.inf if jnp.issubdtype(dtype, jnp.floating) else jnp.iinfo(dtype).min


def _dilated_max(x: jax.Array, windows: list[_Window]) -> jax.Array:
    """Of every window written out: JAX has no gradient of one with dilation."""
    apart = x.ndim - 1 - len(windows)
    pads = [*([(0, 0)] * apart), *(window.pads for window in windows), (0, 0)]
    x = jnp.pad(x, pads, constant_values=_least(x.dtype))
    for axis, window in enumerate(windows, apart):
        first = np.arange(window.out) * window.stride
        cells = first[:, None] + np.arange(window.size) * window.dilation
        x = jnp.moveaxis(jnp.take(x, cells, axis), axis + 1, -1)
    # The first of equals, in the order of rows, as in torch.
    x = x.reshape(*x.shape[: apart + len(windows) + 1], -1)
    return jnp.take_along_axis(x, jnp.argmax(x, -1, keepdims=True), -1)[..., 0]


def avg_pool(
    x: jax.Array,
    *,
    rank: int,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> jax.Array:
    """The mean of each window, zeros of the padding counted or not."""
    windows = _windows(x, rank, kernel_size, stride, padding, 1, ceil_mode)
    sums = _reduced(x.astype(sums_in(x.dtype)), windows, 0, lax.add)
    if divisor_override is not None:
        return (sums / divisor_override).astype(x.dtype)
    counts = reduce(np.multiply.outer, [window.cells(count_include_pad) for window in windows])
    return (sums / counts[..., None].astype(sums.dtype)).astype(x.dtype)


def lp_pool(
    x: jax.Array,
    *,
    rank: int,
    norm_type: float,
    kernel_size: Any,
    stride: Any = None,
    ceil_mode: bool = False,
) -> jax.Array:
    """The p-norm of each window: the p-th root of the sum of p-th powers, whatever their signs."""
    powers = x.astype(sums_in(x.dtype)) ** norm_type
    mean = avg_pool(powers, rank=rank, kernel_size=kernel_size, stride=stride, ceil_mode=ceil_mode)
    sums = mean * math.prod(each(kernel_size, rank))
    return (sums ** (1 / norm_type)).astype(x.dtype)


def adaptive_max_pool(x: jax.Array, *, rank: int, output_size: Any) -> jax.Array:
    """The largest of each of ``output_size`` parts."""
    for axis, out in zip(space(x, rank), each(output_size, rank), strict=True):
        parts, inside, _ = _parts(x, axis, out)
        x = jnp.where(inside, parts, np.array(_least(x.dtype), x.dtype)).max(axis + 1)
    return x


def adaptive_avg_pool(x: jax.Array, *, rank: int, output_size: Any) -> jax.Array:
    """The mean of each of ``output_size`` parts."""
    y = x.astype(sums_in(x.dtype))
    for axis, out in zip(space(x, rank), each(output_size, rank), strict=True):
        parts, inside, counts = _parts(y, axis, out)
        y = jnp.where(inside, parts, 0).sum(axis + 1) / counts.astype(y.dtype)
    return y.astype(x.dtype)


def _parts(x: jax.Array, axis: int, out: int | None) -> tuple[jax.Array, np.ndarray, np.ndarray]:
    """The axis as ``(out, most)``: part i has cells i*n/out to (i+1)*n/out, outwards to whole ones.

    With what lies inside each part, and how many cells that are.
    """
    n = x.shape[axis]
    out = n if out is None else out
    first = np.arange(out) * n // out
    last = -(-np.arange(1, out + 1) * n // out)
    cells = first[:, None] + np.arange((last - first).max(initial=1))
    after = x.ndim - 1 - axis
    inside = (cells < last[:, None]).reshape(*cells.shape, *[1] * after)
    parts = jnp.take(x, np.minimum(cells, n - 1), axis)
    return parts, inside, (last - first).reshape(out, *[1] * after)


_PLACES = ("kernel_size", "stride", "padding")
POOLING = {
    **of_ranks("MaxPool", max_pool, (*_PLACES, "dilation", "ceil_mode"), return_indices=False),
    **of_ranks("AvgPool", avg_pool, (*_PLACES, "ceil_mode", "count_include_pad"), (1,)),
    **of_ranks(
        "AvgPool",
        avg_pool,
        (*_PLACES, "ceil_mode", "count_include_pad", "divisor_override"),
        (2, 3),
    ),
    **of_ranks("LPPool", lp_pool, ("norm_type", "kernel_size", "stride", "ceil_mode")),
    **of_ranks("AdaptiveMaxPool", adaptive_max_pool, ("output_size",), return_indices=False),
    **of_ranks("AdaptiveAvgPool", adaptive_avg_pool, ("output_size",)),
}
