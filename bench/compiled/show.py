"""Tables of what was counted: a line a program, means against ``jax.lax``, and README's."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table

from bench.compiled import results
from bench.compiled.networks import TRAINING
from bench.compiled.programs import AUTO, PEER
from bench.compiled.results import Results
from bench.compiled.sweep import Found
from bench.readme import README

MARKERS = re.compile(r"(<!-- compiled -->\n).*?(<!-- /compiled -->)", re.DOTALL)
Key = tuple[str, ...]  # chip, setting, dtype, case and side


def by_side(rows: Iterable[Found]) -> dict[Key, dict[str, Found]]:
    """The forms of each side of each case."""
    found: dict[Key, dict[str, Found]] = {}
    for row in rows:
        found.setdefault(row.program[:-1], {})[row.form] = row
    return found


def programs(rows: Sequence[Found], chosen: dict[Key, str]) -> Table:
    """A line a program, marked where it is what ``auto`` takes."""
    heads = (
        *("us", "lax / it", "of floor", "cycles", "GMAC", "MB", "temp MB", "ops", "calls"),
        *("lost", "compile s"),
    )
    table = Table("chip", "setting", "dtype", "case", "side", "form", *heads)
    for column in table.columns[6:]:
        column.justify = "right"
    for key, forms in by_side(rows).items():
        peer = forms.get(PEER)
        for row in forms.values():
            name = f"{row.form} *" if chosen.get(key) == row.form else row.form
            table.add_row(*key, name, *_numbers(row, peer))
    return table


def _numbers(row: Found, peer: Found | None) -> list[str]:
    if row.us is None:
        return [row.fault[:40]]
    ratio = f"{peer.us / row.us:.2f}" if peer and peer.us else "-"
    rest = (
        *(row.cycles, row.gmac, row.mb, row.temporary_mb, row.operations, row.calls),
        *(row.lost, row.compile_s),
    )
    share = f"{row.floor_us / row.us:.0%}" if row.floor_us else "-"
    return [f"{row.us:.1f}", ratio, share, *("-" if n is None else str(n) for n in rest)]


@dataclass(frozen=True)
class Mean:
    """Of one side on one chip in one setting and dtype, over layers of one kind."""

    layers: str  # of networks, or drawn from which seed
    chip: str
    setting: str
    dtype: str
    side: str
    ahead: float  # geometric mean of jax.lax's time over ours
    least: float
    least_case: str
    regret: float  # geometric mean of our time over that of the best form counted
    most_regret: float
    most_case: str
    count: int


def means(rows: Iterable[Found], chosen: dict[Key, str]) -> list[Mean]:
    """How far ahead of ``jax.lax`` the chosen forms are, and how far behind the best."""
    groups: dict[Key, list[tuple[float, float, str]]] = {}
    for key, forms in by_side(rows).items():
        if key[1] == TRAINING:
            continue
        ours, peer = (_us(forms, name) for name in (chosen.get(key, PEER), PEER))
        if ours is not None:
            best = min(row.us for row in forms.values() if row.us is not None)
            ahead = (peer or math.nan) / ours
            chip, setting, dtype, case, side = key
            drawn = case.partition("-")[0] if case.startswith("drawn") else "networks"
            kind = drawn, chip, setting, dtype, side
            groups.setdefault(kind, []).append((ahead, ours / best, case))
    return [_mean(key, found) for key, found in groups.items()]


def _us(forms: dict[str, Found], name: str) -> float | None:
    """Of a form; a dgrad by XLA's own convolution is one program in our and ``jax.lax``'s words."""
    peer = forms.get(PEER)
    same = name == "dilated" and peer and peer.side == "dgrad"
    row = forms.get(name) or (peer if same else None)
    return row.us if row else None


def _mean(key: Key, found: list[tuple[float, float, str]]) -> Mean:
    known = [(ahead, case) for ahead, _, case in found if not math.isnan(ahead)]
    least = min(known, default=(math.nan, ""))
    most = max((regret, case) for _, regret, case in found)
    layers, chip, setting, dtype, side = key
    return Mean(
        layers, chip, setting, dtype, side,
        geometric(ahead for ahead, _ in known), *least,
        geometric(regret for _, regret, _ in found), *most, len(found),
    )  # fmt: skip


def geometric(values: Iterable[float]) -> float:
    """Geometric mean."""
    logs = [math.log(value) for value in values]
    return math.exp(sum(logs) / len(logs)) if logs else math.nan


def mean_table(found: Sequence[Mean]) -> Table:
    """One line each."""
    heads = "layers", "chip", "setting", "dtype", "side"
    table = Table(*heads, "x jax.lax", "least", "of best", "worst", "rows")
    for m in found:
        least, worst = f"{m.least:.2f} {m.least_case}", f"{m.most_regret:.2f} {m.most_case}"
        words = m.layers, m.chip, m.setting, m.dtype, m.side, f"{m.ahead:.2f}", least
        table.add_row(*words, f"{m.regret:.2f}", worst, str(m.count))
    return table


def markdown(kept: Sequence[Results], chosen: dict[Key, str]) -> str:
    """README's: means, and, folded, the layers that differ."""
    rows = results.rows_of(kept)
    heads = "layers", "chip", "setting", "dtype", "side", "times jax.lax", "least", "of best form"
    lines = [f"| {' | '.join(heads)} | worst | rows |"]
    lines.append("|---|---|---|---|---|--:|---|--:|---|--:|")
    for m in means(rows, chosen):
        words = m.layers, m.chip, m.setting, m.dtype, m.side, f"{m.ahead:.2f}"
        least, most = f"{m.least:.2f} ({m.least_case})", f"{m.most_regret:.2f} ({m.most_case})"
        lines.append(f"| {' | '.join(words)} | {least} | {m.regret:.2f} | {most} | {m.count} |")
    summary = "<details><summary>Layers that differ by a tenth, either way</summary>"
    by = f"Compiled by {'; '.join(results.compilers(kept))}."
    parts = ["\n".join(lines), *_steps(rows), by, summary, _layers(rows, chosen)]
    return "\n\n".join([*parts, "</details>"]) + "\n"


