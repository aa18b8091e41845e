"""``jtconv docs``: the docstrings as pages to read and search."""

from __future__ import annotations

import warnings
import webbrowser
from pathlib import Path
from typing import Annotated

import typer

import jtconv
from jtconv import extras
from jtconv.cli.console import Refusal, refusals_shown

# All that is public; pdoc finds what lies below.
PACKAGES = [f"jtconv.{name}" for name in jtconv._MODULES]
FOLDER = Path("jtconv-docs")
EPILOG = """
**Examples**

- `jtconv docs` — writes the folder `jtconv-docs` and opens it in a browser

- `jtconv docs --out public --no-open`

Needs pdoc: `python -m pip install 'jtconv[docs]'`
"""


def run(
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Folder for the pages; made if missing.")
    ] = FOLDER,
    browse: Annotated[bool, typer.Option("--open/--no-open", help="Open it, too.")] = True,
) -> None:
    """Write the API as pages with search, from the docstrings, and open them.

    The pages need no network and no server. Older pages in the folder are replaced.
    """
    with refusals_shown():
        if out.exists() and not out.is_dir():
            raise Refusal(f"{out} is no folder.")
        _render(out)
        typer.echo(out / "index.html")
        if browse:
            webbrowser.open((out / "index.html").resolve().as_uri())


def _render(out: Path) -> None:
    with extras.needs("docs"):
        import pdoc
    pdoc.render.configure(docformat="google", footer_text="jtconv")
    with warnings.catch_warnings():
        # Annotations that name a framework which is not installed stay as they are written.
        warnings.simplefilter("ignore")
        pdoc.pdoc("jtconv", *PACKAGES, output_directory=out)
