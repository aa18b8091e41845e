"""The result of a run: a JSON file with everything, what is shown of it, and two compared."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench import readme as readme_tables
from bench import summary, table
from bench.summary import Cell, Row
from bench.table import SHORT, milliseconds

# In the file a cell's "way" is the variant that was fastest, with the algorithms it chose, and the
# plan's "opened" is whether rows were shown in detail.
SCHEMA = 1
Report = dict[str, Any]

_PARTS = {"schema": int, "machine": dict, "plan": dict, "limits": dict, "rows": list}
_STATUS = ("ok", "wrong", "failed", "refused", "over_budget")
# Slower by this much, and by more than both runs' spread, is a regression.
THRESHOLD = 1.10


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


def _check_row(row: Row) -> None:
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
    """Show a report, and write the files named."""
    rows = report["rows"]
    suite = report["plan"].get("suite")
    if not of_layers(report) and (plot or (readme and suite != "networks")):
        raise ValueError(f"--plot and --readme show layers; a report of --{suite} has none")
    _show(console, report)
    if to:
        save(report, to)
    if readme:
        readme_tables.rewrite(report)
    if plot:
        from bench import plot as plots  # only who draws needs matplotlib

        plots.draw(report, plot)
    for note in (*summary.inexact(rows), *summary.broken_peers(rows)):
        console.print(note, markup=False)
    for fault in summary.faults(rows):
        console.print(f"FAILED {fault}", style="bold red", markup=False)


def of_layers(report: Report) -> bool:
    """Whether it is of layers, and not of ``--overhead``, ``--streaming`` or networks."""
    return report["plan"].get("suite") not in ("overhead", "streaming", "networks")


def _show(console: Console, report: Report) -> None:
    rows, limits = report["rows"], report["limits"]
    if report["plan"].get("suite") == "networks":
        console.print(table.networks(rows))
        return
    if report["plan"].get("suite") == "streaming":
        console.print(table.streaming(rows))
        return
    if not of_layers(report):
        console.print(table.overhead(rows))
        flax = "brings in" if report["plan"]["imports_flax"] else "leaves out"
        console.print(f"import jtconv {flax} Flax")
        return
    if not report["plan"]["opened"]:
        console.print(table.overview(rows, limits))
        console.print(table.mean_speedups(rows))
    table.show_limits(console, limits)


def changes(old: Report, new: Report) -> list[tuple[tuple[str, str, str], Cell, Cell, float]]:
    """Key, old cell, new cell and new time over old, for every row that both have."""
    before = {summary.key(row): summary.our_cell(row) for row in old["rows"]}
    found = []
    for row in new["rows"]:
        key = summary.key(row)
        was, now = before.get(key), summary.our_cell(row)
        if was and now:
            found.append((key, was, now, now["median_s"] / was["median_s"]))
    return sorted(found, key=lambda change: -change[-1])


def is_regression(was: Cell, now: Cell) -> bool:
    """Slower by more than noise explains."""
    clearly = now["p10_s"] > was["p90_s"]
    return bool(clearly and now["median_s"] > THRESHOLD * was["median_s"])


def compare(console: Console, old: Report, new: Report) -> int:
    """Print what became slower and what faster; the number of regressions."""
    found = changes(old, new)
    lines = Table("case", "mode", "dtype", "old ms", "new ms", "new / old", "")
    for (case, mode, dtype), was, now, ratio in found:
        verdict = "REGRESSION" if is_regression(was, now) else ""
        verdict = "faster" if is_regression(now, was) else verdict
        times = milliseconds(was), milliseconds(now)
        lines.add_row(case, mode, SHORT[dtype], *times, f"{ratio:.2f}", verdict)
    console.print(lines)
    for name in ("cpu", "device", "threads"):
        if old["machine"][name] != new["machine"][name]:
            console.print(f"Not the same machine: {name} differs.", style="bold yellow")
    rates = [r["limits"]["bytes_per_s"] / 1e9 for r in (old, new) if of_layers(r)]
    if rates:
        console.print(f"Copy bandwidth, GB/s: {', '.join(f'{rate:.1f}' for rate in rates)}")
    return sum(is_regression(was, now) for _, was, now, _ in found)
