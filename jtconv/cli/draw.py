"""``jtconv draw`` and ``jtconv explore``: the steps of one layer, as pictures or as a page."""

from __future__ import annotations

import webbrowser
from pathlib import Path
from typing import Annotated, Any

import typer

from jtconv.cli.console import WrongUsage, keep_existing, write
from jtconv.cli.problem import Problem, with_layer_options
from jtconv.draw import draw, explorer
from jtconv.draw.drawing import SUFFIXES
from jtconv.problem.call import Call

EPILOG = """
**Examples**

- `jtconv draw --input 2x2 --kernel 4 --stride 3 -o stamps.gif` — four stamps, overlaps summed

- `jtconv draw --input 3x3 --kernel 3 --stride 2 --padding 1 --view zeros -o zeros.svg`

- `jtconv draw --input 5 --kernel 3 --view matrix --frame 2 -o row.png` — one step

- `jtconv draw --kernel 4x4 --stride 3 --input 2 --html explorer.html` — a page to play with
"""
EXPLORE_EPILOG = """
**Examples**

- `jtconv explore` — writes `jtconv-explorer.html` and opens it

- `jtconv explore --input 2x2 --kernel 4 --stride 3 -o page.html --no-open`
"""
PAGE = Path("jtconv-explorer.html")


# A drawing has no examples and no dtype, and is of a transposed convolution.
UNDRAWN = ("conv", "batch", "dtype")


@with_layer_options(without=UNDRAWN)
def run(
    problem: Problem,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="A file that ends in .gif, .svg or .png.")
    ] = None,
    html: Annotated[Path | None, typer.Option("--html", help="The page to play with.")] = None,
    view: Annotated[
        str | None,
        typer.Option("--view", help="stamps, zeros or matrix.", show_default="stamps"),
    ] = None,
    frame: Annotated[
        int | None, typer.Option("--frame", min=0, help="One step only, from 0.")
    ] = None,
    numbers: Annotated[
        bool | None,
        typer.Option(
            "--numbers/--no-numbers", help="Write numbers into the cells.", show_default="numbers"
        ),
    ] = None,
    theme: Annotated[
        str | None, typer.Option("--theme", help="light or dark.", show_default="light")
    ] = None,
    seconds: Annotated[
        float | None, typer.Option("--seconds", min=0.02, help="Of a step.", show_default="0.7")
    ] = None,
    cell: Annotated[
        int | None,
        typer.Option("--cell", min=8, max=96, help="Pixels of a cell.", show_default="34"),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file to write.")] = False,
) -> None:
    """Draw every step of a transposed convolution of one or two axes.

    A .gif moves, and so does an .svg; a .png has all steps on a sheet. One channel is drawn.
    Colours are the phases of the output (cells that lie alike in a stride), which never mix.
    `--html` writes the explorer instead: sliders, three views that move together, the call in
    every framework with the channels and the bias; it needs no network.
    """
    paths = [path for path in (out, html) if path is not None]
    if not paths:
        raise WrongUsage("give --out with a file to draw into, or --html for the page.")
    keep_existing(paths, force)
    named = {"view": view, "numbers": numbers, "theme": theme, "cell": cell, "seconds": seconds}
    look: dict[str, Any] = {name: value for name, value in named.items() if value is not None}
    _check_look(problem, out, html, frame, look)
    page = explorer(**_start(problem)) if html is not None else ""
    if out is not None:
        steps = draw(problem.input, _kernel(problem), **look, **_keywords(problem))
        write(out, steps.encode(out.suffix, frame))
        count = len(steps.frames)
        told = f"{count} steps" if frame is None else f"step {frame} of 0 to {count - 1}"
        typer.echo(f"{told}: {out}")
    if html is not None:
        _write_page(page, html)


# What is shown where nothing is said.
EXAMPLE = {"input": "3x3", "kernel": "3", "stride": "2", "channels": "16:32", "bias": True}


