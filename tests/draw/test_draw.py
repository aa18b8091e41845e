"""Pictures that can be tested: what is lit are the taps, what is written are the values."""

from __future__ import annotations

import io
import itertools
import math
import random
import re
import sys
import xml.etree.ElementTree as ET
from typing import Any

import numpy as np
import pytest
from PIL import Image

import jtconv
from jtconv.draw import draw
from jtconv.draw.frame import Cell, Grid, Look
from jtconv.draw.scene import PALETTES
from jtconv.draw.views import VIEWS
from tests.selection import exhaustive, rows


def drawn(chance):
    """Sizes and keywords of one or two axes, some cropped and some extended."""
    rank = chance.choice((1, 2))

    def each(least, most):
        return tuple(chance.randint(least, most) for _ in range(rank))

    crops = tuple((chance.randint(-1, 2), chance.randint(-1, 2)) for _ in range(rank))
    keywords = {"stride": each(1, 3), "padding": crops, "dilation": each(1, 2)}
    return each(1, 3), each(1, 3), keywords


def problems(count):
    chance = random.Random(5)
    found: list[tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = []
    while len(found) < count:
        x, w, keywords = drawn(chance)
        try:
            jtconv.output_shape((*x, 1), (*w, 1, 1), **keywords)
        except ValueError:  # nothing left
            continue
        found.append((x, w, keywords))
    return found


PROBLEMS = problems(20)
every_problem = pytest.mark.parametrize(
    "problem", rows({str(p): (p,) for p in PROBLEMS}, default=[str(p) for p in PROBLEMS[:8]])
)
every_view = pytest.mark.parametrize("view", VIEWS)


def numbers(problem, rng):
    x, w, keywords = problem
    return rng.normal(size=x), rng.normal(size=w), keywords


def value(x, w, g):
    """The law once more, by a NumPy loop."""
    y = np.zeros(g.y_size)
    for i, t in itertools.product(np.ndindex(x.shape), np.ndindex(w.shape)):
        m = tuple(a.stride * n + a.dilation * k - a.lo for a, n, k in zip(g, i, t, strict=True))
        if all(0 <= at < size for at, size in zip(m, g.y_size, strict=True)):
            y[m] += x[i] * w[t]
    return y


def framed(grid: Grid) -> tuple[int, int, int, int]:
    assert grid.window is not None
    return grid.window


def number(cell: Cell) -> float:
    assert cell.value is not None
    return cell.value


def taps(g, m):
    """What Geometry says reaches an output cell: pairs of input and kernel cells."""
    axes = [a.taps(at) for a, at in zip(g, m, strict=True)]
    return {tuple(zip(*pairs, strict=True)) for pairs in itertools.product(*axes)}


@every_view
@every_problem
def test_over_all_frames_the_products_are_the_multiply_adds_of_explain(problem, view):
    x, w, keywords = problem
    frames = draw(x, w, view=view, **keywords).frames
    arrays = np.zeros((*x, 1)), np.zeros((*w, 1, 1))
    plan = jtconv.explain(*arrays, **keywords)
    products = [product for frame in frames for product in frame.products]
    assert len(products) == len(set(products)) == plan.multiply_adds
    count = math.prod(x) if view == "stamps" else math.prod(plan.output_shape[:-1])
    assert len(frames) == count


@pytest.mark.parametrize("view", ["zeros", "matrix"])
@every_problem
def test_lit_are_the_taps_of_that_output_cell(problem, view, rng):
    x, w, keywords = numbers(problem, rng)
    drawing = draw(x, w, view=view, **keywords)
    g = drawing.problem.geometry
    for m, frame in zip(np.ndindex(g.y_size), drawing.frames, strict=True):
        assert {(i, t) for _, i, t in frame.products} == taps(g, m)
        assert frame.grid("y").lit() == {m}
        inputs, kernel = {i for i, _ in taps(g, m)}, {t for _, t in taps(g, m)}
        if view == "zeros":
            assert frame.grid("x with zeros").lit() == inputs
            assert frame.grid("w flipped").lit() == kernel
        else:
            assert frame.grid("x").lit() == inputs
            entries = {(*m, *i) for i in inputs}
            assert frame.grid("C").lit() == frame.grid("C transposed").lit() == entries


@every_problem
def test_lit_are_the_products_of_that_input_cell(problem, rng):
    x, w, keywords = numbers(problem, rng)
    drawing = draw(x, w, **keywords)
    g = drawing.problem.geometry
    for i, frame in zip(np.ndindex(g.x_size), drawing.frames, strict=True):
        products = {(m, t) for m in np.ndindex(g.y_size) for at, t in taps(g, m) if at == i}
        assert {(m, t) for m, _, t in frame.products} == products
        assert frame.grid("x").lit() == {i}
        assert frame.grid("y").lit() == {m for m, _ in products}
        assert frame.grid("w").lit() == {t for _, t in products}


@every_view
@every_problem
def test_numbers_are_the_values(problem, view, rng):
    x, w, keywords = numbers(problem, rng)
    drawing = draw(x, w, view=view, **keywords)
    y = value(x, w, drawing.problem.geometry)
    cells = [c for c in drawing.frames[-1].grid("y").cells.values() if c.look is not Look.CROPPED]
    assert {cell.index for cell in cells} == set(np.ndindex(y.shape))
    for cell in cells:
        assert (cell.value or 0) == pytest.approx(y[cell.index])


@pytest.mark.parametrize("problem", PROBLEMS[:3], ids=str)
def test_numbers_are_those_of_conv_transpose(problem, rng):
    x, w, keywords = numbers(problem, rng)
    y = jtconv.conv_transpose(x[..., None], w[..., None, None], **keywords)[..., 0]
    got = value(x, w, draw(x, w, **keywords).problem.geometry)
    np.testing.assert_allclose(got, y, rtol=1e-12, atol=1e-12)


@every_problem
def test_what_lies_under_the_window_adds_up(problem, rng):
    """The picture itself, read cell by cell: the window over the zeros times the flipped kernel."""
    x, w, keywords = numbers(problem, rng)
    drawing = draw(x, w, view="zeros", **keywords)
    y = value(x, w, drawing.problem.geometry)
    for m, frame in zip(np.ndindex(y.shape), drawing.frames, strict=True):
        dilated, kernel = frame.grid("x with zeros"), frame.grid("w flipped")
        row, column, height, width = framed(dilated)
        assert (height, width) == kernel.shape
        total = 0.0
        for (down, right), cell in kernel.cells.items():
            total += number(cell) * number(dilated.cells[row + down, column + right])
        assert total == pytest.approx(y[m])


@every_problem
def test_the_matrix_that_is_drawn_is_the_matrix(problem, rng):
    x, w, keywords = numbers(problem, rng)
    drawing = draw(x, w, view="matrix", **keywords)
    y = value(x, w, drawing.problem.geometry)
    frame = drawing.frames[-1]
    tall, wide = np.zeros((y.size, x.size)), np.zeros((x.size, y.size))
    for grid, matrix in ((frame.grid("C transposed"), tall), (frame.grid("C"), wide)):
        assert grid.shape == matrix.shape
        for place, cell in grid.cells.items():
            matrix[place] = cell.value
    np.testing.assert_allclose(tall @ x.ravel(), y.ravel())
    np.testing.assert_array_equal(tall, wide.T)
    assert framed(frame.grid("C transposed"))[0] == framed(frame.grid("C"))[1] == y.size - 1


@every_problem
def test_stamps_lie_where_the_full_output_has_them(problem, rng):
    """The frame drawn round a stamp holds every lit cell, at its place in the kernel."""
    x, w, keywords = numbers(problem, rng)
    drawing = draw(x, w, **keywords)
    for frame in drawing.frames:
        row, column, height, width = framed(frame.grid("y"))
        assert (height, width) == frame.grid("w").shape
        y = {place: c for place, c in frame.grid("y").cells.items() if c.look is Look.LIT}
        kernel = {(row + r, column + c): cell for (r, c), cell in frame.grid("w").cells.items()}
        assert set(y) <= set(kernel)
        assert all(kernel[place].phase == cell.phase for place, cell in y.items())


@every_problem
def test_cells_share_a_phase_where_they_share_their_place_in_a_stride(problem):
    x, w, keywords = problem
    cells = draw(x, w, **keywords).frames[0].grid("y").cells.values()
    phases = {cell.index: cell.phase for cell in cells if cell.look is not Look.CROPPED}
    residues = {
        m: tuple(at % s for at, s in zip(m, keywords["stride"], strict=True)) for m in phases
    }
    pairs = {(phases[m], residues[m]) for m in phases}
    assert len(pairs) == len(set(phases.values())) == len(set(residues.values()))


def test_phases_never_share_a_colour():
    for palette in PALETTES.values():
        for count in (1, 2, 4, 9, 16):
            assert len({palette.lit(phase, count) for phase in range(count)}) == count
            assert len({palette.quiet(phase, count) for phase in range(count)}) == count


def texts(svg):
    root = ET.fromstring(svg)
    return [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]


def test_d6_the_stamps_step_by_step():
    """2x2, k4, s3: four 4x4 stamps laid 3 apart, 7x7, and the sums where they overlap."""
    drawing = draw((2, 2), (4, 4), stride=3)
    assert [len(frame.products) for frame in drawing.frames] == [16] * 4
    corners = [frame.grid("y").window for frame in drawing.frames]
    assert corners == [(0, 0, 4, 4), (0, 3, 4, 4), (3, 0, 4, 4), (3, 3, 4, 4)]
    assert drawing.frames[-1].grid("y").shape == (7, 7)
    assert drawing.frames[-1].grid("y").cells[3, 3].value == 1 * 7 + 2 * 4 + 3 * 4 + 4 * 1


@every_view
@pytest.mark.parametrize("theme", PALETTES)
def test_svg_shows_the_numbers(view, theme):
    drawing = draw((2, 3), (3, 2), stride=2, view=view, theme=theme)
    last = drawing.svg(frame=-1)
    for cell in drawing.frames[-1].grid("y").cells.values():
        assert cell.value is None or f"{cell.value:g}" in texts(last)
    assert PALETTES[theme].paper in last
    moving = ET.fromstring(drawing.svg())
    groups = list(moving.iter("{http://www.w3.org/2000/svg}g"))
    assert len(groups) == len(drawing.frames)
    # Where no style is read the last step is seen, not all of them over one another.
    assert [group.get("visibility") for group in groups].index("visible") == len(groups) - 1


def test_two_moving_drawings_keep_apart_on_one_page():
    """A style on a page is one for every drawing on it."""
    first, second = (set(re.findall(r"f[0-9a-f]{8}-\d+", draw((n,), (2,)).svg())) for n in (2, 3))
    assert len(first) == len(second) == 1
    assert first != second


def test_without_numbers_nothing_is_written_into_cells():
    plain = draw((2, 2), (3, 3), numbers=False).svg(frame=0)
    assert texts(plain) == ["x", "w", "y", "x[0, 0] = 1 adds its stamp"]


def test_files_hold_every_step(tmp_path):
    drawing = draw((3,), (3,), stride=2, cell=20)
    for name in ("a.svg", "a.gif", "a.png"):
        drawing.save(tmp_path / name)
    with Image.open(tmp_path / "a.gif") as gif:
        assert (gif.n_frames, gif.info["loop"]) == (3, 0)  # type: ignore[attr-defined]
        size = gif.size
        assert gif.convert("RGB").getpixel((1, 1)) == (255, 255, 255), "flat colours are exact"
    with Image.open(io.BytesIO(drawing.png(frame=0))) as one:
        assert one.size == size
        first = np.asarray(one.convert("RGB")).astype(int)
    with Image.open(tmp_path / "a.png") as sheet:
        assert sheet.width * sheet.height >= 3 * size[0] * size[1]
        corner = np.asarray(sheet.convert("RGB")).astype(int)[: size[1], : size[0]]
    np.testing.assert_array_equal(first, corner)
    paper = [255, 255, 255]
    assert (first == paper).all(axis=-1).mean() < 0.98
    assert drawing._repr_svg_().startswith("<svg")


@pytest.mark.parametrize(
    ("changes", "because"),
    [
        ({"view": "cinema"}, "view must be one of"),
        ({"theme": "sepia"}, "theme must be one of"),
        ({"x": (2, 2, 2)}, "x must have one or two axes"),
        ({"x": np.ones((2, 2), complex)}, "real numbers"),
        ({"x": (3,)}, "as many axes"),
        ({"x": (300, 300)}, "too much to look at"),
        ({"padding": 9}, "leaves no output"),
        ({"x": 5}, "x must be a tuple of ints"),
        ({"seconds": 0}, "seconds must be a number above 0"),
        ({"seconds": float("nan")}, "seconds must be a number above 0"),
        ({"seconds": "1"}, "seconds must be a number above 0"),
        ({"cell": 3}, "cell must be an int >= 8"),
        ({"cell": 20.0}, "cell must be an int >= 8"),
        ({"numbers": 1}, "numbers must be True or False"),
        ({"colour": "red"}, "unexpected keyword argument 'colour'"),
    ],
)
def test_what_cannot_be_drawn_is_told(changes, because):
    arguments = {"x": (2, 2), "w": (3, 3), **changes}
    x, w = arguments.pop("x"), arguments.pop("w")
    with pytest.raises((ValueError, TypeError)) as caught:
        draw(x, w, **arguments)
    assert because in str(caught.value)


@pytest.mark.parametrize("frame", [3, -4, 1.5])
def test_a_step_that_is_not_there(frame):
    with pytest.raises((ValueError, TypeError), match="frame"):
        draw((3,), (2,)).svg(frame)
    with pytest.raises(ValueError, match="suffix"):
        draw((3,), (2,)).save("a.bmp")


@exhaustive
def test_too_many_pixels_are_told_with_a_way_out():
    steps = draw((3, 3), (3, 3), stride=2, view="matrix")
    for paint in (steps.png, steps.gif):
        with pytest.raises(ValueError, match=r"49 steps of .* or cell=(\d+) or less") as caught:
            paint()
    found = re.search(r"cell=(\d+)", str(caught.value))
    assert found is not None
    assert draw((3, 3), (3, 3), stride=2, view="matrix", cell=int(found[1])).png()
    assert steps.png(frame=3)
    assert steps.svg()


def test_pixels_need_pillow_and_svg_does_not(monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    monkeypatch.delitem(sys.modules, "jtconv.draw.bitmap", raising=False)
    monkeypatch.delattr(jtconv.draw, "bitmap", raising=False)
    drawing = draw((3,), (2,))
    assert drawing.svg().startswith("<svg")
    for paint in (drawing.png, drawing.gif):
        with pytest.raises(ImportError, match=r"pillow: python -m pip install 'jtconv\[demo\]'"):
            paint()
