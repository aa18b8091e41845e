"""What the rows say: fractions of the machine's limit, ratios to peers, means and worst cases."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bench.names import is_ours

Row = dict[str, Any]
BAD = ("wrong", "failed")


@dataclass(frozen=True)
class Ratio:
    """How many times faster than a peer we are; ``at_least`` where the peer never finished."""

    value: float
    at_least: bool = False

    def __str__(self) -> str:
        digits = 2 if self.value < 10 else 1 if self.value < 100 else 0
        return f"{'>' * self.at_least}{self.value:.{digits}f}"


def key(row: Row) -> tuple[str, str, str]:
    """Case, mode and dtype: what makes two rows comparable."""
    return row["case"], row["mode"], row["dtype"]


def our_cell(row: Row) -> dict[str, Any] | None:
    """The automatic choice; where only named methods ran, the fastest of them."""
    timed = {n: c for n, c in row["cells"].items() if is_ours(n) and "median_s" in c}
    if "jtconv" in row["cells"]:
        return timed.get("jtconv")
    return min(timed.values(), key=lambda cell: cell["median_s"], default=None)


def floor(row: Row, limits: dict[str, Any]) -> tuple[float, str]:
    """Seconds that the nearer limit of the machine allows, and whether compute or memory."""
    compute = row["multiply_adds"] / limits["multiply_adds_per_s"][row["dtype"]]
    memory = row["bytes"] / limits["bytes_per_s"]
    return max(compute, memory), "C" if compute >= memory else "M"


def ratio(row: Row, peer: str) -> Ratio | None:
    """How many times faster than ``peer`` we are in this row."""
    ours, theirs = our_cell(row), row["cells"].get(peer, {})
    if ours is None:
        return None
    if "lower_bound_s" in theirs:
        return Ratio(theirs["lower_bound_s"] / ours["median_s"], at_least=True)
    return Ratio(theirs["median_s"] / ours["median_s"]) if "median_s" in theirs else None


@dataclass(frozen=True)
class Standing:
    """All rows of one mode and dtype against one peer."""

    mode: str
    dtype: str
    peer: str
    mean: float
    worst: float
    worst_case: str
    rows: int
    at_least: bool


def standings(rows: list[Row]) -> list[Standing]:
    """Geometric mean and worst case against each peer, for each mode and dtype."""
    groups = dict.fromkeys((row["mode"], row["dtype"]) for row in rows)
    peers = dict.fromkeys(n for row in rows for n in row["cells"] if not is_ours(n))
    found = (_standing(rows, *group, peer) for group in groups for peer in peers)
    return [standing for standing in found if standing]


def _standing(rows: list[Row], mode: str, dtype: str, peer: str) -> Standing | None:
    mine = [row for row in rows if (row["mode"], row["dtype"]) == (mode, dtype)]
    ratios = [(r, row["case"]) for row in mine if (r := ratio(row, peer))]
    if not ratios:
        return None
    mean = math.exp(sum(math.log(r.value) for r, _ in ratios) / len(ratios))
    worst, case = min(ratios, key=lambda pair: pair[0].value)
    bounded = any(r.at_least for r, _ in ratios)
    return Standing(mode, dtype, peer, mean, worst.value, case, len(ratios), bounded)


def inexact(rows: list[Row]) -> list[str]:
    """Peers that were timed although beyond the tolerance: how often, and an example."""
    return _told(rows, "inexact", lambda cell: cell.get("inexact"))


def broken_peers(rows: list[Row]) -> list[str]:
    """Peers that crashed: how often, and an example."""
    reason = lambda cell: cell["reason"] if cell["status"] == "failed" else None  # noqa: E731
    return _told(rows, "failed", reason)


def _told(rows: list[Row], what: str, reason: Callable[[dict], str | None]) -> list[str]:
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
