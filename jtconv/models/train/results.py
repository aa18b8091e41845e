"""What a run leaves behind: numbers, grids of pictures, and the folder that holds them.

``run.json`` says which run it is, ``checkpoints/`` holds where it stands, ``metrics.json`` and
the pictures how it ended. Every file is written under another name and then renamed, so a kill
leaves it whole or not there.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jtconv import extras

with extras.needs("train"):
    from PIL import Image

_PART = ".part"
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


@dataclass(frozen=True)
class Results:
    """Numbers for ``metrics.json``, and pictures by the name of their file."""

    metrics: dict[str, Any]
    pictures: dict[str, Image.Image] = field(default_factory=dict)


@dataclass(frozen=True)
class Run:
    """What makes a run the one it is: two runs that agree here are one, continued."""

    model: str
    data: str
    seed: int

    def __str__(self) -> str:
        return f"{self.model} on {self.data} with seed {self.seed}"


class Folder:
    """A folder that belongs to one run.

    Raises:
        ValueError: where it belongs to another run, or holds what is no run at all.
        OSError: where it cannot be made.
    """

    def __init__(self, path: Path, run: Run) -> None:
        path.mkdir(parents=True, exist_ok=True)
        self.path, self.checkpoints = path, path / "checkpoints"
        record = path / "run.json"
        if not record.exists():
            if any(entry.suffix != _PART for entry in path.iterdir()):
                raise ValueError(f"{path} is not empty and holds no run; name a new folder.")
            self._write("run.json", lambda file: _dump(asdict(run), file))
        self._check(record, run)

    def _check(self, record: Path, run: Run) -> None:
        try:
            found = Run(**json.loads(record.read_text(encoding="utf-8")))
        except (ValueError, TypeError):
            raise ValueError(f"{record} is not the record of a run; name a new folder.") from None
        if found != run:
            raise ValueError(f"{self.path} holds {found}, not {run}; name another folder.")

    def write(self, results: Results, facts: dict[str, Any]) -> list[Path]:
        """The pictures, and last ``metrics.json``: facts of the run, then its metrics."""
        written = [
            self._write(f"{name}.png", partial(picture.save, format="PNG"))
            for name, picture in results.pictures.items()
        ]
        whole = {**facts, "metrics": results.metrics}
        return [*written, self._write("metrics.json", lambda file: _dump(whole, file))]

    def _write(self, name: str, write: Callable[[Path], None]) -> Path:
        part, path = self.path / (name + _PART), self.path / name
        write(part)
        os.replace(part, path)
        return path


def _dump(value: dict[str, Any], file: Path) -> None:
    file.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")


def grid(rows: Sequence[np.ndarray | jax.Array]) -> Image.Image:
    """Pictures in 0 .. 1, ``(count, height, width, 3 or 1)`` a row, as one picture."""
    lines = []
    for row in rows:
        cells = np.asarray(row, np.float32)
        cells = np.broadcast_to(cells, (*cells.shape[:-1], 3))
        gaps = ((0, 0), (0, _GAP), (0, _GAP), (0, 0))
        lines.append(np.concatenate(list(np.pad(cells, gaps, constant_values=1)), 1))
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
    levels: np.ndarray = 0.5 + 0.5 * patterns / np.maximum(strong, 1e-12)
    return levels.clip(0, 1)
