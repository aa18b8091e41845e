"""A picture of any size through one transposed convolution, a strip of rows at a time.

Two paths share the strips.  A smooth kernel is made to keep brightness: the stamps of the
picture are divided by the stamps of a picture of ones, so that neither the edges nor the phases
of the stride leave a pattern, and colours are weighted by their opacity, so that what is hidden
under transparent pixels does not leak out.  Random weights are shown as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import jax
import numpy as np

import jtconv
from jtconv.cli.kernels import bilinear, untrained

STRIP_BYTES = 2**27  # of stamps, were a method to hold them all at once
Layer = Callable[[np.ndarray, np.ndarray], np.ndarray]


def enlarge(
    planes: np.ndarray,
    *,
    has_alpha: bool,
    size: int,
    stride: int,
    seed: int | None = None,
    advance: Callable[[float], None] = lambda share: None,
) -> np.ndarray:
    """``(H, W, bands)`` to ``(H * stride, W * stride, bands)``, in the dtype it came in.

    The kernel is bilinear, or random with `seed`.  `advance` hears what share is done.
    """
    height, width, bands = planes.shape
    top = 1.0 if planes.dtype.kind == "f" else float(np.iinfo(planes.dtype).max)
    layer = partial(_smooth, has_alpha=has_alpha, top=top, size=size, stride=stride)
    if seed is not None:
        kernel = untrained(size, stride, bands - has_alpha, seed)
        layer = partial(_random, smooth=layer, kernel=kernel, top=top, stride=stride)
    large = np.empty((height * stride, width * stride, bands), planes.dtype)
    rows = _rows_a_strip(planes, size)
    for start, strip, inside in _strips(planes, rows, _halo(size, stride)):
        part = large[start * stride : (start + rows) * stride]
        part[:] = _as_stored(layer(strip, inside)[: len(part)], planes.dtype)
        advance(min(1.0, (start + rows) / height))
    return large


def _rows_a_strip(planes: np.ndarray, size: int) -> int:
    height, width, bands = planes.shape
    bytes_a_row = 4 * width * (bands + 2) * size**2
    return max(1, min(height, STRIP_BYTES // bytes_a_row))


def _halo(size: int, stride: int) -> int:
    """Rows to either side whose stamps reach into a strip."""
    return -(-size // stride)


def _strips(
    planes: np.ndarray, rows: int, halo: int
) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Where a strip starts, its rows with a halo, and 1 where these are inside the picture.

    All strips have one shape, so that XLA compiles once.
    """
    height, width, bands = planes.shape
    for start in range(0, height, rows):
        wanted = range(start - halo, start + rows + halo)
        first, last = max(wanted.start, 0), min(wanted.stop, height)
        there = slice(first - wanted.start, last - wanted.start)
        strip = np.zeros((len(wanted), width, bands), np.float32)
        inside = np.zeros((len(wanted), width, 1), np.float32)
        strip[there], inside[there] = planes[first:last], 1
        yield start, strip, inside


def _smooth(
    strip: np.ndarray, inside: np.ndarray, *, has_alpha: bool, top: float, size: int, stride: int
) -> np.ndarray:
    """Colour is sum(stamps * opacity * colour) / sum(stamps * opacity)."""
    colour, opacity = (strip[..., :-1], strip[..., -1:] / top) if has_alpha else (strip, inside)
    stack = np.concatenate([colour * opacity, opacity, inside], axis=-1)
    kernel = np.repeat(bilinear(size)[:, :, None, None], stack.shape[-1], axis=-1)
    y = _stamped(stack, kernel, stride)
    weighted, opacity, ones = y[..., :-2], y[..., -2:-1], y[..., -1:]
    colour = np.divide(weighted, opacity, out=np.zeros_like(weighted), where=opacity > 0)
    if not has_alpha:
        return colour
    alpha = np.divide(opacity, ones, out=np.zeros_like(ones), where=ones > 0)
    return np.concatenate([colour, top * alpha], axis=-1)


def _random(
    strip: np.ndarray,
    inside: np.ndarray,
    *,
    smooth: Layer,
    kernel: np.ndarray,
    top: float,
    stride: int,
) -> np.ndarray:
    """Colours mixed by the kernel about middle grey; opacity is no colour, and stays smooth."""
    bands = kernel.shape[-1]
    middle = top / 2
    mixed = middle + _stamped((strip[..., :bands] - middle) * inside, kernel, stride)
    if strip.shape[-1] == bands:
        return mixed
    return np.concatenate([mixed, smooth(strip, inside)[..., bands:]], axis=-1)


def _stamped(strip: np.ndarray, kernel: np.ndarray, stride: int) -> np.ndarray:
    """The transposed convolution itself, cropped to ``stride`` times what is inside the halo."""
    size, channels = len(kernel), strip.shape[-1]
    before = (size - stride) // 2
    sides, halo = (before, size - stride - before), stride * _halo(size, stride)
    padding = ((sides[0] + halo, sides[1] + halo), sides)
    groups = channels // kernel.shape[-2]
    y = _layer(strip[None], kernel.astype(np.float32), stride, padding, groups)
    return np.asarray(y[0])


@partial(jax.jit, static_argnums=(2, 3, 4))
def _layer(x: jax.Array, w: jax.Array, stride: int, padding: tuple, groups: int) -> jax.Array:
    """Compiled once for all strips of a picture."""
    return jtconv.conv_transpose(
        x, w, stride=stride, padding=padding, groups=groups, precision="highest"
    )


def _as_stored(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    if dtype.kind == "f":
        return values.astype(dtype)
    limits = np.iinfo(dtype)
    # float64, as float32 has no 2**31 - 1 to clip to
    return np.rint(np.clip(values.astype(np.float64), limits.min, limits.max)).astype(dtype)
