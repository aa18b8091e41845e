"""``jtconv explain``: the law, sizes, costs, methods and other frameworks' calls of one layer."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Annotated, Any, cast

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

import jtconv
from jtconv.cli.problem import Problem, with_layer_options
from jtconv.devices import PLATFORMS
from jtconv.plan import Plan, text
from jtconv.typing import Platform

EPILOG = """
**Examples**

- `jtconv explain --input 2x2 --kernel 4 --stride 3` — four kernels, laid 3 apart

- `jtconv explain --torch "ConvTranspose2d(16, 33, 3, stride=2)" --input 50x100`

- `jtconv explain --keras "Conv2DTranspose(33, 3, strides=2, padding='same')" --channels 16`

- `jtconv explain --input 36 --kernel 4 --stride 2 --for 71` — which padding gives 71?

- `jtconv explain --input 36 --kernel 16 --stride 8 --padding 4 --streaming` — what is carried?

- `jtconv explain --input 64x64 --kernel 4 --stride 2 --platform cuda` — a GPU need not be here

- `jtconv explain --input 5x5 --kernel 2 --conv --channels 4:2 --groups 2 --json`
"""


@with_layer_options()
def run(
    problem: Problem,
    wanted: Annotated[
        int | None, typer.Option("--for", min=1, help="Which paddings give this output size?")
    ] = None,
    time: Annotated[bool, typer.Option("--time", help="Measure the methods, too.")] = False,
    streaming: Annotated[
        bool, typer.Option("--streaming", help="Also piece by piece, along the first axis.")
    ] = False,
    platform: Annotated[
        str | None, typer.Option("--platform", help=f"Methods for {', '.join(PLATFORMS)}.")
    ] = None,
    methods: Annotated[
        bool,
        typer.Option("--methods", help="Every method too, and the layer in other frameworks."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print it for programs.")] = False,
) -> None:
    """Explain one layer: its law, sizes, costs, overlaps, and which methods are chosen and why.

    With `--methods`, or `--time`, also the integers of every axis, the call in other frameworks
    and what every method would cost. Nothing is computed unless `--time` is given.

    There, `lo` and `hi` are the cells cropped from the full output (of a plain convolution the
    zeros put around its input), D is the effective kernel, `taps` the kernel cells that an output
    cell sums away from the edges, and `reads` the input cells that it spans.
    """
    found = jtconv.explain(
        problem.x,
        problem.w,
        problem.bias,
        op=problem.layer.op,
        time=time,
        streaming=streaming,
        platform=cast("Platform | None", platform),
        **problem.keywords,
    )
    # In the words that the layer was written in.
    axes = tuple(replace(axis, framework=problem.layer.framework) for axis in found.axes)
    plan = replace(found, axes=axes, verbose=methods or found.verbose)
    answers = {axis.name: axis.paddings_for(wanted) for axis in plan.axes} if wanted else {}
    if as_json:
        typer.echo(json.dumps(plan.as_dict() | _for(wanted, answers), indent=1, default=str))
        return
    console = Console()
    if console.is_terminal and plan.verbose:
        _show(console, plan)
    else:
        typer.echo(str(plan))
    for name, paddings in answers.items():
        typer.echo(f"{name} = {wanted} by " + " or ".join(map(_keywords, paddings)))


def _for(wanted: int | None, answers: dict[str, Any]) -> dict[str, Any]:
    return {"for": {"size": wanted, "paddings": answers}} if wanted else {}


def _keywords(padding: dict[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in padding.items())


def _show(console: Console, plan: Plan) -> None:
    """The same sections as the plain text, in colour."""
    first, *others = text.heading(plan)
    console.print(Text(first, style="bold"), *map(Text, others), sep="\n")
    console.print(_table(text.axis_table(plan)))
    for line in [*text.laws(plan), text.overlap(plan), *text.in_pieces(plan)]:
        console.print(Text(line), soft_wrap=True)
    for name, line in text.framework_lines(plan):
        console.print(Text(f"\n{name}", style="bold cyan"))
        console.print(Text(f"  {line}"), soft_wrap=True)
    for side in plan.sides:
        table = text.side_table(side)
        console.print(_table(table, chosen=side.choice.method))
        for line in table.notes:
            console.print(Text(f"  {line}"), soft_wrap=True)


def _table(section: text.Table, chosen: str = "") -> Table:
    rows = list(section.rows)
    table = Table(title=section.title, title_justify="left", show_header=section.headed)
    head = rows.pop(0) if section.headed else ("",) * len(rows[0])
    for column, name in enumerate(head):
        table.add_column(name, justify="right" if column else "left")
    for row in rows:
        table.add_row(*map(Text, row), style="bold green" if row[0] == chosen else "")
    return table
