"""The table in README.md of what one meets today: what is asked for, and what each makes of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bench import summary
from bench.table import milliseconds

_ISSUES = "https://github.com/jax-ml/jax/issues"
# What no benchmark measures; tests/test_readme.py asks jax and jtconv whether it is so.
SAID = (
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
    """A line of the table: a case of the benchmark, in words."""

    words: str
    case: str
    mode: str


TIMED = (
    Timed(f"U-Net, [training step]({_ISSUES}/31662)", "unet3", "training"),
    Timed("HiFi-GAN, 1-D, training step", "hifigan3", "training"),
    Timed(f"nnU-Net, 3-D, [forward]({_ISSUES}/23783)", "nnunet4", "forward"),
    Timed("CenterNet, depthwise, forward", "centernet2", "forward"),
    Timed("FCN-32s, one bilinear kernel a class, forward", "fcn32s_bilinear", "forward"),
)


def markdown(report: dict[str, Any]) -> str:
    """What is said, and then the times of a report in float32, as far as it has them."""
    rows = {summary.key(row): row["cells"] for row in report["rows"]}
    keys = [(timed.case, timed.mode, "float32") for timed in TIMED]
    lines: list[tuple[str, ...]] = [
        ("", "jax.lax", "PyTorch", "jtconv"),
        ("---", "--:", "--:", "--:"),
        *SAID,
    ]
    for timed, key in zip(TIMED, keys, strict=True):
        if key in rows:
            times = (_time(rows[key].get(who)) for who in ("lax", "torch", "jtconv"))
            lines.append((timed.words, *times))
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines) + "\n"


def _time(cell: dict[str, Any] | None) -> str:
    return f"{milliseconds(cell)} ms" if cell else "-"
