"""A frame laid out: boxes and labels with places and colours, for SVG and for pixels.

Colours tell phases apart: one hue for each, all equally bright, on paper or in the dark.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from jtconv.draw.frame import Cell, Frame, Grid, Look

MARGIN, BETWEEN, HEAD, FOOT = 24, 40, 26, 34


@dataclass(frozen=True)
class Palette:
    """The colours of one theme; ``tint`` and ``accent`` are (lightness, chroma) in OKLCH."""

    paper: str
    ink: str
    faint: str
    line: str
    nothing: str
    tint: tuple[float, float]
    accent: tuple[float, float]
    on_accent: str

    def quiet(self, phase: int, count: int) -> str:
        """A cell of this phase, at rest."""
        return oklch(*self.tint, hue(phase, count))

    def lit(self, phase: int, count: int) -> str:
        """A cell of this phase, in this step."""
        return oklch(*self.accent, hue(phase, count))


PALETTES = {
    "light": Palette(
        "#ffffff", "#20242b", "#8a919c", "#d9dde3", "#f4f5f7", (0.93, 0.04), (0.76, 0.13), "#14171c"
    ),
    "dark": Palette(
        "#101318", "#e8eaee", "#7d8590", "#2c323b", "#181c23", (0.33, 0.05), (0.72, 0.13), "#0c0e12"
    ),
}


@dataclass(frozen=True)
class Box:
    """A rounded rectangle."""

    x: float
    y: float
    width: float
    height: float
    fill: str | None
    stroke: str | None = None
    thickness: float = 1.0
    radius: float = 4.0


@dataclass(frozen=True)
class Label:
    """A text, centred on its place unless it starts there."""

    x: float
    y: float
    text: str
    size: float
    fill: str
    centred: bool = True


@dataclass(frozen=True)
class Scene:
    """What to paint, back to front."""

    width: int
    height: int
    paper: str
    shapes: tuple[Box | Label, ...]


@dataclass(frozen=True)
class Style:
    """How frames look: colours, size of a cell, whether numbers are written."""

    palette: Palette
    phases: int
    cell: int
    numbers: bool


def lay_out(frame: Frame, style: Style) -> Scene:
    """All grids of a frame side by side, centred on a common line, its caption below."""
    sizes = [(g.shape[1] * style.cell, g.shape[0] * style.cell) for g in frame.grids]
    tallest = max(height for _, height in sizes)
    shapes: list[Box | Label] = []
    left = float(MARGIN)
    for grid, (width, height) in zip(frame.grids, sizes, strict=True):
        shapes += _grid(grid, left, MARGIN + HEAD + (tallest - height) / 2, style)
        left += max(width, 7 * len(grid.title)) + BETWEEN
    total = max(left - BETWEEN + MARGIN, 360)
    bottom = MARGIN + HEAD + tallest + FOOT
    shapes.append(Label(MARGIN, bottom - 8, frame.caption, 14, style.palette.ink, centred=False))
    return Scene(round(total), round(bottom + MARGIN / 2), style.palette.paper, tuple(shapes))


def _grid(grid: Grid, left: float, top: float, style: Style) -> list[Box | Label]:
    title = Label(left, top - 13, grid.title, 13, style.palette.faint, centred=False)
    shapes: list[Box | Label] = [title]
    rows, columns = grid.shape
    if len(grid.cells) < rows * columns:  # holes: a ground to see the whole by
        size = columns * style.cell, rows * style.cell
        shapes.append(Box(left, top, *size, style.palette.nothing, None))
    for (row, column), cell in grid.cells.items():
        shapes += _cell(cell, left + column * style.cell, top + row * style.cell, style)
    if grid.window:
        row, column, height, width = (style.cell * number for number in grid.window)
        shapes.append(Box(left + column, top + row, width, height, None, style.palette.ink, 2.0))
    return shapes


def _cell(cell: Cell, x: float, y: float, style: Style) -> list[Box | Label]:
    size, fill, stroke, ink = style.cell, *_colours(cell, style)
    shapes: list[Box | Label] = [Box(x + 1, y + 1, size - 2, size - 2, fill, stroke)]
    if cell.value is not None and (style.numbers or cell.look is Look.ZERO):
        text = f"{cell.value:.4g}" if style.numbers else "·"
        scale = min(0.42, 1.3 / max(len(text), 1))
        shapes.append(Label(x + size / 2, y + size / 2, text, size * scale, ink))
    return shapes


def _colours(cell: Cell, style: Style) -> tuple[str | None, str | None, str]:
    """Fill, outline and ink of a cell; without a phase it is grey."""
    palette = style.palette
    if cell.look is Look.CROPPED:
        return None, palette.nothing, palette.faint
    if cell.look in (Look.ZERO, Look.EMPTY):
        return palette.nothing, None if cell.look is Look.ZERO else palette.line, palette.faint
    if cell.phase is None:
        lit = cell.look is Look.LIT
        return (palette.ink, None, palette.paper) if lit else (palette.line, None, palette.ink)
    if cell.look is Look.LIT:
        return palette.lit(cell.phase, style.phases), None, palette.on_accent
    return palette.quiet(cell.phase, style.phases), None, palette.ink


def hue(phase: int, count: int) -> float:
    """Phases are spread evenly round the circle, from blue."""
    return (255 + 360 * phase / count) % 360


def oklch(lightness: float, chroma: float, degrees: float) -> str:
    """A colour of Ottosson's OKLCH (2020) as ``#rrggbb``.

    >>> oklch(1.0, 0.0, 0.0), oklch(0.0, 0.0, 0.0)
    ('#ffffff', '#000000')
    """
    a, b = (chroma * f(math.radians(degrees)) for f in (math.cos, math.sin))
    long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    middle = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    linear = (
        4.0767416621 * long - 3.3077115913 * middle + 0.2309699292 * short,
        -1.2684380046 * long + 2.6097574011 * middle - 0.3413193965 * short,
        -0.0041960863 * long - 0.7034186147 * middle + 1.7076147010 * short,
    )
    return "#" + "".join(f"{round(255 * _encoded(channel)):02x}" for channel in linear)


def _encoded(linear: float) -> float:
    """The transfer curve of sRGB."""
    linear = min(max(linear, 0.0), 1.0)
    return 12.92 * linear if linear <= 0.0031308 else 1.055 * linear ** (1 / 2.4) - 0.055
