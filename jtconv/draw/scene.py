"""A frame laid out: boxes and labels with colours and places, for any painter."""

from __future__ import annotations

from dataclasses import dataclass

from jtconv.draw.frame import Cell, Frame, Grid, Look
from jtconv.draw.palette import Palette

MARGIN, BETWEEN, HEAD, FOOT = 24, 40, 26, 34


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


def scene(frame: Frame, style: Style) -> Scene:
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
        said = f"{cell.value:.4g}" if style.numbers else "·"
        scale = min(0.42, 1.3 / max(len(said), 1))
        shapes.append(Label(x + size / 2, y + size / 2, said, size * scale, ink))
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
