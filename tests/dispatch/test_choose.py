"""The choice on CPUs: rules, and a model that checks them, in bounds of memory and compiling."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import jax.numpy as jnp
import pytest
from jax import lax

from bench.cases import CASES
from jtconv.algorithms import ALGORITHMS
from jtconv.algorithms.algorithm import Modelled
from jtconv.algorithms.common.work import TERMS
from jtconv.dispatch import choose, model, rules
from jtconv.dispatch.rates import TABLE
from jtconv.problem.geometry import Geometry
from jtconv.problem.task import Side, Task

SINGLE, HALF = jnp.dtype("float32"), jnp.dtype("bfloat16")
SIDES: tuple[Side, ...] = ("dgrad", "fprop", "wgrad")


def a_task(side, space, channels, kernel, stride=1, batch=1, groups=1, dilation=1, dtype=SINGLE):
    kernel, stride, dilation = ((n,) * len(space) for n in (kernel, stride, dilation))
    geometry = Geometry.of(space, kernel, stride, dilation, groups=groups)
    return Task(side, geometry, batch, channels[0], channels[1], dtype, dtype)


VARIOUS = [
    a_task(side, space, channels, kernel, stride, groups=groups, dilation=dilation, batch=batch)
    for side, space, (channels, groups), kernel, (stride, dilation), batch in itertools.product(
        SIDES,
        ((64,), (9, 8), (4, 5, 3)),
        (((3, 64), 1), ((64, 2), 1), ((32, 32), 32), ((16, 32), 4)),
        (1, 2, 5),
        ((1, 1), (2, 1), (1, 2), (3, 2)),
        (0, 2),
    )
]


def test_every_quantity_has_a_rate_and_every_amount_is_one():
    """Of all that may be chosen, empty batches and four axes too."""
    known = {name for group in TABLE.values() for name in group} | {TERMS}
    four = [a_task(side, (3, 2, 3, 2), (4, 4), 2) for side in SIDES]
    for task in (*VARIOUS, *four):
        for name in model.CANDIDATES:
            algorithm = ALGORITHMS[name]
            assert isinstance(algorithm, Modelled)
            if algorithm.refuse(task) is None:
                work = algorithm.work(task)
                assert work.keys() <= known, (name, work.keys() - known)
                assert all(amount >= 0 and math.isfinite(amount) for amount in work.values())


@pytest.mark.parametrize("side", SIDES)
def test_no_rule_leaves_anybody_to_the_scatter(side):
    kernels, strides = (1, 2, 3, 5, 8, 9, 16, 31), (1, 2, 3, 4)
    spaces, channels = ((4096,), (32, 32), (8, 8, 8)), ((3, 64), (64, 3), (64, 64))
    for space, pair, kernel, stride in itertools.product(spaces, channels, kernels, strides):
        if len(space) < 3 or kernel < 16:
            task = a_task(side, space, pair, kernel, stride)
            assert choose.ruled(task).method != "scatter", task


def test_a_rule_holds_unless_the_model_has_something_far_faster():
    overruled, some = 0, VARIOUS[::5]
    for task in some:
        first, *others = model.ranked(task)
        assert all(first.seconds <= model.DRAW * other.seconds for other in others)
        seconds = {e.method: e.seconds for e in (first, *others)}
        rule, chosen = choose.ruled(task).method, choose.automatic(task).method
        assert chosen in (rule, first.method)
        if seconds.get(rule, math.inf) < choose.CLEAR * first.seconds:
            assert chosen == rule
        elif chosen != "fft":
            assert chosen == first.method
            overruled += 1
    assert 0 < overruled < len(some) / 2


def test_of_two_that_draw_the_simpler_is_taken(monkeypatch):
    times = {"gemm": 1.0, "phases": 0.97, "dilated": 1.2}
    monkeypatch.setattr(
        model, "estimate", lambda name, task: model.Estimate(name, times.get(name, 9.0), ())
    )
    task = a_task("dgrad", (64,), (3, 64), 4, 2)
    assert model.ranked(task)[0].method == "gemm"
    times["phases"] = 0.9
    assert model.ranked(task)[0].method == "phases"


def test_the_reason_tells_the_time_what_it_goes_to_and_what_the_rule_would_take(monkeypatch):
    times = {"gemm": 2e-3, "phases": 1e-3}
    spent = (("copies", 5e-4), ("calls", 1e-4), ("matrix products", 4e-4))
    monkeypatch.setattr(
        model, "estimate", lambda name, task: model.Estimate(name, times.get(name, 9.0), spent)
    )
    task = a_task("dgrad", (64,), (64, 16), 4, 2)
    assert choose.ruled(task).method == "gemm"
    assert choose.automatic(task).reason == (
        "modelled 1 ms: copies 0.5, matrix products 0.4, calls 0.1; gemm, by the rules, 2 ms"
    )
    times["phases"] = 1.4e-3
    assert choose.automatic(task) == choose.ruled(task)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_memory_stays_in_proportion(case):
    for side in SIDES:
        geometry, batch = case.geometry("small"), case.small[0]
        task = Task(side, geometry, batch, case.channels[0], case.channels[1], SINGLE, SINGLE)
        spent = choose.cost(choose.automatic(task).method, task)
        assert not rules.holds_too_much(task, spent)


def test_a_method_that_holds_too_much_is_passed_over_by_rules(monkeypatch):
    """Patches of nine taps of 256 channels, for three: the next rule has its turn."""
    task = a_task("fprop", (4096,), (256, 3), 9, 1, batch=4)
    assert choose.ruled(task).method != "phases"
    monkeypatch.setattr(rules, "MOST_TIMES", 10**6)
    assert choose.ruled(task).method == "phases"


def test_a_method_that_holds_too_much_is_passed_over_by_the_model(monkeypatch):
    task = a_task("dgrad", (64, 64), (64, 64), 3)
    first = model.ranked(task)[0]
    held = {first.method: 10**12}

    def holds_too_much(task, cost):
        return cost.temporary_bytes >= 10**12

    monkeypatch.setattr(model, "holds_too_much", holds_too_much)
    real = ALGORITHMS[first.method].cost
    monkeypatch.setattr(
        ALGORITHMS[first.method],
        "cost",
        lambda task: replace(real(task), temporary_bytes=held[first.method]),
    )
    assert first.method not in {e.method for e in model.ranked(task)}


def test_nothing_is_chosen_that_compiles_for_long():
    for side in SIDES:
        for task in (
            a_task(side, (12, 12), (64, 2), 48),
            a_task(side, (6, 6, 6), (16, 32), 8, dilation=2),
            a_task(side, (5, 5), (16, 64), 60, 9),
            a_task(side, (7, 7), (64, 64), 28, groups=64),
        ):
            chosen = ALGORITHMS[choose.automatic(task).method]
            assert isinstance(chosen, Modelled)
            assert chosen.work(task).get(TERMS, 0) <= model.MOST_TERMS


def test_16_bit_floats_have_rates_of_their_own():
    single, half = (a_task("dgrad", (32, 32), (64, 64), 3, dtype=d) for d in (SINGLE, HALF))
    assert model.estimate("gemm", single).seconds != model.estimate("gemm", half).seconds


def test_transforms_are_for_many_taps_a_clear_margin_and_no_precision():
    task = a_task("dgrad", (60, 60), (1, 1), 40)
    assert choose.automatic(task).method == "fft"
    asked = replace(task, precision=lax.Precision.HIGHEST)
    assert choose.automatic(asked).method != "fft"
    assert choose.static(task, without=("fft",)).method != "fft"
    few = a_task("dgrad", (600, 600), (1, 1), 15)
    assert choose.automatic(few).method != "fft"
