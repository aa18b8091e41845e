"""What is drawn: a problem with its numbers, and what one step of it shows, not how it looks."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property

import numpy as np

from jtconv.problem.geometry import Geometry

Place = tuple[int, int]  # row, column
Index = tuple[int, ...]  # one int per spatial axis
Product = tuple[Index, Index, Index]  # output cell, input cell, kernel cell


@dataclass(frozen=True, eq=False)
class Problem:
    """``x`` and ``w`` have the sizes of ``geometry``'s input and kernel, without channels."""

    geometry: Geometry
    x: np.ndarray
    w: np.ndarray

    @cached_property
    def products(self) -> tuple[Product, ...]:
        """Every useful product, in the order of output cells."""
        found = []
        for output in np.ndindex(self.geometry.y_size):
            taps = (a.taps(cell) for a, cell in zip(self.geometry, output, strict=True))
            for pairs in itertools.product(*taps):
                i, t = zip(*pairs, strict=True)
                found.append((output, i, t))
        return tuple(found)

    @cached_property
    def by_output(self) -> dict[Index, list[Product]]:
        """The products of each output cell: none where no tap reaches it."""
        found: dict[Index, list[Product]] = {m: [] for m in np.ndindex(self.geometry.y_size)}
        for product in self.products:
            found[product[0]].append(product)
        return found

    @cached_property
    def by_input(self) -> dict[Index, list[Product]]:
        """The products of each input cell, as far as they are inside the output."""
        found: dict[Index, list[Product]] = {i: [] for i in np.ndindex(self.geometry.x_size)}
        for product in self.products:
            found[product[1]].append(product)
        return found

    def total(self, products: list[Product]) -> float:
        """The sum of some products."""
        return float(sum(self.x[i] * self.w[t] for _, i, t in products))

    def phase(self, output: Index) -> int:
        """Which output phase a cell belongs to, numbered over all axes."""
        residues = (m % a.stride for m, a in zip(output, self.geometry, strict=True))
        return int(np.ravel_multi_index(tuple(residues), self.geometry.stride))

    def phase_of_tap(self, tap: Index) -> int:
        """The phase that a kernel cell serves."""
        pairs = zip(tap, self.geometry, strict=True)
        return self.phase(tuple(a.dilation * t - a.lo for t, a in pairs))

    @property
    def phase_count(self) -> int:
        """How many phases there are."""
        return math.prod(self.geometry.stride)


def place(index: Index) -> Place:
    """Row and column; one axis is one row."""
    return (0, index[0]) if len(index) == 1 else (index[0], index[1])


def extent(sizes: Index) -> Place:
    """Rows and columns of a grid with these sizes."""
    return (1, sizes[0]) if len(sizes) == 1 else (sizes[0], sizes[1])


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
