"""What one step shows, without a word on how it looks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

Place = tuple[int, int]  # row, column
Index = tuple[int, ...]  # one int per spatial axis
Product = tuple[Index, Index, Index]  # output cell, input cell, kernel cell


class Look(Enum):
    """What a cell is in this step."""

    EMPTY = "not there yet"
    ZERO = "an inserted or padded zero"
    QUIET = "there, but not in this step"
    LIT = "in this step"
    CROPPED = "cut off by the padding"


@dataclass(frozen=True)
class Cell:
    """One square: its number, the phase that colours it, and its part in this step."""

    value: float | None
    look: Look
    phase: int | None = None
    index: Index = ()


@dataclass(frozen=True)
class Grid:
    """Cells by row and column; ``window``, a frame, is (row, column, height, width)."""

    title: str
    shape: Place
    cells: Mapping[Place, Cell]
    window: tuple[int, int, int, int] | None = None

    def lit(self) -> set[Index]:
        """Which cells are part of this step."""
        return {cell.index for cell in self.cells.values() if cell.look is Look.LIT}


@dataclass(frozen=True)
class Frame:
    """One step: the products it adds, and the grids that show it."""

    caption: str
    products: tuple[Product, ...]
    grids: tuple[Grid, ...] = field(repr=False)

    def grid(self, title: str) -> Grid:
        """The grid so titled."""
        return next(grid for grid in self.grids if grid.title == title)
