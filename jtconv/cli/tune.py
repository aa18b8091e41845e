"""``jtconv tune``: the methods measured on one layer, to keep as a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import typer

import jtconv
from jtconv.cli.console import Refusal, WrongUsage, check_device, keep_existing, write
from jtconv.cli.problem import Problem, with_layer_options

EPILOG = """
**Examples**

- `jtconv tune --torch "ConvTranspose2d(64, 32, 4, stride=2)" --input 32x32 --batch 8`

- `jtconv tune --input 32x32 --kernel 4 --stride 2 --training --out tuning.json`

- `jtconv tune --input 16x16 --kernel 4 --add tuning.json` — measure another layer into it

In a program: `with jtconv.Tuning.load("tuning.json"): ...`
"""


@with_layer_options()
def run(
    problem: Problem,
    training: Annotated[bool, typer.Option("--training", help="The gradients, too.")] = False,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Keep the times in this JSON file.")
    ] = None,
    add: Annotated[
        Path | None, typer.Option("--add", help="Add to the times of this file, and keep them.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file to write.")] = False,
) -> None:
    """Measure every method on one layer, on this machine.

    A method that cannot do the layer is a row with its reason. The file holds for this kind of
    device and this version of JAX only.
    """
    check_device()
    if out is not None and add is not None:
        raise WrongUsage("give --out for a new file, or --add for one that is there; not both.")
    if out is not None:
        keep_existing([out], force)
    before = _load(add).rows if add is not None else {}
    tuning = _measured(problem, training)
    typer.echo(str(tuning))
    path = out or add
    if path is not None:
        tuning.rows = before | tuning.rows
        write(path, (tuning.dumps() + "\n").encode())
        typer.echo(f"{len(tuning.rows)} problems kept in {path}")


def _load(path: Path) -> jtconv.Tuning:
    try:
        return jtconv.Tuning.load(path)
    except OSError as error:
        raise Refusal(f"cannot read {path}: {error.strerror or error}.") from None
    except ValueError as error:
        raise Refusal(f"{path} holds no times: {error}") from None


def _measured(problem: Problem, training: bool) -> jtconv.Tuning:
    operation = getattr(jtconv, problem.layer.op)
    x, w = (jnp.ones(array.shape, array.dtype) for array in (problem.x, problem.w))

    def forward(x: jax.Array, w: jax.Array) -> Any:
        return operation(x, w, **problem.keywords)

    def gradients(x: jax.Array, w: jax.Array) -> Any:
        y, pull = jax.vjp(forward, x, w)
        return pull(y)

    return jtconv.tune(gradients if training else forward, x, w)
