"""Tables for the terminal: a line a row, or a table a row where methods are compared."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bench import summary
from bench.summary import Cell, Row, is_ours

_FACTS = ("spread", "trace s", "compile s", "temp x", "GMAC/s", "GB/s", "of limit")
SHORT = {"float32": "f32", "bfloat16": "bf16"}


def console() -> Console:
    """The terminal, or a page wide enough for the tables where output goes to a file."""
    shown = Console(highlight=False)
    return shown if shown.is_terminal else Console(highlight=False, width=200)


def milliseconds(cell: Cell) -> str:
    """A time as people read it, or why there is none."""
    if "median_s" in cell:
        value = cell["median_s"] * 1e3
        return f"{value:.{3 if value < 1 else 2 if value < 100 else 0}f}"
    if "lower_bound_s" in cell:
        return f"> {cell['lower_bound_s'] * 1e3:.0f}"
    return "-" if cell["status"] == "refused" else str(cell["status"]).upper()


def spread(cell: Cell) -> str:
    """10th to 90th percentile, as shares of the median."""
    low, high = (cell[end] / cell["median_s"] - 1 for end in ("p10_s", "p90_s"))
    return f"{low:+.0%} {high:+.0%}"


def overview(rows: list[Row], limits: dict[str, Any]) -> Table:
    """One line a row: our time and what it costs, then every peer."""
    peers = list(dict.fromkeys(n for r in rows for n in r["cells"] if not is_ours(n)))
    against = [f"{peer} ms, ratio" for peer in peers]
    table = Table("case", "mode", "dtype", "jtconv ms", *_FACTS, *against)
    _right(table, range(3, len(table.columns)))
    for row in rows:
        theirs = [_against(row, peer) for peer in peers]
        mine = facts(row, summary.our_cell(row) or row["cells"].get("jtconv"), limits)
        table.add_row(row["case"], row["mode"], SHORT[row["dtype"]], *mine, *theirs)
    return table


def _against(row: Row, peer: str) -> str:
    speedup = summary.speedup(row, peer)
    time = milliseconds(row["cells"][peer])
    return f"{time} {f'x{speedup}':>6}" if speedup else time


def _right(table: Table, columns: Iterable[int]) -> None:
    for index in columns:
        table.columns[index].justify, table.columns[index].no_wrap = "right", True


def facts(row: Row, cell: Cell | None, limits: dict[str, Any]) -> list[str]:
    """Time, spread, trace, compile, temporaries, rates and fraction of the limit of one cell."""
    if cell is None or "median_s" not in cell:
        return [milliseconds(cell) if cell else "-"] + [""] * 7
    seconds, (limit, bound) = cell["median_s"], summary.limit_s(row, limits)
    traced = "" if cell["trace_s"] is None else f"{cell['trace_s']:.2f}"
    compiled = "" if cell["compile_s"] is None else f"{cell['compile_s']:.2f}"
    held = "" if cell["temp_bytes"] is None else f"{cell['temp_bytes'] / row['once_bytes']:.1f}"
    rates = [f"{row[what] / seconds / 1e9:.1f}" for what in ("multiply_adds", "bytes")]
    share = f"{limit / seconds:.0%} {bound}"
    return [milliseconds(cell), spread(cell), traced, compiled, held, *rates, share]


def detail(row: Row, limits: dict[str, Any]) -> Table:
    """One row in detail: a line for every implementation, refusals with their reason."""
    title = f"{row['case']} {row['mode']} {SHORT[row['dtype']]} {row['shapes']}"
    table = Table("implementation", "ms", *_FACTS, "variant", title=title, title_justify="left")
    table.columns[0].no_wrap = True
    _right(table, range(1, len(table.columns) - 1))
    timed = [c["median_s"] for c in row["cells"].values() if "median_s" in c]
    for name, cell in row["cells"].items():
        best = "bold" if cell.get("median_s") == min(timed, default=None) else None
        note = cell.get("way") or cell.get("reason", "")
        shown = (name, *facts(row, cell, limits), note)
        table.add_row(*map(escape, shown), style=best)  # "jtconv[gemm]" is no markup
    return table


def mean_speedups(rows: list[Row]) -> Table:
    """Geometric means and worst cases."""
    table = Table("mode", "dtype", "times faster than", "geometric mean", "worst", "rows")
    for s in summary.mean_speedups(rows):
        mean = f"{'> ' * s.at_least}{s.mean:.2f}"
        worst = f"{s.worst:.2f} {s.worst_case}"
        table.add_row(s.mode, SHORT[s.dtype], s.peer, mean, worst, str(s.rows))
    return table


def overhead(rows: list[Row]) -> Table:
    """Microseconds of ours and of the peer, and ours over theirs: below 1 we cost less."""
    table = Table("call", "", "jtconv us", "spread", "peer", "us", "spread", "ours / theirs")
    _right(table, (2, 3, 5, 6, 7))
    for row in rows:
        ours, *others = row["cells"].values()
        shown = [milliseconds(ours)]
        for peer, theirs in zip([*row["cells"]][1:], others, strict=True):
            shown = [*_microseconds(ours), peer, *_microseconds(theirs), f"{row['ratio']:.2f}"]
        table.add_row(row["case"], row["mode"], *shown)
    return table


def streaming(rows: list[Row]) -> Table:
    """Least milliseconds of a step, over its share of the whole, and of what else could be run."""
    others = ("piece alone", "window", "whole")
    table = Table("case", "step ms", "spread", "of its share", "state kB", *others)
    _right(table, range(1, len(table.columns)))
    for row in rows:
        step = row["cells"]["jtconv"]
        shown = [milliseconds(step)]
        if step["status"] == "ok":
            least, *theirs = (
                f"{1e3 * row['cells'][name]['least_s']:.2f}" for name in ("jtconv", *others)
            )
            held = f"{row['state_bytes'] / 1e3:.0f}"
            shown = [least, spread(step), f"{row['ratio']:.2f}", held, *theirs]
        table.add_row(row["case"], *shown)
    return table


def networks(rows: list[Row]) -> Table:
    """Milliseconds of a network accelerated, as it is, and by torch; and times faster."""
    table = Table("network", "mode", "accelerated", "spread", "flax", "x", "torch", "x")
    _right(table, range(2, len(table.columns)))
    for row in rows:
        ours, shown = row["cells"]["jtconv"], []
        if ours["status"] == "ok":
            shown.append(spread(ours))
            for peer in [name for name in ("flax", "torch") if name in row["cells"]]:
                shown += [milliseconds(row["cells"][peer]), str(summary.speedup(row, peer))]
        table.add_row(row["case"], row["mode"], milliseconds(ours), *shown)
    return table


def _microseconds(cell: Cell) -> tuple[str, str]:
    value = cell["median_s"] * 1e6
    return f"{value:.{1 if value < 100 else 0}f}", spread(cell)


def show_limits(console: Console, limits: dict[str, Any]) -> None:
    """The machine's limits in this run."""
    for dtype, rate in limits["multiply_adds_per_s"].items():
        console.print(f"matmul {SHORT[dtype]}: {rate / 1e9:.0f} GMAC/s")
    console.print(f"copy: {limits['bytes_per_s'] / 1e9:.1f} GB/s")