def _steps(rows: Sequence[Found]) -> list[str]:
    """Training steps, where there are any."""
    heads = "training step", "chip", "times jax.lax", "ms", "jax.lax", "MB", "jax.lax", "held MB"
    lines = [f"| {' | '.join(heads)} | jax.lax |", "|---|---|--:|--:|--:|--:|--:|--:|--:|"]
    for (chip, setting, _, name, _), forms in by_side(rows).items():
        ours, peer = forms.get(AUTO), forms.get(PEER)
        if setting != TRAINING or not ours or not peer or not ours.us:
            continue
        if peer.us is None:
            lines.append(f"| {name} | {chip} | - | {ours.us / 1e3:.2f} | {peer.fault} |")
            continue
        moved = f"{ours.mb:.0f} | {peer.mb:.0f} | {ours.temporary_mb:.0f} | {peer.temporary_mb:.0f}"
        times = f"{peer.us / ours.us:.2f} | {ours.us / 1e3:.2f} | {peer.us / 1e3:.2f}"
        lines.append(f"| {name} | {chip} | {times} | {moved} |")
    return ["\n".join(lines)] if len(lines) > 2 else []


def _layers(rows: Sequence[Found], chosen: dict[Key, str]) -> str:
    lines = ["| chip, setting, dtype | layer | side | jax.lax us | jtconv us | method |"]
    lines.append("|---|---|---|--:|--:|---|")
    for key, forms in by_side(rows).items():
        if key[1] == TRAINING:
            continue
        ours, peer = (_us(forms, name) for name in (chosen.get(key, PEER), PEER))
        if ours is None or (peer and abs(math.log(ours / peer)) < math.log(1.1)):
            continue
        shown = [f"{us:.1f}" if us is not None else "does not compile" for us in (peer, ours)]
        where = ", ".join(key[:3])
        method = chosen.get(key, "")
        lines.append(f"| {where} | {key[3]} | {key[4]} | {' | '.join(shown)} | {method} |")
    return "\n".join(lines)


def filled(text: str, kept: Sequence[Results], chosen: dict[Key, str]) -> str:
    """A page with the tables between ``<!-- compiled -->`` and ``<!-- /compiled -->``."""
    if not MARKERS.search(text):
        raise ValueError("the page has no <!-- compiled --> and <!-- /compiled -->")
    return MARKERS.sub(lambda found: found[1] + markdown(kept, chosen) + found[2], text)


def rewrite(kept: Sequence[Results], chosen: dict[Key, str], path: Path = README) -> None:
    """Put them into README.md."""
    path.write_text(filled(path.read_text(encoding="utf-8"), kept, chosen), encoding="utf-8")
