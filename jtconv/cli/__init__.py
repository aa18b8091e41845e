"""The command line: one file a command, gathered here."""

from __future__ import annotations

from typing import Annotated, Any

import jtconv
from jtconv import extras

with extras.needs("demo"):
    import typer
    from typer.core import TyperCommand, TyperGroup

    from jtconv.cli import demo, docs, draw, explain, info, stream, tune, upsample

EPILOG = "See a command's own page with  jtconv COMMAND --help ."


def _bare(params: list[Any]) -> list[Any]:
    """Flags take no value, and help shows none beside them."""
    for param in params:
        if getattr(param, "is_flag", False) and param.metavar is None:
            param.metavar = ""
    return params


class Command(TyperCommand):
    """A command whose help is plain."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Its options and arguments."""
        return _bare(super().get_params(ctx))


class Group(TyperGroup):
    """All commands, whose help is plain, too."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Its options."""
        return _bare(super().get_params(ctx))


app = typer.Typer(
    name="jtconv",
    cls=Group,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)
for _name, _run, _epilog in (
    ("demo", demo.run, demo.EPILOG),
    ("upsample", upsample.run, upsample.EPILOG),
    ("explain", explain.run, explain.EPILOG),
    ("tune", tune.run, tune.EPILOG),
    ("stream", stream.run, stream.EPILOG),
    ("draw", draw.run, draw.EPILOG),
    ("explore", draw.explore, draw.EXPLORE_EPILOG),
    ("info", info.run, info.EPILOG),
    ("docs", docs.run, docs.EPILOG),
):
    app.command(_name, cls=Command, epilog=_epilog)(_run)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"jtconv {jtconv.__version__}")
        raise typer.Exit


@app.callback(epilog=EPILOG)
def root(
    show_version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version and leave.", callback=_show_version, is_eager=True
        ),
    ] = False,
) -> None:
    """Transposed convolution for JAX, on real pictures.

    Pictures go through `jtconv.conv_transpose`, the same function that a program would call.
    Nothing is fetched from a network, and no file that you name is overwritten unless you add
    `--force`.
    """
