"""The command line of the benchmark."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, SpinnerColumn, TimeElapsedColumn

from bench import compare, machine, options, report, row, summary, table
from bench.cases import select
from bench.options import DTYPES, WHAT, Questions


def bench(
    suite: Annotated[str, typer.Option(help="quick or full")] = "quick",
    case: Annotated[list[str], typer.Option(help="Name or glob; repeatable.")] = [],  # noqa: B006
    mode: Annotated[str, typer.Option(help=", ".join(WHAT))] = "both",
    dtype: Annotated[str, typer.Option(help=", ".join(DTYPES))] = "f32",
    method: Annotated[str, typer.Option(help="auto, tuned, methods by commas, or all")] = "auto",
    peer: Annotated[
        list[str], typer.Option(help="torch, lax, lax-adjoint, flax, equinox, all, none")
    ] = [],  # noqa: B006
    sides: Annotated[bool, typer.Option("--sides", help="--mode sides --method all")] = False,
    size: Annotated[str, typer.Option(help="small, true, or auto: by device")] = "auto",
    rounds: Annotated[int, typer.Option(help="Samples of each contender.")] = 11,
    budget: Annotated[float, typer.Option(help="Seconds for the samples of one cell.")] = 1.5,
    patience: Annotated[float, typer.Option(help="Longest single run waited for, in s.")] = 10,
    torch_compile: Annotated[bool, typer.Option(help="torch.compile as one more way.")] = False,
    tf32: Annotated[bool, typer.Option(help="TF32 on GPUs, for everybody.")] = True,
    json: Annotated[Path | None, typer.Option(help="Write everything measured here.")] = None,
    plot: Annotated[Path | None, typer.Option(help="PREFIX of PNG and SVG plots.")] = None,
    readme: Annotated[bool, typer.Option(help="Rewrite the table in README.md.")] = False,
    load: Annotated[Path | None, typer.Option(help="Show a file of --json; run nothing.")] = None,
    compare_files: Annotated[
        tuple[Path, Path] | None, typer.Option("--compare", help="Old and new --json: regressions.")
    ] = None,
) -> None:
    """Measure jtconv and its peers on the layers of real networks."""
    console = table.console()
    if compare_files:
        regressions = compare.show(console, *map(report.load, compare_files))
        raise typer.Exit(1 if regressions else 0)
    if load:
        results = report.load(load)
    else:
        mode, method = ("sides", "all") if sides else (mode, method)
        questions = Questions(
            select(case, options.choice("--suite", suite, ("quick", "full"))),
            options.size_for_device(size),
            DTYPES[options.choice("--dtype", dtype, DTYPES)],
            WHAT[options.choice("--mode", mode, WHAT)],
            torch_compile,
        )
        plan = row.Plan(rounds, budget, patience, machine.set_precision(tf32))
        results = run(questions, plan, method, peer, console)
    report.finish(results, console, json, plot, readme)
    raise typer.Exit(1 if summary.faults(results["rows"]) else 0)


def run(
    questions: Questions, plan: row.Plan, method: str, peers: list[str], console: Console
) -> dict[str, Any]:
    """Measure everything, limits first and last; a report as it goes to JSON."""
    contenders, missing = options.contenders(method, peers)
    for peer in missing:
        console.print(f"{peer}: not installed, skipped.")
    about = machine.describe() | {"skipped": missing}  # now: the tree may change meanwhile
    limits = machine.limits(questions.dtypes)
    opened = method == "all" or "," in method or questions.modes[0] in options.SIDES
    rows: list[dict[str, Any]] = []
    columns = (*Progress.get_default_columns()[:2], MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(SpinnerColumn(), *columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("", total=len(questions))
        for setting in questions:
            bar.update(task, description=f"{setting.case.name} {setting.mode} {setting.data.dtype}")
            rows.append(row.measure(setting, contenders, plan))
            if opened:
                console.print(table.block(rows[-1], limits))
            bar.advance(task)
    limits = machine.faster(limits, machine.limits(questions.dtypes))
    asked = dataclasses.asdict(plan) | {"size": questions.size, "opened": opened}
    return {
        "schema": report.SCHEMA,
        "machine": about,
        "plan": asked,
        "limits": limits,
        "rows": rows,
    }


def main() -> None:
    """Parse the command line and run."""
    try:
        typer.run(bench)
    except ValueError as error:
        raise SystemExit(f"bench: {error}") from None
