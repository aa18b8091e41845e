"""How the commands write files, show progress, and refuse."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import jax
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

    status = 1


class WrongUsage(Refusal):
    """What was asked for cannot be, wherever and whenever it is asked: an option is wrong."""

    status = 2


# What a computation may end with: no memory, a device that fails.
FAILURES = (jax.errors.JaxRuntimeError, MemoryError, OSError)


@contextmanager
def refusals_shown() -> Iterator[None]:
    """A refusal ends the command with one line and no traceback.

    The exit code is 2 for wrong usage, as it is for options that typer refuses, and 1 for what
    could have been done elsewhere: a file that is not there, an extra, no memory.
    """
    try:
        yield
    except (Refusal, MissingExtra, devices.NoDevice, *FAILURES) as error:
        message = " ".join(str(error).split("\n")) or type(error).__name__
        typer.secho(f"Error: {message}", err=True, fg="red")
        raise typer.Exit(getattr(error, "status", 1)) from None


@contextmanager
def errors_are_wrong_usage() -> Iterator[None]:
    """What jtconv does not take of an option is told as it would be to a program."""
    try:
        yield
    except Refusal:
        raise
    except (ValueError, TypeError, OverflowError) as error:
        raise WrongUsage(str(error)) from None


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
