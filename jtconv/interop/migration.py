"""How each framework's padding becomes crops: a table whose every row is computed.

``python -m jtconv.interop`` prints it, README.md holds a copy, and a test compares the two.
"""

from __future__ import annotations

from jtconv.conventions import FRAMEWORKS
from jtconv.conventions.layer import EXAMPLE_INPUT, EXAMPLE_KERNEL, EXAMPLE_STRIDE, PaddingRow
from jtconv.problem.geometry import Axis

HEADINGS = ("framework", "padding", "crop in front `lo`", "and at the end `hi`", "example", "out")
ROWS = tuple(row for framework in FRAMEWORKS.values() for row in framework.padding)


def table() -> str:
    """The table, in Markdown."""
    lines = [HEADINGS, ("---",) * len(HEADINGS), *map(_cells, ROWS)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines) + "\n"


def _cells(row: PaddingRow) -> tuple[str, ...]:
    ((lo, hi),) = row.crops(**row.example)
    out = Axis.cropped(EXAMPLE_INPUT, EXAMPLE_KERNEL, EXAMPLE_STRIDE, lo=lo, hi=hi).y_size
    example = ", ".join(f"{name}={value!r}" for name, value in row.example.items())
    formulas = (f"`{row.lo}` = {lo}", f"`{row.hi}` = {hi}")
    return row.framework, row.padding, *formulas, f"`{example}`", str(out)
