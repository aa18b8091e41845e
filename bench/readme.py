"""The tables in README.md, between their markers."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from bench import summary, today
from bench.layers import QUICK
from bench.summary import Row
from bench.table import SHORT, milliseconds

README = Path(__file__).parent.parent / "README.md"
MARKERS = re.compile(r"(<!-- (bench|today) -->\n).*?(<!-- /\2 -->)", re.DOTALL)


def rewrite(report: dict[str, Any], path: Path = README) -> None:
    """Put a report's tables between their markers, ``<!-- NAME -->`` and ``<!-- /NAME -->``."""
    text = path.read_text(encoding="utf-8")
    if not MARKERS.search(text):
        raise ValueError(f"{path} has no <!-- bench --> and <!-- /bench --> to write between")
    path.write_text(filled(text, report), encoding="utf-8")


def filled(text: str, report: dict[str, Any]) -> str:
    """A page with the tables of a report between its markers."""
    tables = {"bench": markdown, "today": today.markdown}
    return MARKERS.sub(lambda found: found[1] + tables[found[2]](report) + found[3], text)


def markdown(report: dict[str, Any]) -> str:
    """When and where, the means; then, folded, the cases of the quick suite, by dtype."""
    rows = report["rows"]
    parts = [_provenance(report), _means(rows), "<details><summary>Some layers</summary>"]
    telling = [row for row in rows if row["case"] in QUICK] or rows
    for dtype in dict.fromkeys(row["dtype"] for row in telling):
        parts.append(_table([row for row in telling if row["dtype"] == dtype], report["limits"]))
    return "\n\n".join([*parts, "</details>"]) + "\n"


def _provenance(report: dict[str, Any]) -> str:
    about, limits = report["machine"], report["limits"]
    versions = ", ".join(f"{n} {v}" for n, v in about["versions"].items() if v)
    where = about["cpu"] if about["backend"] == "cpu" else about["device"]
    rates = ", ".join(
        f"{SHORT[d]} matmul {r / 1e9:.0f} GMAC/s" for d, r in limits["multiply_adds_per_s"].items()
    )
    return (
        f"{about['date'][:10]}, {where}, {about['threads']} threads; {versions}; revision "
        f"{about['revision']}. Limits in the same run: {rates}, copy "
        f"{limits['bytes_per_s'] / 1e9:.1f} GB/s."
    )


def _means(rows: list[Row]) -> str:
    lines = ["| mode | dtype | peer | geometric mean | worst | rows |", "|---|---|---|--:|---|--:|"]
    for s in summary.standings(rows):
        mean = f"{'> ' * s.at_least}{s.mean:.2f}"
        worst = f"{s.worst:.2f} ({s.worst_case})"
        lines.append(f"| {s.mode} | {SHORT[s.dtype]} | {s.peer} | {mean} | {worst} | {s.rows} |")
    return "Times faster than:\n\n" + "\n".join(lines)


def _table(rows: list[Row], limits: dict[str, Any]) -> str:
    modes = list(dict.fromkeys(row["mode"] for row in rows))
    peers = [p for p in ("torch", "lax") if any(p in row["cells"] for row in rows)]
    heads = [f"{mode} ms | of limit" + "".join(f" | x {p}" for p in peers) for mode in modes]
    columns = len(modes) * (2 + len(peers))
    lines = [f"| {SHORT[rows[0]['dtype']]} | {' | '.join(heads)} |", "|---|" + "--:|" * columns]
    by_key = {summary.key(row): row for row in rows}
    for case in dict.fromkeys(row["case"] for row in rows):
        found = [by_key[case, mode, rows[0]["dtype"]] for mode in modes]
        cells = " | ".join(_cells(row, peers, limits) for row in found)
        lines.append(f"| {case} | {cells} |")
    return "\n".join(lines)


def _cells(row: Row, peers: list[str], limits: dict[str, Any]) -> str:
    cell = summary.our_cell(row)
    if cell is None:
        return " | ".join(["failed", ""] + [""] * len(peers))
    share = f"{summary.floor(row, limits)[0] / cell['median_s']:.0%}"
    ratios = [str(summary.ratio(row, peer) or "-") for peer in peers]
    return " | ".join([milliseconds(cell), share, *ratios])
