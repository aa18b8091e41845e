"""``python -m bench.rejected``: times and errors of the ideas that were rejected."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from bench.rejected import Trial, bf16x3, minimal_filtering


def _table(title: str, trials: list[Trial]) -> Table:
    table = Table(title=title)
    for column in ("problem", "form", "ms", "spread", "error"):
        table.add_column(column, justify="left" if column in ("problem", "form") else "right")
    for trial in trials:
        low, middle, high = (
            f"{1e3 * trial.times[at]:.2f}" for at in ("p10_s", "median_s", "p90_s")
        )
        table.add_row(trial.problem, trial.form, middle, f"{low}-{high}", f"{trial.error:.0e}")
    return table


def main() -> None:
    """Every trial, one table an idea."""
    console = Console()
    console.print(_table("minimal filtering F(2,2) on the phases", minimal_filtering.trials()))
    console.print(_table("float32 products from bfloat16 parts", bf16x3.trials()))


if __name__ == "__main__":
    main()
