"""A problem with its numbers, and its three views: stamps summed, zeros inserted, a matrix."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from jtconv.draw.frame import Cell, Frame, Grid, Index, Look, Place, Product
from jtconv.problem.geometry import Geometry


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


def stamps(p: Problem) -> Iterator[Frame]:
    """Each input cell adds the kernel times its value, and overlaps sum: one frame a cell of x."""
    done: dict[Index, list[Product]] = {m: [] for m in p.by_output}
    for i, products in p.by_input.items():
        for product in products:
            done[product[0]].append(product)
        grids = _input(p, {i}), _kernel(p, {t for _, _, t in products}), _full_output(p, i, done)
        yield Frame(f"x{list(i)} = {p.x[i]:g} adds its stamp", tuple(products), grids)


def _full_output(p: Problem, i: Index, done: dict[Index, list[Product]]) -> Grid:
    """The full output, cropped border and all, with what has been added so far."""
    g = p.geometry
    starts = tuple(min(a.lo, 0) for a in g)
    ends = tuple(max(a.full, a.lo + a.y_size) for a in g)
    new = {m for m, from_i, _ in p.by_input[i] if from_i == i}
    cells: dict[Place, Cell] = {}
    for here in np.ndindex(tuple(e - s for s, e in zip(starts, ends, strict=True))):
        m = tuple(h + s - a.lo for h, s, a in zip(here, starts, g, strict=True))
        if m not in done:
            cells[_place(here)] = Cell(None, Look.CROPPED)
            continue
        look = Look.LIT if m in new else Look.QUIET if done[m] else Look.EMPTY
        value = p.total(done[m]) if done[m] else None
        cells[_place(here)] = Cell(value, look, p.phase(m), m)
    sizes = tuple(e - s for s, e in zip(starts, ends, strict=True))
    corner = tuple(a.stride * n - s for a, n, s in zip(g, i, starts, strict=True))
    spans = tuple(a.effective_kernel for a in g)
    return Grid("y", _extent(sizes), cells, (*_place(corner), *_extent(spans)))


def zeros(p: Problem) -> Iterator[Frame]:
    """The input dilated with zeros, convolved with the flipped kernel: one frame a cell of y."""
    for m, products in p.by_output.items():
        taps, inputs = {t for _, _, t in products}, {i for _, i, _ in products}
        grids = _dilated(p, m, inputs), _kernel(p, taps, flipped=True), _outputs(p, m)
        yield Frame(_sum(p, m, products), tuple(products), grids)


def _dilated(p: Problem, m: Index, lit: set[Index]) -> Grid:
    g = p.geometry
    sizes = tuple(a.y_size + a.effective_kernel - 1 for a in g)
    cells = {_place(here): Cell(0.0, Look.ZERO) for here in np.ndindex(sizes)}
    for i in np.ndindex(g.x_size):
        here = tuple(
            a.stride * n + a.effective_kernel - 1 - a.lo for n, a in zip(i, g, strict=True)
        )
        if all(0 <= at < size for at, size in zip(here, sizes, strict=True)):
            look = Look.LIT if i in lit else Look.QUIET
            cells[_place(here)] = Cell(float(p.x[i]), look, None, i)
    spans = tuple(a.effective_kernel for a in g)
    return Grid("x with zeros", _extent(sizes), cells, (*_place(m), *_extent(spans)))


def matrix(p: Problem) -> Iterator[Frame]:
    """The output as C transposed times the input, row by row; and C itself."""
    rows, columns = math.prod(p.geometry.y_size), math.prod(p.geometry.x_size)
    for m, products in p.by_output.items():
        row = _flat(m, p.geometry.y_size)
        lit = {i for _, i, _ in products}
        grids = (
            Grid("C transposed", (rows, columns), _entries(p, m, False), (row, 0, 1, columns)),
            _column("x", _input(p, lit).cells.values()),
            _column("y", _outputs(p, m, flat=True).cells.values()),
            Grid("C", (columns, rows), _entries(p, m, True), (0, row, columns, 1)),
        )
        yield Frame(_sum(p, m, products), tuple(products), grids)


def _entries(p: Problem, current: Index, transposed: bool) -> dict[Place, Cell]:
    """Every entry that is not always zero, at (output, input), or (input, output) in C."""
    cells = {}
    for m, i, t in p.products:
        at = _flat(m, p.geometry.y_size), _flat(i, p.geometry.x_size)
        cell = Cell(float(p.w[t]), _lit(m == current), p.phase(m), (*m, *i))
        cells[at[::-1] if transposed else at] = cell
    return cells


def _column(title: str, cells: Iterable[Cell]) -> Grid:
    column = {(row, 0): cell for row, cell in enumerate(cells)}
    return Grid(title, (len(column), 1), column)


def _input(p: Problem, lit: set[Index]) -> Grid:
    cells = {_place(i): Cell(float(p.x[i]), _lit(i in lit), None, i) for i in p.by_input}
    return Grid("x", _extent(p.geometry.x_size), cells)


def _kernel(p: Problem, lit: set[Index], flipped: bool = False) -> Grid:
    """The kernel with the holes of its dilation."""
    g, cells = p.geometry, {}
    for t in np.ndindex(g.kernel):
        shown = tuple(k - 1 - at if flipped else at for at, k in zip(t, g.kernel, strict=True))
        here = tuple(a.dilation * at for at, a in zip(shown, g, strict=True))
        cells[_place(here)] = Cell(float(p.w[t]), _lit(t in lit), p.phase_of_tap(t), t)
    spans = tuple(a.effective_kernel for a in g)
    return Grid("w flipped" if flipped else "w", _extent(spans), cells)


def _outputs(p: Problem, current: Index, flat: bool = False) -> Grid:
    """The output as far as it is known: up to the current cell."""
    cells, known = {}, True
    for number, (m, products) in enumerate(p.by_output.items()):
        look = Look.LIT if m == current else Look.QUIET if known else Look.EMPTY
        value = p.total(products) if known or m == current else None
        known = known and m != current
        cells[(0, number) if flat else _place(m)] = Cell(value, look, p.phase(m), m)
    return Grid("y", _extent(p.geometry.y_size), cells)


def _sum(p: Problem, m: Index, products: list[Product]) -> str:
    terms = " + ".join(f"{p.x[i]:g}·{p.w[t]:g}" for _, i, t in products)
    return f"y{list(m)} = {terms or 'nothing'}" + (f" = {p.total(products):g}" if terms else "")


def _place(index: Index) -> Place:
    """Row and column; one axis is one row."""
    return (0, index[0]) if len(index) == 1 else (index[0], index[1])


def _extent(sizes: Index) -> Place:
    """Rows and columns of a grid with these sizes."""
    return (1, sizes[0]) if len(sizes) == 1 else (sizes[0], sizes[1])


def _lit(now: bool) -> Look:
    return Look.LIT if now else Look.QUIET


def _flat(index: Index, sizes: Index) -> int:
    return int(np.ravel_multi_index(index, sizes))


VIEWS: dict[str, Callable[[Problem], Iterator[Frame]]] = {
    "stamps": stamps,
    "zeros": zeros,
    "matrix": matrix,
}
