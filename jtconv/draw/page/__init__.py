"""The explorer: one page, complete in itself, put together from the files next to this one."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

SCRIPTS = (
    *("law.js", "conventions.js", "grid.js", "matrix.js"),
    *("settings.js", "problem.js", "steps.js", "text.js", "app.js"),
)


def explorer(**start: Any) -> str:
    """A page in which every number of a transposed convolution can be moved, and its steps played.

    Args:
        **start: where its sliders stand at first: ``rank`` (1 or 2), ``input``, ``kernel``,
            ``stride``, ``padding``, ``output_padding``, ``dilation``; ints, alike on both axes.

    Returns:
        HTML that needs nothing else: no network, no other file.

    Raises:
        TypeError: for a slider that is not there.

    >>> explorer(kernel=4, stride=3).startswith("<!doctype html>")
    True
    """
    known = ("rank", "input", "kernel", "stride", "padding", "output_padding", "dilation")
    for name in start:
        if name not in known:
            raise TypeError(f"the explorer has no slider {name!r}; it has {', '.join(known)}.")
    page = part("page.html").replace("/* page.css */", part("page.css"))
    page = page.replace("/* scripts */", "\n".join(map(part, SCRIPTS)))
    return page.replace("/* start */ {}", json.dumps(start))


def part(name: str) -> str:
    """One of the files the page is made of."""
    return files(__name__).joinpath(name).read_text(encoding="utf-8")
