"""The static choice: never the slowest method, and none that holds memory out of proportion."""

from __future__ import annotations

import itertools

import jax.numpy as jnp
import pytest

from bench.cases import CASES
from jtconv.dispatch import choose, rules
from jtconv.problem.geometry import Geometry
from jtconv.problem.task import Task

SINGLE = jnp.dtype("float32")


def a_task(side, space, channels, kernel, stride, batch=1):
    rank = len(space)
    geometry = Geometry.of(space, (kernel,) * rank, (stride,) * rank)
    return Task(side, geometry, batch, channels[0], channels[1], SINGLE, SINGLE)


@pytest.mark.parametrize("side", ["dgrad", "fprop", "wgrad"])
def test_nobody_is_left_to_the_scatter(side):
    kernels, strides = (1, 2, 3, 5, 8, 9, 16, 31), (1, 2, 3, 4)
    spaces, channels = ((4096,), (32, 32), (8, 8, 8)), ((3, 64), (64, 3), (64, 64))
    for space, pair, kernel, stride in itertools.product(spaces, channels, kernels, strides):
        if len(space) < 3 or kernel < 16:
            task = a_task(side, space, pair, kernel, stride)
            assert choose.automatic(task).method != "scatter", task


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_memory_stays_in_proportion(case):
    for side in ("dgrad", "fprop", "wgrad"):
        geometry, batch = case.geometry("small"), case.small[0]
        task = Task(side, geometry, batch, case.channels[0], case.channels[1], SINGLE, SINGLE)
        spent = choose.cost(choose.automatic(task).method, task)
        assert not rules.holds_too_much(task, spent)


def test_a_method_that_holds_too_much_is_passed_over(monkeypatch):
    """Patches of nine taps of 256 channels, for three: the next rule has its turn."""
    task = a_task("fprop", (4096,), (256, 3), 9, 1, batch=4)
    assert choose.automatic(task).method != "phases"
    monkeypatch.setattr(rules, "MOST_TIMES", 10**6)
    assert choose.automatic(task).method == "phases"
