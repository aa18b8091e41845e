"""What follows from the rows: shares of the machine's limits, speedups, means and worst cases."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Row = dict[str, Any]
Cell = dict[str, Any]
BAD = ("wrong", "failed")


@dataclass(frozen=True)
class Speedup:
    """How many times faster than a peer we are; ``at_least`` where the peer never finished."""

    value: float
    at_least: bool = False

    def __str__(self) -> str:
        digits = 2 if self.value < 10 else 1 if self.value < 100 else 0
        return f"{'>' * self.at_least}{self.value:.{digits}f}"


def is_ours(implementation: str) -> bool:
    """Whether a column is jtconv, with whatever method."""
    return implementation.startswith("jtconv")


def key(row: Row) -> tuple[str, str, str]:
    """Case, mode and dtype: what makes two rows comparable."""
    return row["case"], row["mode"], row["dtype"]


def our_cell(row: Row) -> Cell | None:
    """The automatic choice; where only named methods ran, the fastest of them."""
    timed = {n: c for n, c in row["cells"].items() if is_ours(n) and "median_s" in c}
    if "jtconv" in row["cells"]:
        return timed.get("jtconv")
    return min(timed.values(), key=lambda cell: cell["median_s"], default=None)


def limit_s(row: Row, limits: dict[str, Any]) -> tuple[float, str]:
    """Seconds that the nearer limit of the machine allows, and whether compute or memory."""
    compute = row["multiply_adds"] / limits["multiply_adds_per_s"][row["dtype"]]
    memory = row["bytes"] / limits["bytes_per_s"]
    return max(compute, memory), "C" if compute >= memory else "M"


def speedup(row: Row, peer: str) -> Speedup | None:
    """How many times faster than ``peer`` we are in this row."""
    ours, theirs = our_cell(row), row["cells"].get(peer, {})
    if ours is None:
        return None
    if "lower_bound_s" in theirs:
        return Speedup(theirs["lower_bound_s"] / ours["median_s"], at_least=True)
    return Speedup(theirs["median_s"] / ours["median_s"]) if "median_s" in theirs else None


@dataclass(frozen=True)
class MeanSpeedup:
    """All rows of one mode and dtype against one peer."""

    mode: str
    dtype: str
    peer: str
    mean: float
    worst: float
    worst_case: str
    rows: int
    at_least: bool


def mean_speedups(rows: list[Row]) -> list[MeanSpeedup]:
    """Geometric mean and worst case against each peer, for each mode and dtype."""
    groups = dict.fromkeys((row["mode"], row["dtype"]) for row in rows)
    peers = dict.fromkeys(n for row in rows for n in row["cells"] if not is_ours(n))
    found = (_mean_speedup(rows, *group, peer) for group in groups for peer in peers)
    return [mean for mean in found if mean]


def _mean_speedup(rows: list[Row], mode: str, dtype: str, peer: str) -> MeanSpeedup | None:
    mine = [row for row in rows if (row["mode"], row["dtype"]) == (mode, dtype)]
    speedups = [(r, row["case"]) for row in mine if (r := speedup(row, peer))]
    if not speedups:
        return None
    mean = math.exp(sum(math.log(r.value) for r, _ in speedups) / len(speedups))
    worst, case = min(speedups, key=lambda pair: pair[0].value)
    bounded = any(r.at_least for r, _ in speedups)
    return MeanSpeedup(mode, dtype, peer, mean, worst.value, case, len(speedups), bounded)


def inexact(rows: list[Row]) -> list[str]:
    """Peers that were timed although beyond the tolerance: how often, and an example."""
    return _noted(rows, "inexact", lambda cell: cell.get("inexact"))


def broken_peers(rows: list[Row]) -> list[str]:
    """Peers that crashed: how often, and an example."""
    reason = lambda cell: cell["reason"] if cell["status"] == "failed" else None  # noqa: E731
    return _noted(rows, "failed", reason)


def _noted(rows: list[Row], what: str, reason: Callable[[Cell], str | None]) -> list[str]:
    found: dict[str, list[str]] = {}
    for row in rows:
        for name, cell in row["cells"].items():
            if not is_ours(name) and (why := reason(cell)):
                found.setdefault(name, []).append(f"{' '.join(key(row))}: {why}")
    return [f"{peer}: {what} in {len(w)} rows, for one {w[0]}" for peer, w in found.items()]


def faults(rows: list[Row]) -> list[str]:
    """Every wrong answer, and every crash of our own: a run that has one has failed."""
    return [
        f"{' '.join(key(row))} {name}: {cell['status']}, {cell['reason']}"
        for row in rows
        for name, cell in row["cells"].items()
        if cell["status"] == "wrong" or (cell["status"] in BAD and is_ours(name))
    ]
