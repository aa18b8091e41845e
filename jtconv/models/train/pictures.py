"""Grids of pictures, small enough as files to be kept."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import numpy as np
from PIL import Image

_GAP = 2
_COLOURS = 96  # a palette of its own for each picture makes the files a third as large
_PALETTE = np.array(
    [
        *([0, 0, 0], [230, 25, 75], [60, 180, 75], [255, 225, 25], [0, 130, 200]),
        *([245, 130, 48], [145, 30, 180], [70, 240, 240], [240, 50, 230], [210, 245, 60]),
        [250, 190, 212],
    ],
    np.float32,
)


def grid(rows: Sequence[np.ndarray | jax.Array]) -> Image.Image:
    """Pictures in 0 .. 1, ``(count, height, width, 3 or 1)`` a row, as one picture."""
    lines = []
    for row in rows:
        cells = np.asarray(row, np.float32)
        cells = np.broadcast_to(cells, (*cells.shape[:-1], 3))
        room = ((0, 0), (0, _GAP), (0, _GAP), (0, 0))
        lines.append(np.concatenate(list(np.pad(cells, room, constant_values=1)), 1))
    whole = np.concatenate(lines)[:-_GAP, :-_GAP]
    bytes_ = np.rint(255 * whole.clip(0, 1)).astype(np.uint8)
    return Image.fromarray(bytes_).quantize(_COLOURS)


def overlay(pictures: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """The scenes darkened, and each class but the background in a colour of its own."""
    colours = _PALETTE[classes] / 255
    return np.where((classes > 0)[..., None], colours, 0.5 * np.asarray(pictures))


def contrast(pictures: np.ndarray | jax.Array) -> np.ndarray:
    """Signed patterns, ``(count, ...)``, around grey; the strongest hundredth is cut off."""
    patterns = np.asarray(pictures)
    strong = np.quantile(np.abs(patterns), 0.99, tuple(range(1, patterns.ndim)), keepdims=True)
    return (0.5 + 0.5 * patterns / np.maximum(strong, 1e-12)).clip(0, 1)
