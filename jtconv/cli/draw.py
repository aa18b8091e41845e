"""``jtconv draw`` and ``jtconv explore``: the steps of one layer, as pictures or as a page."""

from __future__ import annotations

import webbrowser
from pathlib import Path
from typing import Annotated, Any

import typer

import jtconv
from jtconv.cli.console import WrongUsage, keep_existing, write
from jtconv.cli.problem import Problem, with_layer_options
from jtconv.draw import draw, explorer
from jtconv.draw.drawing import SUFFIXES

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


@with_layer_options()
def run(
    problem: Problem,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="A file that ends in .gif, .svg or .png.")
    ] = None,
    html: Annotated[Path | None, typer.Option("--html", help="The page to play with.")] = None,
    view: Annotated[str, typer.Option("--view", help="stamps, zeros or matrix.")] = "stamps",
    frame: Annotated[
        int | None, typer.Option("--frame", min=0, help="One step only, from 0.")
    ] = None,
    numbers: Annotated[bool, typer.Option(help="Write numbers into the cells.")] = True,
    theme: Annotated[str, typer.Option("--theme", help="light or dark.")] = "light",
    seconds: Annotated[float, typer.Option("--seconds", min=0.02, help="Of a step.")] = 0.7,
    cell: Annotated[int, typer.Option("--cell", min=8, max=96, help="Pixels of a cell.")] = 34,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file to write.")] = False,
) -> None:
    """Draw every step of a transposed convolution of one or two axes.

    A .gif moves, and so does an .svg; a .png has all steps on a sheet. Colours are the phases of
    the output, which never mix. `--html` writes the explorer instead: sliders, three views that
    move together, the call in every framework; it needs no network.
    """
    paths = [path for path in (out, html) if path is not None]
    if not paths:
        raise WrongUsage("give --out with a file to draw into, or --html for the page.")
    keep_existing(paths, force)
    if html is not None:
        _write_page(problem, html)
    if out is not None:
        _check_name(out, frame)
        look: dict[str, Any] = {"view": view, "numbers": numbers, "theme": theme, "cell": cell}
        steps = draw(problem.input, _kernel(problem), **look, seconds=seconds, **_keywords(problem))
        write(out, steps.encode(out.suffix, frame))
        typer.echo(f"{len(steps.frames)} steps: {out}")


@with_layer_options(input="3x3", kernel="3", stride="2")
def explore(
    problem: Problem,
    out: Annotated[Path, typer.Option("--out", "-o", help="The page to write.")] = PAGE,
    browse: Annotated[bool, typer.Option("--open/--no-open", help="Open it, too.")] = True,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the page.")] = False,
) -> None:
    """Write the explorer and open it: sliders, three views, the call in every framework.

    One file, complete in itself: it needs no network.
    """
    keep_existing([] if out == PAGE else [out], force)
    _write_page(problem, out)
    if browse:
        webbrowser.open(out.resolve().as_uri())


def _check_name(out: Path, frame: int | None) -> None:
    if out.suffix.lower() not in SUFFIXES:
        raise WrongUsage(f"{out.name} must end in one of {', '.join(SUFFIXES)}.")
    if out.suffix.lower() == ".gif" and frame is not None:
        raise WrongUsage("--frame is one step, which does not move: take .svg or .png.")


def _kernel(problem: Problem) -> tuple[int, ...]:
    if problem.layer.op == "conv":
        raise WrongUsage("a transposed convolution is drawn; leave out --conv.")
    return problem.layer.kernel


def _keywords(problem: Problem) -> dict[str, Any]:
    """One channel is drawn, whatever the groups; and the kernel as it lies in the array."""
    left_out = ("groups", "flip_kernel")
    return {name: value for name, value in problem.keywords.items() if name not in left_out}


def _write_page(problem: Problem, path: Path) -> None:
    write(path, explorer(**_start(problem)).encode())
    typer.echo(path)


def _start(problem: Problem) -> dict[str, int]:
    """Where the sliders stand: they are alike on both axes, and their padding is a number."""
    given = {"input": problem.input, "kernel": _kernel(problem), **_keywords(problem)}
    if len(problem.input) > 2:
        raise WrongUsage(f"the explorer has one or two axes, got {len(problem.input)}.")
    jtconv.output_shape(problem.x.shape, problem.w.shape, **problem.keywords)  # there is one
    start = {"rank": len(problem.input)}
    for name, value in given.items():
        values = {value} if isinstance(value, int) else set(value)
        if name == "output_size" or isinstance(value, str) or len(values) > 1:
            raise WrongUsage(f"the explorer's {name} is one number for all axes, got {value!r}.")
        (start[name],) = values
    return start
