"""Two reports, old and new: what became slower, what faster."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

from bench import summary
from bench.table import SHORT, milliseconds

# Slower by this much, and by more than both runs' spread, is a regression.
THRESHOLD = 1.10


def changes(old: dict[str, Any], new: dict[str, Any]) -> list[tuple[tuple, dict, dict, float]]:
    """Key, old cell, new cell and new time over old, for every row that both have."""
    before = {summary.key(row): summary.our_cell(row) for row in old["rows"]}
    found = []
    for row in new["rows"]:
        key = summary.key(row)
        was, now = before.get(key), summary.our_cell(row)
        if was and now:
            found.append((key, was, now, now["median_s"] / was["median_s"]))
    return sorted(found, key=lambda change: -change[-1])


def is_regression(was: dict[str, Any], now: dict[str, Any]) -> bool:
    """Slower by more than noise explains."""
    clearly = now["p10_s"] > was["p90_s"]
    return clearly and now["median_s"] > THRESHOLD * was["median_s"]


def show(console: Console, old: dict[str, Any], new: dict[str, Any]) -> int:
    """Print the comparison; the number of regressions."""
    found = changes(old, new)
    table = Table("case", "mode", "dtype", "old ms", "new ms", "new / old", "")
    for (case, mode, dtype), was, now, ratio in found:
        verdict = "REGRESSION" if is_regression(was, now) else ""
        verdict = "faster" if is_regression(now, was) else verdict
        times = milliseconds(was), milliseconds(now)
        table.add_row(case, mode, SHORT[dtype], *times, f"{ratio:.2f}", verdict)
    console.print(table)
    for name in ("cpu", "device", "threads"):
        if old["machine"][name] != new["machine"][name]:
            console.print(f"Not the same machine: {name} differs.", style="bold yellow")
    rates = [r["limits"]["bytes_per_s"] for r in (old, new)]
    console.print(
        f"Copy bandwidth in the two runs: {rates[0] / 1e9:.1f}, {rates[1] / 1e9:.1f} GB/s"
    )
    return sum(is_regression(was, now) for _, was, now, _ in found)
