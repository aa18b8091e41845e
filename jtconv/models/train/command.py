"""``python -m jtconv.models.train``: train a recipe, and go on where it was interrupted."""

from __future__ import annotations

import platform
from collections.abc import Callable
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import jtconv
from jtconv import devices, extras
from jtconv.models.train import codec, dcgan, segmentation, sounds
from jtconv.models.train import data as sources
from jtconv.models.train.results import Folder, Run
from jtconv.models.train.trainer import Checkpoints, Losses, Recipe, Trainer

with extras.needs("train"):
    import typer
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

RECIPES: dict[str, Recipe] = {
    "dcgan": dcgan.RECIPE,
    "fcn": segmentation.FCN,
    "unet": segmentation.UNET,
    "deconvnet": segmentation.DECONVNET,
    "codec": codec.RECIPE,
}
# What is learnt from and what is held out, made when it is asked for.
DATA: dict[str, Callable[[], tuple[Any, Any]]] = {
    "digits": sources.digits,
    "photos": sources.photographs,
    "melodies": sounds.melodies,
}
Model = StrEnum("Model", list(RECIPES))  # type: ignore[misc]
Data = StrEnum("Data", list(DATA))  # type: ignore[misc]
EPILOG = """
**Examples**

- `python -m jtconv.models.train unet --out unet` — a U-Net, as long as is worth it

- `python -m jtconv.models.train unet --out unet --steps 3000` — the same run, taken further

- `python -m jtconv.models.train dcgan --data digits --seed 7 --out digits7`
"""


def run(
    model: Annotated[Model, typer.Argument(help="What to train.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the run; made if missing.")],
    data: Annotated[
        Data | None,
        typer.Option("--data", help="What to learn from.  [default: the one it is made for]"),
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option("--steps", min=1, help="Steps in all.  [default: as many as are worth it]"),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of everything random.")] = 0,
    save_every: Annotated[
        int, typer.Option("--save-every", min=1, help="Steps from checkpoint to checkpoint.")
    ] = 100,
) -> None:
    """Train a model on real data, on a CPU in minutes.

    `dcgan` draws digits; `fcn`, `unet` and `deconvnet` name the digits pasted on photographs,
    pixel by pixel. Digits and photographs are those that ship with scikit-learn. `codec` says
    melodies, which are made here, in whole numbers. A part of everything is held out: nothing
    in it is trained on, and all metrics are of it.

    Whenever a run is stopped, by Ctrl-C, kill or power cut, the same command goes on from the
    last checkpoint, and ends with the very parameters it would have had. More --steps take a
    finished run further. The folder holds the checkpoints, pictures of results, and
    metrics.json.
    """
    _check_device()
    recipe = RECIPES[model]
    if data is not None and data != recipe.data:
        raise typer.BadParameter(
            f"{model} learns from {recipe.data}, not from {data}.", param_hint="--data"
        )
    identity = Run(str(model), recipe.data, seed)
    folder = _folder(out, identity)
    seen, held_out = DATA[recipe.data]()
    trainer = Trainer(recipe, seed, seen, Checkpoints(folder.checkpoints))
    total = steps or max(recipe.steps, trainer.at.step)
    _train(trainer, total, save_every, out)
    typer.echo("judging on held-out data ...")
    results = trainer.learner.judge(seen, held_out)
    facts = {"command": _command(identity, total, out), "versions": _versions(), **trainer.facts}
    for path in folder.write(results, facts):
        typer.echo(path)
    for name, value in results.metrics.items():
        typer.echo(f"{name}: {value}")


def _check_device() -> None:
    try:
        devices.default()
    except devices.NoDevice as error:
        typer.secho(f"Error: {error}", err=True, fg="red")
        raise typer.Exit(1) from None


def _folder(out: Path, identity: Run) -> Folder:
    try:
        return Folder(out, identity)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--out") from None
    except OSError as error:
        reason = error.strerror or error
        raise typer.BadParameter(f"cannot make {out}: {reason}.", param_hint="--out") from None


def _train(trainer: Trainer, total: int, save_every: int, out: Path) -> None:
    """The loop behind a progress bar that tells the losses; Ctrl-C says how to go on."""
    done = trainer.at.step
    if total < done:
        raise typer.BadParameter(
            f"{out} is at step {done} already; give {done} or more.", param_hint="--steps"
        )
    if done:
        typer.echo(f"going on from step {done}")
    with _progress() as bar:
        task = bar.add_task("compiling", total=total, completed=done)
        if bar.disable:
            typer.echo("compiling ...", err=True)

        def show(step: int, losses: Losses) -> None:
            text = "  ".join(f"{name} {loss:.4f}" for name, loss in losses.items())
            bar.update(task, completed=step, description=text)
            if bar.disable and (step % save_every == 0 or step == total):
                typer.echo(f"step {step} of {total}: {text}", err=True)

        try:
            trainer.train(total, save_every, show)
        except KeyboardInterrupt:
            kept = trainer.at.step
            typer.echo(f"stopped; step {kept} is kept, the same command goes on from there")
            raise typer.Exit(130) from None


def _progress() -> Progress:
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description:<14}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    )


def _command(identity: Run, steps: int, out: Path) -> str:
    return (
        f"python -m jtconv.models.train {identity.model} --data {identity.data} "
        f"--steps {steps} --seed {identity.seed} --out {out}"
    )


def _versions() -> dict[str, Any]:
    packages = ("jax", "jaxlib", "flax", "optax", "numpy", "scikit-learn")
    ours = {"python": platform.python_version(), "jtconv": jtconv.__version__}
    return ours | {name: version(name) for name in packages}


def main() -> None:
    """What ``python -m jtconv.models.train`` calls."""
    app = typer.Typer(
        rich_markup_mode="markdown",
        add_completion=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.command(epilog=EPILOG)(run)
    app(prog_name="python -m jtconv.models.train")
