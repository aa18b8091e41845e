"""What a run of the meter leaves: a JSON file of its rows and of the compiler that they are of.

Those in ``bench/results`` are what README shows.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.compiled.sweep import Found

SCHEMA = 1
FOLDER = Path(__file__).parent.parent / "results"
KEPT = "compiled-*.json"


@dataclass(frozen=True)
class Results:
    """Rows, and the packages, with their versions, whose compiler they are of."""

    versions: dict[str, str]
    rows: list[Found]


def save(results: Results, path: Path) -> None:
    """A line a row, without what is not known."""
    rows = (
        json.dumps({name: value for name, value in asdict(row).items() if value not in (None, "")})
        for row in results.rows
    )
    head = json.dumps({"schema": SCHEMA, "versions": results.versions})[:-1]
    lines = ",\n  ".join(rows)
    path.write_text(f'{head},\n "rows": [\n  {lines}\n]}}\n', encoding="utf-8")


def load(path: Path) -> Results:
    """What ``save`` wrote."""
    found = json.loads(path.read_text(encoding="utf-8"))
    if found.get("schema") != SCHEMA or "versions" not in found:
        raise ValueError(f"{path} is no file of python -m bench --compile --json, schema {SCHEMA}")
    return Results(found["versions"], [Found(**row) for row in found["rows"]])


def kept(folder: Path = FOLDER) -> list[Results]:
    """All that is in the repository."""
    return [load(path) for path in sorted(folder.glob(KEPT))]


def rows_of(results: Iterable[Results]) -> list[Found]:
    """All their rows, a later one in place of an earlier one of the same program."""
    return list({row.program: row for each in results for row in each.rows}.values())


def compilers(results: Sequence[Results]) -> list[str]:
    """Each compiler as text, once."""
    texts = (
        ", ".join([v["compiler"], *(f"{k} {n}" for k, n in v.items() if k != "compiler")])
        for v in (each.versions for each in results)
    )
    return list(dict.fromkeys(texts))
