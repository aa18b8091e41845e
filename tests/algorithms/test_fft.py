"""fft: its lengths, its error bound, what it does to infinities, and when it is chosen."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export

import jtconv
from jtconv.algorithms import ALGORITHMS, fft
from jtconv.algorithms.common import circles
from jtconv.dispatch import choose
from jtconv.problem.geometry import Axis, Geometry
from jtconv.problem.task import SIDES, Task
from tests import oracle
from tests.cases import BY_NAME, one_axis
from tests.compare import assert_close
from tests.selection import rows

SINGLE = jnp.dtype("float32")


def a_task(side, space, kernel, channels=(1, 1), crop=0, groups=1, stride=1, batch=1):
    rank = len(space)
    columns = (kernel,) * rank, (stride,) * rank, (1,) * rank, ((crop, crop),) * rank
    geometry = Geometry.of(space, *columns, groups)
    return Task(side, geometry, batch, channels[0], channels[1], SINGLE, SINGLE)


def test_fast_lengths_are_smooth_and_next():
    powers = itertools.product(*([p**n for n in range(10)] for p in (2, 3, 5, 7)))
    smooth = set(map(math.prod, powers))
    for n in range(1, 500):
        assert circles.fast_length(n) == min(m for m in smooth if m >= n)


@pytest.mark.parametrize("crops", [(0, 0), (7, 0), (0, 7), (3, 4), (-2, 9), (9, -5)])
def test_a_circle_is_as_long_as_no_overlap_reaches_the_result(crops):
    """By brute force: what else falls onto the same place of the circle is cropped."""
    axis = Axis.cropped(9, 8, lo=crops[0], hi=crops[1])
    cells = set(range(*circles.reached(axis)))
    assert cells == {m + axis.lo for m in range(axis.y_size)} & set(range(axis.full))

    def clean(length):
        others = set(range(axis.full)) - cells
        return not {p % length for p in cells} & {p % length for p in others}

    least = next(n for n in range(len(cells), 40) if n >= axis.x_size and clean(n))
    whole = next(iter(circles._candidates(axis)))
    assert whole.length == circles.fast_length(least)


def test_a_stride_does_not_multiply_what_is_transformed():
    for stride in (1, 4):
        (circle,) = circles.of(a_task("dgrad", (64,), 8 * stride, stride=stride))
        assert circle.length <= 72


def test_a_long_signal_is_cut_into_tiles_and_a_long_kernel_is_not():
    assert circles.of(a_task("dgrad", (2**16,), 64, (4, 4)))[0].tiles > 8
    assert circles.of(a_task("dgrad", (16384,), 4096))[0].tiles == 1


@pytest.mark.parametrize("side", ["dgrad", "fprop", "wgrad"])
@pytest.mark.parametrize("task", [((4096,), 64, (8, 8)), ((40, 40), 15, (4, 4))], ids=str)
def test_temporaries_are_no_more_than_it_says(task, side):
    task = a_task(side, *task)
    g = task.geometry
    sizes = {
        "x": (1, *g.x_size, task.x_channels),
        "y": (1, *g.y_size, task.y_channels),
        "w": (*g.kernel, task.x_channels, task.y_channels),
    }
    roles = {"dgrad": "xw", "fprop": "yw", "wgrad": "xy"}[side]
    operands = (jax.ShapeDtypeStruct(sizes[role], SINGLE) for role in roles)
    run = jax.jit(lambda a, b: getattr(fft, side)(a, b, task))
    analysis: Any = run.lower(*operands).compile().memory_analysis()
    held = analysis.temp_size_in_bytes
    assert 0.3 * fft.cost(task).temporary_bytes < held < 1.1 * fft.cost(task).temporary_bytes


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("kernel", rows({"33": (33,), "513": (513,)}, default=["33"]))
def test_the_error_bound(kernel, dtype, rng):
    """Next to numbers a million times as large: relative to the norms, in float32 at least."""
    case = one_axis("", 2000, kernel, channels=3)
    x, w, _ = (a.astype(dtype) for a in case.operands(rng, SINGLE))
    x[:, :50] *= 1e6
    got = jtconv.conv_transpose(x, w, method="fft", preferred_element_type="float32")
    x, w = x.astype(np.float64), w.astype(np.float64)
    error, eps = np.abs(got - oracle.conv_transpose(x, w, case)), jnp.finfo(jnp.float32).eps
    (circle,) = circles.of(a_task("dgrad", (2000,), kernel, (3, 3), batch=2))
    assert error.max() < eps * math.log2(circle.length) * np.linalg.norm(x) * np.linalg.norm(w)
    beyond = error[:, 50 + kernel :]  # of results that no large number is part of
    assert beyond.max() > 1e3 * eps * kernel


def test_complex_kernels_are_reversed_not_conjugated(rng):
    case = BY_NAME["grouped"]
    x, w, y = case.operands(rng, np.complex128)
    keywords = {"method": "fft", **case.keywords}
    _, pull = jax.vjp(lambda x, w: jtconv.conv_transpose(x, w, **keywords), x, w)
    assert_close(pull(jnp.asarray(y))[0], oracle.conv(y, w, case))
    assert_close(pull(jnp.asarray(y))[1], oracle.kernel_gradient(x, y, case))


def test_what_is_not_finite_spreads_as_far_as_it_says():
    x, w = np.ones((2, 20, 2)), np.ones((3, 1, 2))
    call = jax.jit(lambda x, w: jtconv.conv_transpose(x, w, groups=2, method="fft"))
    assert np.isfinite(call(x, w)).all()
    bad_x, bad_w = x.copy(), w.copy()
    bad_x[0, 3, 1], bad_w[0, 0, 1] = np.inf, np.nan
    assert np.isnan(call(bad_x, w)).all(axis=1).tolist() == [[False, True], [False, False]]
    assert np.isnan(call(x, bad_w)).all(axis=1).tolist() == [[False, True], [False, True]]
    assert np.isfinite(call(bad_x, w)[..., 0]).all()


@pytest.mark.parametrize("precision", [None, "default", "highest"])
def test_auto_takes_it_for_very_many_taps_where_no_precision_is_asked_for(precision):
    x, w = (jax.ShapeDtypeStruct(s, SINGLE) for s in ((1, 60, 60, 1), (40, 40, 1, 1)))
    for op in SIDES:
        plan = jtconv.explain(x, w, op=op, precision=precision, padding=20)
        for side in plan.sides:
            assert (side.choice.method == "fft") == (precision != "highest")
            assert "NaN spread" in side.choice.reason or precision == "highest"


@pytest.mark.parametrize("side", ["dgrad", "fprop", "wgrad"])
def test_auto_takes_it_where_arithmetic_says_so(side):
    def takes(*args, **keywords):
        return choose.automatic(a_task(side, *args, **keywords)).method == "fft"

    assert takes((64, 64), 31, (32, 32), crop=15, groups=32)
    assert takes((16384,), 4096)
    assert takes((128, 128), 65, crop=32)
    assert not takes((64, 64), 7, (32, 32), crop=3, groups=32)
    assert not takes((32, 32), 31, (16, 16), crop=15)
    assert not takes((8, 8), 64, (21, 21), groups=21, stride=32)


def test_explain_prints_what_to_know_of_its_numbers():
    x, w = jnp.ones((1, 9, 1)), jnp.ones((3, 1, 1))
    plan = jtconv.explain(x, w, verbose=True)
    notes = {row.method: row.note for row in plan.sides[0].rows if row.note}
    assert list(notes) == ["fft"]
    assert "eps of the norms" in notes["fft"]
    assert str(plan).count(f"fft: {notes['fft']}") == 3
    assert plan.as_dict()["sides"]["forward"]["methods"]["fft"]["note"] == notes["fft"]


@pytest.mark.parametrize("platform", ["cuda", "rocm", "tpu"])
def test_it_refuses_where_it_was_never_compiled(platform):
    task = replace(a_task("dgrad", (60, 60), 40), platform=platform)
    assert "on cpu only" in (ALGORITHMS["fft"].refuse(task) or "")
    assert choose.automatic(task).method != "fft"


def test_a_batch_may_be_symbolic(rng):
    case = BY_NAME["grouped"]
    x, w, y = case.operands(rng)
    (batch,) = export.symbolic_shape("b")

    def step(x, w, y):
        keywords = {"method": "fft", **case.keywords}
        out, pull = jax.vjp(lambda x, w: jtconv.conv_transpose(x, w, **keywords), x, w)
        return out, *pull(y)

    shapes = ((batch, *x.shape[1:]), w.shape, (batch, *y.shape[1:]))
    exported = export.export(jax.jit(step))(*(jax.ShapeDtypeStruct(s, x.dtype) for s in shapes))
    for got, want in zip(exported.call(x, w, y), step(x, w, jnp.asarray(y)), strict=True):
        assert_close(got, want)
