"""Plots of a report: speedups as bars and sorted, and a roofline.  PNG and SVG."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib import pyplot as plt

from bench import summary
from bench.summary import Row
from bench.table import SHORT

_COLOURS = {"torch": "#c44e52", "lax": "#4c72b0", "flax": "#55a868", "equinox": "#8172b3"}


def draw(report: dict[str, Any], prefix: Path) -> list[Path]:
    """Write ``PREFIX-ratios``, ``PREFIX-sorted`` and ``PREFIX-roofline``; the files written."""
    rows = report["rows"]
    figures = {"ratios": _ratios(rows), "sorted": _sorted(rows), "roofline": _roofline(report)}
    written = []
    for name, figure in figures.items():
        for ending in ("png", "svg"):
            path = prefix.with_name(f"{prefix.name}-{name}.{ending}")
            figure.savefig(path, dpi=150, bbox_inches="tight")
            written.append(path)
        plt.close(figure)
    return written


def _ratios(rows: list[Row]) -> Any:
    groups = list(dict.fromkeys((row["mode"], row["dtype"]) for row in rows))
    peers = [p for p in ("torch", "lax") if any(summary.speedup(row, p) for row in rows)]
    cases = list(dict.fromkeys(row["case"] for row in rows))
    width = max(6.0, 0.35 * len(cases))
    figure, axes = plt.subplots(len(groups), 1, figsize=(width, 3 * len(groups)), squeeze=False)
    for axis, (mode, dtype) in zip(axes[:, 0], groups, strict=True):
        mine = {r["case"]: r for r in rows if (r["mode"], r["dtype"]) == (mode, dtype)}
        _bars(axis, cases, mine, peers)
        axis.set_title(f"{mode}, {SHORT[dtype]}: times faster than")
    figure.tight_layout()
    return figure


def _bars(axis: Any, cases: list[str], rows: dict[str, Row], peers: list[str]) -> None:
    for index, peer in enumerate(peers):
        found = [(i, summary.speedup(rows[c], peer)) for i, c in enumerate(cases) if c in rows]
        places = [i + (index - (len(peers) - 1) / 2) * 0.4 for i, r in found if r]
        heights = [r.value for _, r in found if r]
        # From 1, up where we are faster and down where slower.
        tops = [height - 1 for height in heights]
        axis.bar(places, tops, 0.4, bottom=1, color=_COLOURS[peer], label=peer)
    axis.axhline(1, color="black", linewidth=0.8)
    axis.set_yscale("log")
    axis.set_xticks(range(len(cases)), cases, rotation=90, fontsize=7)
    if rows:
        axis.legend(fontsize=8)


def _sorted(rows: list[Row]) -> Any:
    """A panel for each mode and dtype: how many layers are how many times faster."""
    groups = list(dict.fromkeys((row["mode"], row["dtype"]) for row in rows))
    figure, axes = plt.subplots(
        1, len(groups), figsize=(2.6 * len(groups), 2.6), sharey=True, squeeze=False
    )
    for axis, (mode, dtype) in zip(axes[0], groups, strict=True):
        mine = [row for row in rows if (row["mode"], row["dtype"]) == (mode, dtype)]
        for peer in ("torch", "lax"):
            found = sorted(r.value for row in mine if (r := summary.speedup(row, peer)))
            axis.plot(found, ".-", color=_COLOURS[peer], label=peer, markersize=4, linewidth=1)
        axis.axhline(1, color="black", linewidth=0.8)
        axis.set(yscale="log", title=f"{mode}, {SHORT[dtype]}", xticks=[])
    axes[0, 0].set_ylabel("times faster than")
    axes[0, 0].legend(fontsize=8)
    figure.tight_layout()
    return figure


def _roofline(report: dict[str, Any]) -> Any:
    rows, limits = report["rows"], report["limits"]
    figure, axis = plt.subplots(figsize=(8, 5))
    for dtype, peak in limits["multiply_adds_per_s"].items():
        mine = [row for row in rows if row["dtype"] == dtype and summary.our_cell(row)]
        line = _roof(axis, mine, peak, limits["bytes_per_s"], SHORT[dtype])
        for mode in dict.fromkeys(row["mode"] for row in mine):
            points = [_point(row) for row in mine if row["mode"] == mode]
            filled = line.get_color() if mode == "forward" else "none"
            label = f"{mode}, {SHORT[dtype]}"
            axis.scatter(
                *zip(*points, strict=True), s=18, label=label,
                facecolor=filled, edgecolor=line.get_color(),
            )  # fmt: skip
    axis.set(xscale="log", yscale="log", xlabel="multiply-adds per byte of x, w and y")
    axis.set_ylabel("useful multiply-adds per second")
    axis.legend(fontsize=8)
    return figure


def _point(row: Row) -> tuple[float, float]:
    seconds = (summary.our_cell(row) or {})["median_s"]
    return row["multiply_adds"] / row["bytes"], row["multiply_adds"] / seconds


def _roof(axis: Any, rows: list[Row], peak: float, bandwidth: float, name: str) -> Any:
    ends = [row["multiply_adds"] / row["bytes"] for row in rows]
    ridge = peak / bandwidth
    xs = [min([*ends, ridge]) / 2, ridge, max([*ends, ridge]) * 2]
    ys = [min(x * bandwidth, peak) for x in xs]
    (line,) = axis.plot(xs, ys, label=f"limit, {name}")
    return line
