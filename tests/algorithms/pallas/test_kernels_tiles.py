"""Tiles of the kernels behind "pallas": any gives the same answer, and the best measured runs."""

from __future__ import annotations

import json
from dataclasses import replace

import jax
import jax.numpy as jnp
import pytest

import jtconv
from jtconv.algorithms import ALGORITHMS, gemm, pallas
from jtconv.algorithms.pallas.hopper import pipeline
from jtconv.algorithms.pallas.hopper.implicit_gemm import ImplicitGemm
from jtconv.algorithms.pallas.hopper.kernel_gradient import KernelGradient
from jtconv.algorithms.pallas.interpret import interpreted
from jtconv.dispatch.tuning import Timing, Tuning, key
from tests.cases import Case, one_axis
from tests.compare import assert_close
from tests.kernels import can_interpret_gpus, compute, side_of, task_of

SIDES = ("dgrad", "fprop", "wgrad")
WIDE = Case("", (5, 6), (2, 2), (2, 2), (1, 1), ((0, 0), (0, 1)), 256, 128, 1, 1)
DEFAULT = "wgrad-128x64", "fprop-64x256"


def rows():
    """Every tile on every side; most are slow."""
    for side in SIDES:
        for tile in pipeline.TILES:
            label = f"{side}-{tile}"
            marks = [can_interpret_gpus]
            if label not in DEFAULT:
                marks.append(pytest.mark.exhaustive)
            yield pytest.param(side, tile, id=label, marks=marks)


@pytest.mark.parametrize(("side", "tile"), list(rows()))
def test_any_tile_gives_the_same_answer(side, tile, rng):
    operands, want = side_of(WIDE, side, rng, "bfloat16")
    task = task_of(WIDE, side, "bfloat16", "cuda")
    with interpreted("cuda"):
        assert_close(compute(replace(task, tile=tile), *operands), want, "bfloat16")


def test_tiles_that_a_task_cuts_down_to_the_same_are_one():
    """They are told apart by what they load ahead, too."""
    thin = task_of(WIDE._replace(channels=16, features=8), "dgrad", "bfloat16", "cuda")
    first, *others = pallas.tiles(thin)
    assert first == "64x128"
    assert {first, *others} == set(pipeline.TILES)


@pytest.mark.parametrize("tile", pipeline.TILES)
def test_a_tile_is_what_a_kernel_is_cut_into(tile):
    task = replace(task_of(WIDE, "dgrad", "bfloat16", "cuda"), tile=tile)
    rows, width, stages = pipeline.TILES[tile]
    gemm = ImplicitGemm.of(1, task)
    assert (gemm.columns, gemm.stages) == (width, stages)
    gradient = KernelGradient.of(1, replace(task, side="wgrad"))
    assert gradient.tile == (rows, width, stages)


def test_shared_memory_holds_every_tile():
    """Of 227 KiB: rings of boxes of 128 bytes a row, and what is on its way out."""
    for rows, width, stages in pipeline.TILES.values():
        ring = stages * (pipeline.CONSUMERS * rows + width) * 128
        assert ring + pipeline.CONSUMERS * max(rows * 128, 64 * 64 * 4) <= 226 * 2**10


# Measured and remembered: on the CPU, of a method there that has tiles, in place of the kernels.

SMALL = one_axis("", 300, 3, 2)
ROWS = ("512 rows", "256 rows", "128 rows")


class Tiled:
    """gemm, with tiles to choose from, which change nothing."""

    def __init__(self) -> None:
        self.ran: list[str | None] = []

    def tiles(self, task):
        return ROWS

    def refuse(self, task):
        if task.tile in (None, *ROWS):
            return None
        return f"its tiles for this are {', '.join(ROWS)}, not {task.tile!r}: measure again"

    def cost(self, task):
        return gemm.cost(task)

    def spreads(self, task):
        return gemm.spreads(task)

    def dgrad(self, x, w, task):
        self.ran.append(task.tile)
        return gemm.dgrad(x, w, task)

    def fprop(self, y, w, task):
        return gemm.fprop(y, w, task)

    def wgrad(self, x, y, task):
        return gemm.wgrad(x, y, task)


