"""The command line of the benchmark."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import jax
import typer
from rich.console import Console
from rich.progress import Progress

from bench import machine, row, table
from bench.cases import select
from bench.contenders import DEFAULT_PEERS, PEERS, installed, ours_by_method
from bench.contenders.setting import Setting
from bench.data import MODES, SIDES, Data

DTYPES = {"f32": ("float32",), "bf16": ("bfloat16",), "both": ("float32", "bfloat16")}
WHAT = {"both": MODES, "sides": SIDES} | {name: (name,) for name in (*MODES, *SIDES)}


def bench(
    suite: Annotated[str, typer.Option(help="quick or full")] = "quick",
    case: Annotated[list[str], typer.Option(help="name or glob, repeatable")] = [],  # noqa: B006
    mode: Annotated[str, typer.Option(help="/".join(WHAT))] = "both",
    dtype: Annotated[str, typer.Option(help="/".join(DTYPES))] = "f32",
    method: Annotated[str, typer.Option(help="auto, a method's name, or all")] = "auto",
    peer: Annotated[list[str], typer.Option(help="repeatable; none for nobody")] = [],  # noqa: B006
    sides: Annotated[bool, typer.Option(help="short for --mode sides --method all")] = False,
    size: Annotated[str, typer.Option(help="small, true or auto (by device)")] = "auto",
    rounds: int = 15,
    json_file: Annotated[Path | None, typer.Option("--json")] = None,
) -> None:
    """Measure jtconv and its peers on the layers of real networks."""
    mode, method = ("sides", "all") if sides else (mode, method)
    on_cpu = jax.default_backend() == "cpu"
    size = size if size != "auto" else "small" if on_cpu else "true"
    peers = [name for name in peer or DEFAULT_PEERS if installed(name)] if peer != ["none"] else []
    contenders = ours_by_method(method) | {name: PEERS[name] for name in peers}
    plan = row.Plan(rounds)
    settings = [
        Setting(Data(one, size, dt), what)
        for one in select(case, suite)
        for dt in DTYPES[dtype]
        for what in WHAT[mode]
    ]
    dtypes = DTYPES[dtype]
    limits = machine.limits(dtypes)
    console = Console()
    rows: list[dict[str, Any]] = []
    with Progress(console=Console(stderr=True), transient=True) as progress:
        for setting in progress.track(settings):
            rows.append(row.measure(setting, contenders, plan))
            table.show(rows[-1], limits, console)
    limits = machine.faster(limits, machine.limits(dtypes))
    if json_file:
        report = {"schema": 1, "machine": machine.describe(), "limits": limits, "rows": rows}
        json_file.write_text(json.dumps(report, indent=1))


def main() -> None:
    """Parse the command line and run."""
    typer.run(bench)
