"""The command line of the benchmark."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Any

import jax
import typer
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, SpinnerColumn, TimeElapsedColumn

from bench import (
    fit,
    gpu,
    implementations,
    machine,
    overhead,
    regret,
    report,
    row,
    streaming,
    summary,
    table,
)
from bench.cases import SizeName, select
from bench.compiled import command, programs, timed
from bench.compiled.programs import Setting
from bench.networks import run as networks
from bench.problem import ANSWERS, MODES, SIDES, Mode, Sweep

DTYPES = {"f32": ("float32",), "bf16": ("bfloat16",), "both": ("float32", "bfloat16")}
WHAT: dict[str, tuple[Mode, ...]] = {"both": MODES, "all": (*MODES, "activated"), "sides": SIDES}
SETTINGS: dict[str, tuple[Setting, ...]] = {name: (name,) for name in programs.SETTINGS}
SETTINGS["both"] = ("lone", "chain")
WHAT |= {name: (name,) for name in ANSWERS}


def bench(
    suite: Annotated[
        str, typer.Option(help="quick, full, networks; gpu, tpu on one; of --compile drawn")
    ] = "quick",
    case: Annotated[list[str], typer.Option(help="Name or glob; repeatable.")] = [],  # noqa: B006
    mode: Annotated[str, typer.Option(help=", ".join(WHAT))] = "both",
    dtype: Annotated[str, typer.Option(help=", ".join(DTYPES))] = "f32",
    method: Annotated[str, typer.Option(help="auto, tuned, methods by commas, or all")] = "auto",
    peer: Annotated[
        list[str], typer.Option(help="torch, lax, lax-adjoint, flax, equinox, all, none")
    ] = [],  # noqa: B006
    sides: Annotated[bool, typer.Option("--sides", help="--mode sides --method all")] = False,
    size: Annotated[str, typer.Option(help="small, true, or auto: by device")] = "auto",
    rounds: Annotated[int, typer.Option(help="Samples of each implementation.")] = 11,
    budget: Annotated[float, typer.Option(help="Seconds for the samples of one cell.")] = 1.5,
    patience: Annotated[float, typer.Option(help="Longest single run waited for, in s.")] = 10,
    torch_compile: Annotated[bool, typer.Option(help="torch.compile as a variant more.")] = False,
    tf32: Annotated[bool, typer.Option(help="TF32 on GPUs, for everybody.")] = True,
    random: Annotated[
        bool, typer.Option("--regret", help="Judge the choice on layers drawn at random.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Of --regret: which layers.")] = 7,
    layers: Annotated[int, typer.Option(help="Of --regret: how many of a dtype.")] = 40,
    minutes: Annotated[float, typer.Option(help="Of --regret: longest time measured.")] = 60,
    fit_files: Annotated[
        list[Path], typer.Option("--fit", help="Files of --regret: fit the CPU model to them.")
    ] = [],  # noqa: B006
    python: Annotated[
        bool, typer.Option("--overhead", help="What calls, tracing and the import cost in Python.")
    ] = False,
    piecewise: Annotated[
        bool, typer.Option("--streaming", help="A vocoder fed 1, 4 and 16 frames at a time.")
    ] = False,
    compile_for: Annotated[
        str | None,
        typer.Option("--compile", help="v5e, v6e, h100: count what XLA compiles; run nothing."),
    ] = None,
    setting: Annotated[str, typer.Option(help="Of --compile: bare, lone, chain, both")] = "lone",
    rows: Annotated[Path | None, typer.Option(help="Of --compile: keep and go on here.")] = None,
    jobs: Annotated[int, typer.Option(help="Of --compile: processes.")] = 1,
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
    if suite == "tpu":
        timed.run(console)
        return
    if compile_for:
        dtypes = DTYPES[choice("--dtype", dtype, DTYPES)]
        settings = SETTINGS[choice("--setting", setting, SETTINGS)]
        choice("--suite", suite, ("quick", "full", "drawn", "networks"))
        work = command.work(compile_for, suite, case, dtypes, settings, method)
        command.run(compile_for, work, console, rows, jobs, json)
        if readme:
            command.rewrite_readme()
        return
    if compare_files:
        regressions = report.compare(console, *map(report.load, compare_files))
        raise typer.Exit(1 if regressions else 0)
    if fit_files:
        console.print(fit.run(fit_files))
        raise typer.Exit
    if random:
        dtypes = DTYPES[choice("--dtype", dtype, DTYPES)]
        drawn = regret.Sweep(seed, layers, dtypes, rounds, minutes)
        regret.run(drawn, load, json, console)
        raise typer.Exit
    if load:
        results = report.load(load)
    elif suite == "gpu":
        sampling = row.Sampling(5, 0.25, patience, machine.set_precision(tf32))
        methods = gpu.FORMS if method == "auto" else tuple(method.split(","))
        results = on_gpu(sampling, size_for_device(size), case, methods, console, json)
    elif python:
        results = overhead.run(rounds)
    elif suite == "networks":
        results = networks.run(case, rounds)
    elif piecewise:
        results = streaming.run(rounds)
    else:
        mode, method = ("sides", "all") if sides else (mode, method)
        sweep = Sweep(
            select(case, choice("--suite", suite, ("quick", "full"))),
            size_for_device(size),
            DTYPES[choice("--dtype", dtype, DTYPES)],
            WHAT[choice("--mode", mode, WHAT)],
            torch_compile,
        )
        sampling = row.Sampling(rounds, budget, patience, machine.set_precision(tf32))
        results = run(sweep, sampling, method, peer, console)
    report.finish(results, console, json, plot, readme)
    if report.of_layers(results) and results["machine"]["backend"] == "gpu":
        console.print(gpu.regret(results["rows"]))
    raise typer.Exit(1 if summary.faults(results["rows"]) else 0)


def choice(name: str, given: str, allowed: Collection[str]) -> str:
    """``given``, if it is one of those allowed."""
    if given not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(allowed)}, got {given!r}")
    return given


def size_for_device(given: str) -> SizeName:
    """``auto`` means the true sizes on an accelerator, the small ones on a CPU."""
    if choice("--size", given, ("small", "true", "auto")) != "auto":
        return given  # type: ignore[return-value]
    return "small" if jax.default_backend() == "cpu" else "true"


def run(
    sweep: Sweep, sampling: row.Sampling, method: str, peers: list[str], console: Console
) -> report.Report:
    """Measure everything, limits first and last; a report as it goes to JSON."""
    measured, missing = implementations.select(method, peers)
    for peer in missing:
        console.print(f"{peer}: not installed, skipped.")
    about = machine.describe() | {"skipped": missing}  # now: the tree may change meanwhile
    limits = machine.limits(sweep.dtypes)
    detailed = method == "all" or "," in method or sweep.modes[0] in SIDES
    rows: list[summary.Row] = []
    columns = (*Progress.get_default_columns()[:2], MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(SpinnerColumn(), *columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("", total=len(sweep))
        for problem in sweep:
            bar.update(task, description=f"{problem.case.name} {problem.mode} {problem.data.dtype}")
            rows.append(row.measure(problem, measured, sampling))
            if detailed:
                console.print(table.detail(rows[-1], limits))
            bar.advance(task)
    limits = machine.faster(limits, machine.limits(sweep.dtypes))
    return _report(about, sampling, sweep.size, detailed, limits, rows)


def on_gpu(
    sampling: row.Sampling,
    size: SizeName,
    names: list[str],
    methods: tuple[str, ...],
    console: Console,
    to: Path | None,
) -> report.Report:
    """The suite for GPUs, kept after every layer."""
    about, limits = machine.describe(), machine.limits(gpu.DTYPES)
    results = _report(about, sampling, size, True, limits, [])
    for rows in gpu.layers(sampling, size, names, methods, console.print):
        results["rows"] += rows
        for one in rows:
            console.print(table.detail(one, limits))
        if to:
            report.save(results, to)
    return results


def _report(
    about: dict[str, Any],
    sampling: row.Sampling,
    size: SizeName,
    opened: bool,
    limits: dict[str, Any],
    rows: list[summary.Row],
) -> report.Report:
    plan = dataclasses.asdict(sampling) | {"size": size, "opened": opened}
    parts = {"schema": report.SCHEMA, "machine": about, "plan": plan}
    return parts | {"limits": limits, "rows": rows}


def main() -> None:
    """Parse the command line and run."""
    try:
        typer.run(bench)
    except ValueError as error:
        raise SystemExit(f"bench: {error}") from None
