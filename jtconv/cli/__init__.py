"""The command line: one file a command, gathered here."""

from __future__ import annotations

from typing import Annotated

import jtconv
from jtconv import extras

with extras.needs("demo"):
    import typer

    from jtconv.cli import demo, docs, draw, explain, info, stream, tune, upsample

EPILOG = "See a command's own page with  jtconv COMMAND --help ."

app = typer.Typer(
    name="jtconv",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("demo", epilog=demo.EPILOG)(demo.run)
app.command("upsample", epilog=upsample.EPILOG)(upsample.run)
app.command("explain", epilog=explain.EPILOG)(explain.run)
app.command("tune", epilog=tune.EPILOG)(tune.run)
app.command("stream", epilog=stream.EPILOG)(stream.run)
app.command("draw", epilog=draw.EPILOG)(draw.run)
app.command("explore", epilog=draw.EXPLORE_EPILOG)(draw.explore)
app.command("info", epilog=info.EPILOG)(info.run)
app.command("docs", epilog=docs.EPILOG)(docs.run)


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
