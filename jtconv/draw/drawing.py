"""draw: the steps of one problem, as frames and as files."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np

from jtconv import extras
from jtconv.draw import svg
from jtconv.draw.frame import Frame
from jtconv.draw.scene import PALETTES, Scene, Style, lay_out
from jtconv.draw.views import VIEWS, Problem
from jtconv.problem import arguments, dtypes
from jtconv.problem.call import Call
from jtconv.typing import PerAxis, ZerosPadding

MOST_PIXELS = 2**26  # of all steps together, as GIF or on a sheet
SMALLEST = 8  # pixels of a cell
MOST_CELLS = 400_000  # over all frames: more than anybody can look at
SUFFIXES = (".svg", ".gif", ".png")


@dataclass(frozen=True, eq=False, repr=False)
class Drawing:
    """A problem seen in one way: ``frames`` hold what is shown, the rest paints it."""

    problem: Problem
    view: str
    numbers: bool
    theme: str
    seconds: float
    cell: int

    @cached_property
    def frames(self) -> tuple[Frame, ...]:
        """Every step."""
        return tuple(VIEWS[self.view](self.problem))

    def svg(self, frame: int | None = None) -> str:
        """One step as SVG, or all of them in turn."""
        if frame is not None:
            return svg.still(self._scene(frame))
        return svg.animated(self._scenes(), self.seconds)

    def png(self, frame: int | None = None) -> bytes:
        """One step as PNG, or all of them on a sheet."""
        with extras.needs("demo"):
            from jtconv.draw import bitmap
        return bitmap.png(self._painted() if frame is None else [self._scene(frame)])

    def gif(self) -> bytes:
        """All steps as an animated GIF."""
        with extras.needs("demo"):
            from jtconv.draw import bitmap
        return bitmap.gif(self._painted(), self.seconds)

    def encode(self, suffix: str, frame: int | None = None) -> bytes:
        """The file of this ending: .svg, .gif or .png."""
        suffix = arguments.choice("suffix", suffix.lower(), SUFFIXES)
        if suffix == ".gif":
            return self.gif()
        return self.png(frame) if suffix == ".png" else self.svg(frame).encode()

    def save(self, path: str | Path, frame: int | None = None) -> None:
        """Write a file that ends in .svg, .gif or .png."""
        Path(path).write_bytes(self.encode(Path(path).suffix, frame))

    def __repr__(self) -> str:
        return f"<Drawing of {len(self.frames)} steps: {self.view}>"

    def _repr_svg_(self) -> str:
        return self.svg()

    def _scene(self, frame: int) -> Scene:
        count = len(self.frames)
        if not -count <= arguments.integer("frame", frame) < count:
            raise ValueError(f"frame must be one of 0 to {count - 1}, got {frame}.")
        return lay_out(self.frames[frame], self._style)

    def _scenes(self) -> list[Scene]:
        return [lay_out(frame, self._style) for frame in self.frames]

    def _painted(self) -> list[Scene]:
        """All steps, where as pixels they are not too many."""
        scene, pixels = self._scene(0), self._pixels(self.cell)
        if pixels > MOST_PIXELS:
            smaller = range(self.cell - 1, SMALLEST - 1, -1)
            fits = next((cell for cell in smaller if self._pixels(cell) <= MOST_PIXELS), None)
            raise ValueError(
                f"{len(self.frames)} steps of {scene.width} x {scene.height} pixels are "
                f"{pixels:,} pixels in all, more than {MOST_PIXELS:,}: take SVG, one frame as PNG"
                f"{f', or cell={fits} or less' if fits else ''}."
            )
        return self._scenes()

    def _pixels(self, cell: int) -> int:
        """Of all steps, were cells so large."""
        scene = lay_out(self.frames[0], replace(self._style, cell=cell))
        return len(self.frames) * scene.width * scene.height

    @property
    def _style(self) -> Style:
        return Style(PALETTES[self.theme], self.problem.phase_count, self.cell, self.numbers)


@arguments.suggests
def draw(
    x: Any,
    w: Any,
    *,
    view: Literal["stamps", "zeros", "matrix"] = "stamps",
    numbers: bool = True,
    theme: Literal["light", "dark"] = "light",
    seconds: float = 0.7,
    cell: int = 34,
    stride: PerAxis = 1,
    padding: ZerosPadding = 0,
    output_padding: PerAxis = 0,
    output_size: PerAxis | None = None,
    dilation: PerAxis = 1,
) -> Drawing:
    """Every step of a transposed convolution of one or two axes, to look at.

    Args:
        x: the input, an array of one or two axes without channels, or its sizes.
        w: the kernel, likewise. For sizes small numbers are made up.
        view: "stamps", where each input cell adds its stamp, the kernel times its value, and
            overlaps sum; "zeros", where the input is dilated with zeros and convolved with the
            flipped kernel; "matrix", C transposed row by row.
        numbers: whether numbers are written into the cells.
        theme: "light" or "dark".
        seconds: how long a step is shown where it moves.
        cell: pixels of a cell, 8 or more.
        stride, padding, output_padding, output_size, dilation: as in
            :func:`jtconv.conv_transpose`.

    Returns:
        A :class:`Drawing`: ``frames``, ``svg()``, ``gif()``, ``png()``, ``save(path)``.

    Raises:
        ValueError, TypeError: naming the argument; also where there is too much to look at.
        ImportError: from ``gif()`` and ``png()`` without Pillow, of the extra ``demo``.

    In the manner of Dumoulin and Visin, "A guide to convolution arithmetic for deep learning"
    (arXiv:1603.07285).

    >>> steps = draw((2, 2), (4, 4), stride=3)
    >>> len(steps.frames), steps.frames[0].caption
    (4, 'x[0, 0] = 1 adds its stamp')
    """
    arguments.choice("view", view, tuple(VIEWS))
    arguments.choice("theme", theme, tuple(PALETTES))
    values, kernel = _numbers("x", x), _numbers("w", w)
    if values.ndim != kernel.ndim:
        raise ValueError(f"x and w must have as many axes, got {values.ndim} and {kernel.ndim}.")
    shapes = (1, *values.shape, 1), (*kernel.shape, 1, 1)
    keywords = {
        "stride": stride,
        "padding": padding,
        "output_padding": output_padding,
        "output_size": output_size,
        "dilation": dilation,
    }
    seconds = _positive("seconds", seconds)
    cell = arguments.integer("cell", cell, least=SMALLEST)
    numbers = dtypes.flag("numbers", numbers)
    call = Call.of_shapes("conv_transpose", *shapes, keywords, names=("x", "w"))
    if call.border is not None:
        raise ValueError(f"padding={call.border!r} cannot be drawn: draw 'SAME' and its zeros.")
    g = call.geometry
    frames = math.prod(g.x_size if view == "stamps" else g.y_size)
    cells = math.prod(a.y_size + a.effective_kernel for a in g)
    if view == "matrix":
        cells = 2 * math.prod(g.y_size) * math.prod(g.x_size)
    if frames * cells > MOST_CELLS:
        raise ValueError(
            f"x and w make {frames} steps of {cells} cells, too much to look at: draw a smaller "
            "input or kernel."
        )
    problem = Problem(g, values, kernel)
    return Drawing(problem, view, numbers, theme, seconds, cell)


def _positive(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name} must be a number above 0, got {value!r}.")
    if not 0 < value < math.inf:
        raise ValueError(f"{name} must be a number above 0, got {value!r}.")
    return float(value)


def _numbers(name: str, value: Any) -> np.ndarray:
    """An array as it is; for sizes 1, 2, 3, ... up to 9 and round again."""
    if hasattr(value, "shape"):
        array = np.asarray(value)
    else:
        sizes: Sequence[int] = arguments.shape(name, value, least=1)
        array = (np.arange(math.prod(sizes)) % 9 + 1).reshape(sizes)
    if array.ndim not in (1, 2) or array.dtype.kind not in "iuf":
        raise ValueError(
            f"{name} must have one or two axes of real numbers, without batch or channels; got "
            f"shape {array.shape} of {array.dtype}."
        )
    return array
