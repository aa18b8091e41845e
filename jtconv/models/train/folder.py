"""The folder of a run: whose it is, and what is written there.

``run.json`` says which run it is, ``checkpoints/`` holds where it stands, ``metrics.json`` and
the pictures how it ended. Every file is written beside its name and then renamed, so a kill
leaves it whole or not there.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from jtconv.models.train.recipe import Results

_PART = ".part"


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