@pytest.fixture(scope="module")
def tiled():
    """This method, by the name of the kernels."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(ALGORITHMS, "pallas", method := Tiled())
        jax.clear_caches()
        yield method
    jax.clear_caches()


@pytest.fixture(scope="module")
def tuning(tiled):
    """Of one call by name: its tiles are what there is to measure."""
    x, w = jnp.ones(SMALL.x_shape), jnp.ones(SMALL.w_shape)
    return jtconv.tune(jtconv.conv_transpose, x, w, method="pallas", **SMALL.keywords)


def favouring(tuning, tile, method="pallas"):
    """The same tuning, had ``tile`` been the fastest."""
    rows = {
        name: (*timings, Timing(method, 1e-9, tile=tile)) for name, timings in tuning.rows.items()
    }
    return Tuning(rows, tuning.device, tuning.version)


def test_every_tile_is_a_candidate(tuning):
    (timings,) = tuning.rows.values()
    tiles = [t.tile for t in timings if t.method == "pallas"]
    assert tiles == list(ROWS)
    assert all(t.tile is None for t in timings if t.method != "pallas")
    assert all(t.seconds for t in timings if t.method == "pallas")
    assert "pallas 256 rows" in str(tuning)


@pytest.mark.parametrize("method", ["pallas", "auto"])
def test_the_tile_measured_best_runs(method, tiled, tuning, rng):
    x, w, _ = (jnp.asarray(a) for a in SMALL.operands(rng))
    tiled.ran.clear()
    with favouring(tuning, "128 rows"):
        jtconv.conv_transpose(x, w, method=method, **SMALL.keywords)
        plan = jtconv.explain(x, w, method=method, **SMALL.keywords)
    assert set(tiled.ran) <= {"128 rows"}
    assert tiled.ran or method == "auto", "the second time it is compiled already"
    assert plan.sides[0].choice.tile == "128 rows"
    if method == "auto":
        assert plan.sides[0].choice.reason.endswith("in tiles of 128 rows")


def test_a_tile_that_is_none_is_refused_by_name(tuning, rng):
    x, w, _ = (jnp.asarray(a) for a in SMALL.operands(rng))
    wrong = pytest.raises(jtconv.Unsupported, match=r"256 rows.*not '7 rows': measure")
    with favouring(tuning, "7 rows"), wrong:
        jtconv.conv_transpose(x, w, method="pallas", **SMALL.keywords)


def test_auto_goes_on_to_the_rules_where_what_was_measured_refuses(tuning, rng):
    x, w, _ = (jnp.asarray(a) for a in SMALL.operands(rng))
    with favouring(tuning, "7 rows"):
        plan = jtconv.explain(x, w, **SMALL.keywords)
        jtconv.conv_transpose(x, w, **SMALL.keywords)
    assert plan.sides[0].choice.method != "pallas"


def test_what_refuses_is_watched_all_the_same():
    """Three channels are none of Hopper's tiles: the next name has its turn, tuning or not."""
    x, w = jnp.ones((1, 8, 3)), jnp.ones((2, 3, 4))
    run = jax.jit(lambda x, w: jtconv.conv_transpose(x, w, method=("pallas", "auto")))
    with jtconv.tune():
        run.trace(x, w).lower(lowering_platforms=("cuda",))


def test_tiles_are_kept_in_the_file(tuning):
    stored = json.loads(tuning.dumps())
    assert Tuning.loads(tuning.dumps()).rows == tuning.rows
    for row in stored["rows"].values():
        for timing in row:
            del timing["tile"]
    before = Tuning.loads(json.dumps(stored | {"jtconv_tuning": 1}))
    assert before.rows.keys() == tuning.rows.keys(), "files of before still load"
    with pytest.raises(ValueError, match="format 3, of a later jtconv; here 2"):
        Tuning.loads(json.dumps(stored | {"jtconv_tuning": 3}))


def test_a_task_is_known_whatever_its_tile():
    task = task_of(SMALL, "dgrad", "float32")
    assert key(task) == key(replace(task, tile="128 rows"))
