"""The forms inside an algorithm that only large problems take, forced upon small ones."""

from __future__ import annotations

import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jtconv
from jtconv.algorithms import ALGORITHMS, gemm
from jtconv.algorithms.common import circles, im2col, matmul
from jtconv.problem.geometry import Geometry
from jtconv.problem.task import Task
from tests.compare import assert_close
from tests.selection import rows

EVER_SO_MANY = dict.fromkeys(("dgrad", "fprop", "wgrad"), 10**6)


def tiled(task):
    """Tiles as short as they may be: no overlap reaches past the next one."""
    kernels = [circles.kernel_blocks(a) for a in task.geometry]
    sizes = [max(k - 1, 1 + (k == 1)) for k in kernels]
    columns = zip(task.geometry.x_size, sizes, kernels, strict=True)
    return tuple(circles.Circle(-(-n // p), p, p + k - 1) for n, p, k in columns)


def tiled_and_whole(task):
    """The axes in turn."""
    some = [tiled(task), tuple(c for c, *_ in map(list, map(circles._candidates, task.geometry)))]
    return tuple(pair[number % 2] for number, pair in enumerate(zip(*some, strict=True)))


# form: the method that takes it, and what to change in which file of algorithms/
FORMS: dict[str, tuple[str, dict[str, Any]]] = {
    "gemm in row tiles": ("gemm", {"gemm.MOST_BYTES": 0, "gemm.TILE_BYTES": 600}),
    "gemm in tiles of one row": ("gemm", {"gemm.MOST_BYTES": 0, "gemm.TILE_BYTES": 1}),
    "gemm, O innermost": ("gemm", {"common.im2col.WIDE": 1}),
    "gemm in row tiles, O innermost": (
        "gemm",
        {"gemm.MOST_BYTES": 0, "gemm.TILE_BYTES": 600, "common.im2col.WIDE": 1},
    ),
    "gemm by taps": (
        "gemm",
        {"common.im2col.HEAVY_BYTES": 0, "common.im2col.FEW_ROWS": EVER_SO_MANY},
    ),
    "phases by convolution": (
        "phases",
        {"common.subpixel.MOST_TAPS": 0, "common.mec.MOST_TAPS": 0},
    ),
    "phases, im2col along all axes": ("phases", {"common.mec.MOST_TAPS": 0}),
    "phases, im2col along one axis": ("phases", {"common.subpixel.MOST_TAPS": 0}),
    "phases, im2col along one axis, in row tiles": (
        "phases",
        {"common.subpixel.MOST_TAPS": 0, "common.mec.MOST_BYTES": 600},
    ),
    "fft in tiles": ("fft", {"common.circles.of": tiled}),
    "fft, tiles and whole axes": ("fft", {"common.circles.of": tiled_and_whole}),
    "fft, products one by one": ("fft", {"fft.AT_ONCE": 1}),
    "fft, products in twos": ("fft", {"fft.AT_ONCE": 2}),
    "taps in low row tiles": ("taps", {"taps.TILE": 1}),
    "taps in row tiles": ("taps", {"taps.TILE": 200}),
    "taps by blocks": ("taps", {"taps.MOST_TERMS": 1}),
    "taps, rows one by one": ("taps", {"taps.AT_ONCE": 1}),
    "taps, wide channels": ("taps", {"taps.WIDE": 1}),
    "taps summed by a reduction": ("taps", {"taps.FEW": 1}),
    "dense in two blocks of groups": ("dense", {"dense.LANES": 2}),
}
# input, kernel, stride, dilation, crops, groups, C, O
CASES: dict[str, tuple[Any, ...]] = {
    "k4 s2": ((7, 5), (4, 4), (2, 2), (1, 1), ((1, 1), (0, 2)), 1, 3, 2),
    "k3 s2": ((5, 6), (3, 3), (2, 2), (1, 1), ((1, 0), (-1, 1)), 2, 4, 6),
    "stride past kernel": ((4, 3), (2, 1), (3, 2), (1, 1), ((0, -1), (0, 0)), 1, 2, 3),
    "k7 s1": ((5, 6), (7, 3), (1, 1), (1, 1), ((3, 2), (1, 0)), 1, 4, 3),
    "k3 s1, groups": ((5, 6), (3, 3), (1, 1), (1, 1), ((1, 1), (-1, 4)), 2, 4, 6),
    "dilated": ((6, 5), (3, 2), (2, 1), (2, 3), ((2, 1), (0, 1)), 2, 2, 4),
    "1-D": ((9,), (5,), (3,), (1,), ((2, 1),), 4, 4, 4),
    "depthwise": ((5, 4), (5, 4), (2, 2), (1, 1), ((1, 1), (0, 2)), 3, 3, 3),
    "depthwise, dilated": ((5, 4), (3, 2), (2, 3), (2, 1), ((1, 0), (0, 1)), 3, 3, 3),
    "one channel": ((4, 5), (3, 3), (2, 2), (1, 1), ((1, 0), (0, 1)), 1, 1, 1),
    "merging": ((4, 3), (4, 6), (2, 3), (1, 1), ((1, 1), (-1, 2)), 2, 4, 6),
    "filling": ((4, 3), (8, 9), (2, 2), (1, 1), ((3, 3), (4, 3)), 2, 4, 6),
    "dilated, s1": ((6, 5), (3, 3), (1, 1), (2, 1), ((1, 2), (0, 1)), 1, 3, 2),
    "3-D": ((4, 3, 2), (2, 3, 2), (2, 1, 2), (1, 1, 1), ((0, 0), (1, 1), (0, 0)), 1, 2, 2),
}


PAIRS = {f"{form}-{case}": (form, case) for form in FORMS for case in CASES}
# One or two forms of each method, with a problem that they are for.
DEFAULT = (
    "gemm in row tiles-k4 s2",
    "gemm in row tiles, O innermost-k4 s2",
    "gemm by taps-1-D",
    "phases by convolution-k3 s2",
    "phases, im2col along all axes-filling",
    "phases, im2col along one axis, in row tiles-dilated",
    "fft, tiles and whole axes-3-D",
    "fft, products in twos-dilated",
    "taps in low row tiles-depthwise",
    "taps, wide channels-k3 s1, groups",
    "taps summed by a reduction-one channel",
    "dense in two blocks of groups-1-D",
)


@pytest.mark.parametrize(("form", "case"), rows(PAIRS, default=DEFAULT))
def test_every_form_gives_the_same_result(form, case, monkeypatch, rng):
    method, changes = FORMS[form]
    for place, value in changes.items():
        file, name = place.rsplit(".", 1)
        monkeypatch.setattr(sys.modules[f"jtconv.algorithms.{file}"], name, value)
    *sizes, groups, c, o = CASES[case]
    space, kernel, stride, dilation, crops = sizes
    geometry = Geometry.of(space, kernel, stride, dilation, crops, groups)
    x, y = rng.normal(size=(2, *geometry.x_size, c)), rng.normal(size=(2, *geometry.y_size, o))
    w = rng.normal(size=(*geometry.kernel, c // groups, o))
    double = jnp.dtype("float64")
    operands_of: dict[Any, Any] = {"dgrad": (x, w), "fprop": (y, w), "wgrad": (x, y)}
    for side, operands in operands_of.items():
        task = Task(side, geometry, 2, c, o, double, double)
        pair = tuple(map(jnp.asarray, operands))
        got = jax.jit(
            lambda a, b, task=task, side=side: getattr(ALGORITHMS[method], side)(a, b, task)
        )
        assert_close(got(*pair), getattr(ALGORITHMS["scatter"], side)(*pair, task))


@pytest.mark.parametrize("rows", [2048, 8192, 8193])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_products_of_many_rows(rows, dtype, rng):
    """Tall products run as convolutions, long sums in halves or transposed: all the same."""
    geometry = Geometry.of((rows,), (1,))
    task = Task("wgrad", geometry, 1, 8, 256, jnp.dtype(dtype), jnp.dtype("float32"))
    a = jnp.asarray(rng.normal(size=(1, rows, 8)), dtype)
    b = jnp.asarray(rng.normal(size=(1, 8, 256)), dtype)
    wide = [np.asarray(m, np.float64)[0] for m in (a, b)]
    tall = matmul.einsum("gmc,gcn->gmn", a, b, task)[0]
    np.testing.assert_allclose(tall, wide[0] @ wide[1], rtol=1e-4, atol=1e-4)
    long = matmul.correlate(a, tall[None].astype(dtype), task)[0]
    expected = wide[0].T @ np.asarray(tall.astype(dtype), np.float64)
    np.testing.assert_allclose(long, expected, rtol=1e-3, atol=1e-2)


def test_large_problems_take_these_forms():
    """The thresholds are met by layers people have, so the forms above are not dead."""
    assert gemm._tiles(_task((64, 16, 16, 128), (4, 4, 128, 64))) > 1
    assert im2col.is_heavy(_task((1, 16, 1536), (16, 1536, 768)))
    assert not im2col.is_heavy(_task((4, 64, 512), (16, 512, 256)))


def _task(x, w):
    plan = jtconv.explain(
        jax.ShapeDtypeStruct(x, jnp.float32), jax.ShapeDtypeStruct(w, jnp.float32), stride=2
    )
    single = jnp.dtype("float32")
    return Task("dgrad", plan.call.geometry, x[0], x[-1], w[-1], single, single)
