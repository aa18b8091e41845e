"""``python -m bench.tried``: times and errors of the ideas that did not win."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from bench.tried import minimal, pairs
from bench.tried.trial import Trial


def _table(title: str, trials: list[Trial]) -> Table:
    table = Table(title=title)
    for column in ("problem", "way", "ms", "spread", "error"):
        table.add_column(column, justify="left" if column in ("problem", "way") else "right")
    for trial in trials:
        low, high = (f"{1e3 * s:.2f}" for s in trial.spread)
        error = f"{trial.error:.0e}"
        table.add_row(trial.problem, trial.way, f"{1e3 * trial.median:.2f}", f"{low}-{high}", error)
    return table


def main() -> None:
    """Every trial, one table an idea."""
    console = Console()
    console.print(_table("minimal filtering F(2,2) on the phases", minimal.trials()))
    console.print(_table("float32 products from pairs of bfloat16", pairs.trials()))


if __name__ == "__main__":
    main()
