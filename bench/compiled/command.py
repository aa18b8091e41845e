"""``python -m bench --compile CHIP``: what the compiler makes of every layer for a chip."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from bench.cases import Case
from bench.compiled import layers, meters, programs, results, show, sweep
from bench.compiled.programs import Part, Setting
from bench.compiled.results import Results
from bench.compiled.sweep import Found


def run(
    chip: str,
    cases: Sequence[Case],
    dtypes: Sequence[str],
    settings: Sequence[Setting],
    method: str,
    console: Console,
    rows: Path | None = None,
    jobs: int = 1,
    json: Path | None = None,
) -> list[Found]:
    """Compile and count, show it, and keep it in a file of ``rows`` and in one of ``json``."""
    if why := meters.of(chip).missing():
        raise ValueError(f"--compile {chip}: {why}")
    work = list(sweep.works(chip, cases, dtypes, settings, method))
    found = sweep.run(work, rows, jobs)
    chosen = choices(found)
    console.print(show.programs(found, chosen))
    console.print(show.mean_table(show.means(found, chosen)))
    if json:
        results.save(Results(meters.of(chip).versions(), found), json)
    console.print("Counted from what the compiler wrote; nothing was run. * is what auto takes.")
    return found


def rewrite_readme() -> None:
    """README's table, by what is kept in the repository and by the rules of today."""
    kept = results.kept()
    show.rewrite(kept, choices(results.rows_of(kept)))


def choices(rows: Sequence[Found]) -> dict[show.Key, str]:
    """What ``auto`` takes for each side in a table, by the rules of today."""
    named = {case.name: case for case in (*layers.select([], "full"), *layers.drawn())}
    keys = dict.fromkeys(row.program[:-1] for row in rows)
    parts = {
        key: Part(named[case], side, dtype, meters.of(chip).PLATFORM)  # type: ignore[arg-type]
        for key in keys
        for chip, _, dtype, case, side in [key]
    }
    return {key: programs.method(part) for key, part in parts.items()}
