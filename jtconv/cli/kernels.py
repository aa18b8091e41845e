"""Kernels that turn a transposed convolution into a way to enlarge pictures."""

from __future__ import annotations

import numpy as np

# How much each colour adds to what the eye takes for brightness (ITU-R BT.709).
LUMA = np.array([0.2126, 0.7152, 0.0722])


def bilinear(size: int) -> np.ndarray:
    """The tent of linear interpolation, ``(size, size)``; `size` 2s for an even stride s.

    >>> bilinear(4)[0] / bilinear(4)[0, 0]
    array([1., 3., 3., 1.])
    """
    half = (size + 1) // 2
    centre = (size - 1) / 2
    tent = 1 - np.abs(np.arange(size) - centre) / half
    return np.outer(tent, tent)


def lanczos(size: int, stride: int) -> np.ndarray:
    """The Lanczos window with ``size / (2 * stride)`` lobes a side, ``(size, size)``.

    Each output phase sees its own share of the taps; making every share sum to one keeps a flat
    grey flat, which is what a checkerboard pattern is the absence of.
    """
    distance = (np.arange(size) - (size - 1) / 2) / stride
    taps = np.sinc(distance) * np.sinc(distance * 2 * stride / size)
    for phase in range(stride):
        taps[phase::stride] /= taps[phase::stride].sum()
    return np.outer(taps, taps)


def coloured(kernel: np.ndarray, saturation: float) -> np.ndarray:
    """``(*kernel, 3, 3)``: the kernel for each pair of colours, raising the saturation with it.

    Greys stay grey: every column of the mixture sums to one.
    """
    mixture = saturation * np.eye(3) + (1 - saturation) * LUMA[:, None]
    return kernel[:, :, None, None] * mixture


def untrained(size: int, stride: int, channels: int, seed: int) -> np.ndarray:
    """Random weights ``(size, size, channels, channels)``, as a new layer has before training.

    An output cell sums ``channels * (size / stride)**2`` products, so this spread keeps the
    contrast of what goes in.
    """
    spread = stride / (size * np.sqrt(channels))
    return np.random.default_rng(seed).normal(0, spread, (size, size, channels, channels))
