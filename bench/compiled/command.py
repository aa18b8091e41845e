"""``python -m bench --compile CHIP``: what the compiler makes of every layer for a chip."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from rich.console import Console

from bench.compiled import layers, meters, networks, programs, results, show, sweep
from bench.compiled.networks import TRAINING
from bench.compiled.programs import AUTO, Part, Setting
from bench.compiled.results import Results
from bench.compiled.sweep import Found, Program


def run(
    chip: str,
    work: Iterable[Program],
    console: Console,
    rows: Path | None = None,
    jobs: int = 1,
    json: Path | None = None,
) -> list[Found]:
    """Compile and count, show it, and keep it in a file of ``rows`` and in one of ``json``."""
    if why := meters.of(chip).missing():
        raise ValueError(f"--compile {chip}: {why}")
    found = sweep.run(list(work), rows, jobs)
    chosen = choices(found)
    console.print(show.programs(found, chosen))
    console.print(show.mean_table(show.means(found, chosen)))
    if json:
        results.save(Results(meters.of(chip).versions(), found), json)
    console.print("Counted from what the compiler wrote; nothing was run. * is what auto takes.")
    return found


def work(
    chip: str,
    suite: str,
    patterns: list[str],
    dtypes: Sequence[str],
    settings: Sequence[Setting],
    method: str,
) -> Iterable[Program]:
    """The programs of a suite."""
    if suite == "networks":
        return networks.works(chip, dtypes, patterns)
    return sweep.works(chip, layers.select(patterns, suite), dtypes, settings, method)


def rewrite_readme() -> None:
    """README's table, by what is kept in the repository and by the rules of today."""
    kept = results.kept()
    show.rewrite(kept, choices(results.rows_of(kept)))


def choices(rows: Sequence[Found]) -> dict[show.Key, str]:
    """What ``auto`` takes for each side in a table, by the rules of today."""
    layer = [row for row in rows if row.setting != TRAINING]
    named = {case.name: case for case in (*layers.select([], "full"), *layers.drawn())}
    keys = dict.fromkeys(row.program[:-1] for row in layer)
    parts = {
        key: Part(named[case], side, dtype, meters.of(chip).PLATFORM)  # type: ignore[arg-type]
        for key in keys
        for chip, _, dtype, case, side in [key]
    }
    steps = {row.program[:-1]: AUTO for row in rows if row.setting == TRAINING}
    return steps | {key: programs.method(part) for key, part in parts.items()}
