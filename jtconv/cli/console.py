"""How the commands write files, show progress, and refuse."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
)

from jtconv import devices
from jtconv.extras import MissingExtra


class Refusal(ValueError):
    """The command cannot go on, and the message tells the user why and what to do."""


@contextmanager
def refusals_shown() -> Iterator[None]:
    """A refusal ends the command with its message and exit code 1, without a traceback."""
    try:
        yield
    except (Refusal, MissingExtra, devices.NoDevice) as refusal:
        typer.secho(f"Error: {refusal}", err=True, fg="red")
        raise typer.Exit(1) from None


def progress() -> Progress:
    """A progress bar on stderr, where somebody is watching that."""
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description:<28}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


def check_device() -> None:
    """Refuse, before any work is done, where JAX has nothing to compute on."""
    devices.default()


def keep_existing(paths: Iterable[Path], force: bool) -> None:
    """Refuse, before any work is done, to write where something already is."""
    for path in paths:
        if path.is_dir():
            raise Refusal(f"{path} is a folder; name a file to write.")
        if path.exists() and not force:
            raise Refusal(f"{path} exists already; add --force to overwrite it.")


def write(path: Path, data: bytes) -> None:
    """Write a whole file; what stops it is told to the user."""
    try:
        path.write_bytes(data)
    except OSError as error:
        raise Refusal(f"cannot write {path}: {error.strerror or error}.") from None
