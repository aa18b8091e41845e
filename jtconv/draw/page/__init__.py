"""The explorer: one page, complete in itself, put together from the files next to this one."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

from jtconv.problem import arguments, dtypes
from jtconv.problem.call import Call

SCRIPTS = (
    *("law.js", "conventions.js", "grid.js", "matrix.js"),
    *("settings.js", "problem.js", "steps.js", "text.js", "app.js"),
)


# Cells a side of the dilated input: of one axis, and of two. More cannot be told apart.
MOST = (128, 60)


@arguments.suggests
def explorer(
    *,
    rank: int = 2,
    input: int = 3,
    kernel: int = 3,
    stride: int = 2,
    padding: int = 0,
    output_padding: int = 0,
    dilation: int = 1,
    channels: tuple[int, int] = (16, 32),
    bias: bool = True,
    flip_kernel: bool = False,
) -> str:
    """A page in which every number of a transposed convolution can be moved, and its steps played.

    Args:
        rank: spatial axes, 1 or 2, which are alike.
        input, kernel, stride, padding, output_padding, dilation: where its sliders stand at first.
        channels: channels in and out, for the calls of frameworks that it writes.
        bias, flip_kernel: whether these add a bias, and flip the kernel.

    Returns:
        HTML that needs nothing else: no network, no other file.

    Raises:
        TypeError, ValueError: naming the argument; also where there is too much to look at.

    >>> explorer(kernel=4, stride=3).startswith("<!doctype html>")
    True
    """
    sizes = {"input": input, "kernel": kernel, "stride": stride, "dilation": dilation}
    start = {
        "rank": arguments.integer("rank", rank, least=1),
        **{name: arguments.integer(name, value, least=1) for name, value in sizes.items()},
        "padding": arguments.integer("padding", padding, least=0),
        "output_padding": arguments.integer("output_padding", output_padding, least=0),
        "channels": arguments.per_axis("channels", channels, 2, least=1),
        "bias": dtypes.flag("bias", bias),
        "flip_kernel": dtypes.flag("flip_kernel", flip_kernel),
    }
    _check(start)
    page = part("page.html").replace("/* page.css */", part("page.css"))
    page = page.replace("/* scripts */", "\n".join(map(part, SCRIPTS)))
    return page.replace("/* start */ {}", json.dumps(start))


def _check(start: dict[str, Any]) -> None:
    """There is an output, and it can be looked at."""
    rank, names = start["rank"], ("stride", "padding", "output_padding", "dilation")
    if rank > len(MOST):
        raise ValueError(f"rank must be 1 or 2, got {rank}.")
    shapes = (1, *[start["input"]] * rank, 1), (*[start["kernel"]] * rank, 1, 1)
    keywords = {name: start[name] for name in names}
    axis = Call.of_shapes("conv_transpose", *shapes, keywords, names=("input", "kernel"))
    (first, *_) = axis.geometry
    cells = first.y_size + first.effective_kernel - 1
    if cells > MOST[rank - 1]:
        raise ValueError(
            f"the explorer shows up to {MOST[rank - 1]} cells a side where there "
            f"{'is one axis' if rank == 1 else 'are two'}, zeros and all, and this has {cells}: "
            f"take a smaller input, kernel, stride or dilation."
        )


def part(name: str) -> str:
    """One of the files the page is made of."""
    return files(__name__).joinpath(name).read_text(encoding="utf-8")
