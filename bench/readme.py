"""The tables in README.md, between their markers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import summary
from bench.cases import QUICK
from bench.summary import Cell, Row
from bench.table import SHORT, milliseconds

README = Path(__file__).parent.parent / "README.md"
MARKERS = re.compile(r"(<!-- (bench|today|gpu|networks) -->\n).*?(<!-- /\2 -->)", re.DOTALL)

_ISSUES = "https://github.com/jax-ml/jax/issues"
# What no benchmark measures; tests/test_readme.py asks jax and jtconv whether it is so.
FEATURES = (
    ("groups", f"[none]({_ISSUES}/4637)", "yes", "yes"),
    ("output padding, output size", f"[none]({_ISSUES}/4592)", "yes", "yes"),
    (
        'sizes by `"VALID"` and by `(0, 0)`: 8 cells, kernel 4, stride 2',
        f"[18, 12]({_ISSUES}/32267)",
        "18",
        "18, 18",
    ),
    (
        "PyTorch's weights, their axes in order",
        f"[other numbers]({_ISSUES}/11252)",
        "-",
        "its numbers",
    ),
)


@dataclass(frozen=True)
class Timed:
    """A line of that table: a case of the benchmark and what it is called there."""

    text: str
    case: str
    mode: str


TIMED = (
    Timed(f"U-Net, [training step]({_ISSUES}/31662)", "unet3", "training"),
    Timed("HiFi-GAN, 1-D, training step", "hifigan3", "training"),
    Timed(f"nnU-Net, 3-D, [forward]({_ISSUES}/23783)", "nnunet4", "forward"),
    Timed("CenterNet, depthwise, forward", "centernet2", "forward"),
    Timed("FCN-32s, one bilinear kernel a class, forward", "fcn32s_bilinear", "forward"),
)


def rewrite(report: dict[str, Any], path: Path = README) -> None:
    """Put a report's tables between their markers, ``<!-- NAME -->`` and ``<!-- /NAME -->``."""
    text = path.read_text(encoding="utf-8")
    if not MARKERS.search(text):
        raise ValueError(f"{path} has no <!-- bench --> and <!-- /bench --> to write between")
    path.write_text(filled(text, report), encoding="utf-8")


def filled(text: str, report: dict[str, Any]) -> str:
    """A page with the tables of a report between its markers: of networks, of CPUs or of GPUs."""
    on_gpu = report["machine"]["backend"] == "gpu"
    tables = {"gpu": gpu} if on_gpu else {"bench": measured, "today": today}
    if report["plan"].get("suite") == "networks":
        tables = {"networks": networks}

    def table(found: re.Match[str]) -> str:
        made = tables.get(found[2])
        return found[1] + made(report) + found[3] if made else found[0]

    return MARKERS.sub(table, text)


def measured(report: dict[str, Any]) -> str:
    """When and where, the means; then, folded, the cases of the quick suite, by dtype."""
    rows = report["rows"]
    parts = [_provenance(report), _means(rows), "<details><summary>Some layers</summary>"]
    shown = [row for row in rows if row["case"] in QUICK] or rows
    for dtype in dict.fromkeys(row["dtype"] for row in shown):
        parts.append(_table([row for row in shown if row["dtype"] == dtype], report["limits"]))
    return "\n\n".join([*parts, "</details>"]) + "\n"


def gpu(report: dict[str, Any]) -> str:
    """Where; each layer forward and in training, beside its peers, in bfloat16 and float32."""
    names = ("jtconv", "torch", "lax")
    heads = [f"{mode}, us: {name}" for mode in ("forward", "training") for name in names]
    lines = [f"| layer | {' | '.join(heads)} |", "|---|" + "--:|" * len(heads)]
    rows = {summary.key(row): row["cells"] for row in report["rows"]}
    layers = [(case, dtype) for case, mode, dtype in rows if mode == "training"]
    for case, dtype in layers:
        cells = [rows[case, mode, dtype].get(n) for mode in ("forward", "training") for n in names]
        times = " | ".join(f"{cell['median_s'] * 1e6:.0f}" if cell else "-" for cell in cells)
        lines.append(f"| {case} {SHORT[dtype]} | {times} |")
    return _provenance(report) + "\n\n" + "\n".join(lines) + "\n"


def networks(report: dict[str, Any]) -> str:
    """Milliseconds of each network accelerated, and how many times faster that is."""
    heads = [f"{mode} ms | x flax | x torch" for mode in ("inference", "training")]
    lines = [f"| network | {' | '.join(heads)} |", "|---|" + "--:|" * 6]
    rows = {(row["case"], row["mode"]): row for row in report["rows"]}
    for case in dict.fromkeys(case for case, _ in rows):
        cells = []
        for row in (rows[case, "inference"], rows[case, "training"]):
            ratios = [summary.speedup(row, peer) for peer in ("flax", "torch")]
            cells += [milliseconds(row["cells"]["jtconv"]), *(str(r or "-") for r in ratios)]
        lines.append(f"| {case} | {' | '.join(cells)} |")
    return _provenance(report) + "\n\n" + "\n".join(lines) + "\n"


def _provenance(report: dict[str, Any]) -> str:
    about, limits = report["machine"], report["limits"]
    versions = ", ".join(f"{n} {v}" for n, v in about["versions"].items() if v)
    where = about["cpu"] if about["backend"] == "cpu" else about["device"]
    told = (
        f"{about['date'][:10]}, {where}, {about['threads']} threads; {versions}; revision "
        f"{about['revision']}."
    )
    if not limits:
        return told
    rates = ", ".join(
        f"{SHORT[d]} matmul {r / 1e9:.0f} GMAC/s" for d, r in limits["multiply_adds_per_s"].items()
    )
    return f"{told} Limits in the same run: {rates}, copy {limits['bytes_per_s'] / 1e9:.1f} GB/s."


def _means(rows: list[Row]) -> str:
    lines = ["| mode | dtype | peer | geometric mean | worst | rows |", "|---|---|---|--:|---|--:|"]
    for s in summary.mean_speedups(rows):
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
    share = f"{summary.limit_s(row, limits)[0] / cell['median_s']:.0%}"
    speedups = [str(summary.speedup(row, peer) or "-") for peer in peers]
    return " | ".join([milliseconds(cell), share, *speedups])


def today(report: dict[str, Any]) -> str:
    """The features, and then the times of a report in float32, as far as it has them."""
    rows = {summary.key(row): row["cells"] for row in report["rows"]}
    keys = [(timed.case, timed.mode, "float32") for timed in TIMED]
    lines: list[tuple[str, ...]] = [
        ("", "jax.lax", "PyTorch", "jtconv"),
        ("---", "--:", "--:", "--:"),
        *FEATURES,
    ]
    for timed, key in zip(TIMED, keys, strict=True):
        if key in rows:
            times = (_time(rows[key].get(name)) for name in ("lax", "torch", "jtconv"))
            lines.append((timed.text, *times))
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines) + "\n"


def _time(cell: Cell | None) -> str:
    return f"{milliseconds(cell)} ms" if cell else "-"
