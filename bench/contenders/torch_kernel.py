"""Kernels between our order and torch's."""

from __future__ import annotations

import numpy as np


def to_torch(w: np.ndarray, groups: int) -> np.ndarray:
    """``(*k, C // g, O)`` to torch's ``(C, O // g, *k)``."""
    *kernel, depth, out = w.shape
    w = np.moveaxis(w.reshape(*kernel, depth, groups, out // groups), -2, -3)
    w = w.reshape(*kernel, groups * depth, out // groups)
    return np.moveaxis(w, (-2, -1), (0, 1))


def from_torch(w: np.ndarray, groups: int) -> np.ndarray:
    """The way back."""
    w = np.moveaxis(w, (0, 1), (-2, -1))
    *kernel, channels, width = w.shape
    w = np.moveaxis(w.reshape(*kernel, groups, channels // groups, width), -3, -2)
    return w.reshape(*kernel, channels // groups, groups * width)
