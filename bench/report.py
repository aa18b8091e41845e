"""The result of a run: a JSON file with everything, and what is drawn from it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rich.console import Console

from bench import readme as readme_table
from bench import summary, table

SCHEMA = 1
Report = dict[str, Any]

_PARTS = {"schema": int, "machine": dict, "plan": dict, "limits": dict, "rows": list}
_STATUS = ("ok", "wrong", "failed", "refused", "over_budget")


def check(report: Report) -> Report:
    """The report itself, once its form is known to be right."""
    for name, kind in _PARTS.items():
        if not isinstance(report.get(name), kind):
            raise ValueError(f"not a report of python -m bench: {name!r} must be a {kind.__name__}")
    if report["schema"] != SCHEMA:
        raise ValueError(f"a report of schema {report['schema']}; this program reads {SCHEMA}")
    for row in report["rows"]:
        _check_row(row)
    return report


def _check_row(row: dict[str, Any]) -> None:
    for name, cell in row["cells"].items():
        where = f"{' '.join(summary.key(row))} {name}"
        if cell["status"] not in _STATUS:
            raise ValueError(f"{where}: unknown status {cell['status']!r}")
        if cell["status"] == "ok" and not 0 < cell["p10_s"] <= cell["median_s"] <= cell["p90_s"]:
            raise ValueError(f"{where}: times out of order")


def load(path: Path) -> Report:
    """A report written by ``save``."""
    return check(json.loads(path.read_text()))


def save(report: Report, path: Path) -> None:
    """Write a report, readable and diffable."""
    path.write_text(json.dumps(check(report), indent=1) + "\n")


def finish(
    report: Report, console: Console, to: Path | None, plot: Path | None, readme: bool
) -> None:
    """Show a report, and write the files that were asked for."""
    rows, limits = report["rows"], report["limits"]
    if not report["plan"]["opened"]:
        console.print(table.overview(rows, limits))
        console.print(table.standings(rows))
    table.show_limits(console, limits)
    if to:
        save(report, to)
    if readme:
        readme_table.rewrite(report)
    if plot:
        from bench import plot as plots  # matplotlib is asked for only by those who draw

        plots.draw(report, plot)
    for note in (*summary.inexact(rows), *summary.broken_peers(rows)):
        console.print(note, markup=False)
    for fault in summary.faults(rows):
        console.print(f"FAILED {fault}", style="bold red", markup=False)