@with_layer_options(without=UNDRAWN, example=EXAMPLE)
def explore(
    problem: Problem,
    out: Annotated[Path, typer.Option("--out", "-o", help="The page to write.")] = PAGE,
    browse: Annotated[bool, typer.Option("--open/--no-open", help="Open it, too.")] = True,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the page.")] = False,
) -> None:
    """Write the explorer and open it: sliders, three views, the call in every framework.

    One file, complete in itself: it needs no network. Without any layer it starts with one of
    kernel 3 and stride 2; options mean what they mean to `explain`, said or unsaid.
    """
    keep_existing([] if out == PAGE else [out], force)
    _write_page(explorer(**_start(problem)), out)
    if browse:
        webbrowser.open(out.resolve().as_uri())


def _check_look(
    problem: Problem,
    out: Path | None,
    html: Path | None,
    frame: int | None,
    look: dict[str, Any],
) -> None:
    """Nothing is said that the files to write do not show."""
    if out is None:
        pictured = [*look, *(["frame"] if frame is not None else [])]
        if pictured:
            raise WrongUsage(f"--{pictured[0]} is for pictures: give --out, too.")
        return
    suffix = out.suffix.lower()
    if suffix not in SUFFIXES:
        raise WrongUsage(f"{out.name} must end in one of {', '.join(SUFFIXES)}.")
    if suffix == ".gif" and frame is not None:
        raise WrongUsage("--frame is one step, which does not move: take .svg or .png.")
    if "seconds" in look and (suffix == ".png" or frame is not None):
        raise WrongUsage("--seconds is for what moves: take .gif, or .svg without --frame.")
    if html is None and problem.said & {"channels", "groups", "bias"}:
        raise WrongUsage("one channel is drawn: --channels, --groups and --bias are for --html.")


def _kernel(problem: Problem) -> tuple[int, ...]:
    if problem.layer.op == "conv":
        raise WrongUsage("transposed convolutions are drawn, and this layer is a plain one.")
    return problem.layer.kernel


def _keywords(problem: Problem) -> dict[str, Any]:
    """One channel is drawn, whatever the groups; and the kernel as it lies in the array."""
    left_out = ("groups", "flip_kernel")
    return {name: value for name, value in problem.keywords.items() if name not in left_out}


def _write_page(page: str, path: Path) -> None:
    write(path, page.encode())
    typer.echo(path)


def _start(problem: Problem) -> dict[str, Any]:
    """Where the sliders stand: they are alike on both axes, and so is the padding."""
    rank, groups = len(_kernel(problem)), problem.keywords["groups"]
    if rank > 2:
        raise WrongUsage(f"the explorer has one or two axes, got {rank}.")
    if groups != 1:
        raise WrongUsage(f"the explorer shows layers of one group, got {groups} groups.")
    shapes = problem.x.shape, problem.w.shape
    call = Call.of_shapes("conv_transpose", *shapes, _keywords(problem), names=("x", "w"))
    if call.border is not None:
        raise WrongUsage(f"the explorer has no padding {call.border!r}; it crops, as 'same' does.")
    (axis, *others) = call.geometry
    if any(other != axis for other in others):
        raise WrongUsage(
            "the explorer has axes that are alike: give one number for all axes as the input, "
            f"the kernel and the rest, got {axis} and {others[0]}."
        )
    extra = axis.lo - axis.hi
    if axis.lo < 0 or not 0 <= extra < max(axis.stride, axis.dilation):
        raise WrongUsage(
            f"this padding crops {axis.crops} cells, and the explorer as many at the end as in "
            "front, less an output padding: give --padding as one number, and --output-padding."
        )
    return {
        "rank": rank,
        "input": axis.x_size,
        "kernel": axis.kernel,
        "stride": axis.stride,
        "padding": axis.lo,
        "output_padding": extra,
        "dilation": axis.dilation,
        "channels": (problem.in_channels, problem.layer.out_channels),
        "bias": problem.layer.bias,
        "flip_kernel": problem.keywords.get("flip_kernel", False),
    }
