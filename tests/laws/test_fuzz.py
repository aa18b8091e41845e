"""A slice of the fuzzer's cases, and that it can find: ``python -m tests.fuzz`` runs more."""

from __future__ import annotations

import random

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jtconv
from tests import fuzz, fuzz_case
from tests.cases import Case
from tests.compare import assert_close
from tests.selection import exhaustive

SMALL = Case("k2", (3,), (2,), (2,), (1,), ((0, 0),))


@pytest.mark.parametrize(
    ("seed", "count"), [(11, 20), pytest.param(12, 1000, marks=exhaustive)], ids=["some", "many"]
)
def test_random_problems(seed, count):
    assert [f"{small.line()}: {trouble}" for small, trouble in fuzz.failures(seed, count)] == []


def test_a_failing_case_is_made_small():
    class Worker(fuzz.Worker):
        """Finds fault with every kernel of two cells or more."""

        def trouble(self, fuzzed):
            return "wrong value" if max(fuzzed.case.kernel) > 1 else None

    chance = random.Random(3)
    drawn = next(
        case for case in iter(lambda: fuzz.draw(chance), None) if max(case.case.kernel) > 1
    )
    small = fuzz.shrunk(Worker(), drawn)
    assert (small.case.kernel, small.dtype, small.case.groups) == ((2,), "float32", 1)
    assert small.line().startswith("jax.jit(")


@pytest.mark.parametrize("asked", fuzz.ASKED)
def test_a_wrong_number_is_noticed_and_what_is_printed_can_be_run(asked, monkeypatch):
    fuzzed = fuzz.Fuzzed(SMALL, asked=asked)
    assert fuzz_case.trouble(fuzzed) is None
    x, w, y = (np.ones(shape) for shape in (SMALL.x_shape, SMALL.w_shape, SMALL.y_shape))
    name, sides = fuzz.ASKED[asked][1][0], fuzz_case.sides(fuzzed)
    arrays, side = {"there": (x, w), "back": (y, w), "kernel": (x, y)}[name], sides[name]
    printed = eval(fuzzed.line(), {"jax": jax, "jnp": jnp, "jtconv": jtconv})
    assert_close(printed, side(*arrays))
    monkeypatch.setattr(
        fuzz_case, "sides", lambda _: dict.fromkeys(sides, lambda *operands: side(*arrays) + 1)
    )
    assert fuzz_case.trouble(fuzzed) == f"wrong {asked}"


def test_a_process_that_ends_is_told_and_begun_anew():
    with fuzz.Worker() as worker:
        assert worker.trouble(fuzz.Fuzzed(SMALL)) is None
        assert worker.process is not None
        worker.process.kill()
        worker.process.wait()
        assert worker.trouble(fuzz.Fuzzed(SMALL)) == "the process ended with -9"
        assert worker.trouble(fuzz.Fuzzed(SMALL)) is None
