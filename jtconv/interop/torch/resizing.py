"""torch's ``nn.Upsample`` and its kin, as functions of channels-last arrays."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jtconv.interop.torch.arrays import each, sums_in
from jtconv.interop.torch.pooling import adaptive_avg_pool
from jtconv.interop.torch.table import Function

# How many spatial axes an interpolation is for; the others are for any number.
RANKS = {"linear": 1, "bilinear": 2, "bicubic": 2, "trilinear": 3}
MODES = ("nearest", "nearest-exact", "area", *RANKS)


def upsample(
    x: jax.Array,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
) -> jax.Array:
    """``(N, *spatial, C)`` resized, to ``size`` cells or by ``scale_factor`` per axis."""
    rank = x.ndim - 2
    if mode not in MODES or rank not in (1, 2, 3) or RANKS.get(mode, rank) != rank:
        raise ValueError(
            f"inputs must be (N, *spatial, C) with as many spatial axes as mode={mode!r} is for, "
            f"got {x.shape}."
        )
    space = x.shape[1:-1]
    factors = each(scale_factor, rank)
    sizes = each(size, rank)
    if size is None:
        sizes = tuple(int(n * factor) for n, factor in zip(space, factors, strict=True))
        # torch places cells by the factor itself, though the size is that rounded down.
    if min(sizes) < 1:
        raise ValueError(f"size must be 1 or more, got {sizes} for {x.shape}.")
    if mode == "area":
        return adaptive_avg_pool(x, rank=rank, output_size=sizes)
    y = x.astype(sums_in(x.dtype))
    for axis, (n, out, factor) in enumerate(zip(space, sizes, factors, strict=True), 1):
        step = n / out if size is not None or recompute_scale_factor else 1 / factor
        y = _resized(y, axis, out, step, mode, bool(align_corners))
    return y.astype(x.dtype)


def _resized(
    x: jax.Array, axis: int, out: int, step: float, mode: str, align_corners: bool
) -> jax.Array:
    """One axis: each new cell a sum of a few old ones."""
    n = x.shape[axis]
    if mode in ("nearest", "nearest-exact"):
        middle = np.float32(0.5 if mode == "nearest-exact" else 0)
        # In float32, as torch rounds.
        at = np.floor((np.arange(out, dtype=np.float32) + middle) * np.float32(step))
        return jnp.take(x, np.minimum(at.astype(int), n - 1), axis)
    if align_corners:
        at = np.arange(out) * ((n - 1) / (out - 1) if out > 1 else 0)
    else:
        at = (np.arange(out) + 0.5) * step - 0.5
    taps = _cubic(at, n) if mode == "bicubic" else _linear(at, n)
    wide = (-1, *[1] * (x.ndim - 1 - axis))
    total: Any = 0
    for cells, weights in taps:
        total = total + jnp.take(x, cells, axis) * weights.reshape(wide).astype(x.dtype)
    return total


Taps = list[tuple[np.ndarray, np.ndarray]]  # cells to read, and their weights


def _linear(at: np.ndarray, n: int) -> Taps:
    at = np.maximum(at, 0)
    low = np.minimum(np.floor(at).astype(int), n - 1)
    part = np.clip(at - low, 0, 1)
    return [(low, 1 - part), (np.minimum(low + 1, n - 1), part)]


def _cubic(at: np.ndarray, n: int, a: float = -0.75) -> Taps:
    """Keys, "Cubic convolution interpolation for digital image processing" (1981)."""
    low = np.floor(at).astype(int)
    taps = []
    for tap in range(-1, 3):
        d = np.abs(at - low - tap)
        near = ((a + 2) * d - (a + 3)) * d * d + 1
        far = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
        taps.append((np.clip(low + tap, 0, n - 1), np.where(d <= 1, near, far)))
    return taps


_PLACES = ("size", "scale_factor")
# Those that are told less come first: what they are is Upsample, too.
RESIZING = {
    "UpsamplingNearest2d": Function(upsample, _PLACES, {"mode": "nearest"}),
    "UpsamplingBilinear2d": Function(
        upsample, _PLACES, {"mode": "bilinear", "align_corners": True}
    ),
    "Upsample": Function(upsample, (*_PLACES, "mode", "align_corners", "recompute_scale_factor")),
}
