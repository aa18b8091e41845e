"""A slice of the fuzzer's cases, and that it can find: ``python -m tests.fuzz`` runs more."""

from __future__ import annotations

import random

import pytest

from tests import fuzz, fuzz_case
from tests.cases import Case
from tests.selection import exhaustive

SMALL = Case("k2", (3,), (2,), (2,), (1,), ((0, 0),))


@pytest.mark.parametrize(
    ("seed", "count"), [(11, 10), pytest.param(12, 150, marks=exhaustive)], ids=["some", "many"]
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
    assert small.line().startswith("jtconv.")


def test_a_wrong_number_is_noticed(monkeypatch):
    assert fuzz_case.trouble(SMALL, "conv_transpose", "auto", "float32") is None
    loop = fuzz_case.oracle.conv
    monkeypatch.setattr(fuzz_case.oracle, "conv", lambda *arrays: loop(*arrays) + 1)
    found = fuzz_case.trouble(SMALL, "conv_transpose", "auto", "float32")
    assert found == "wrong gradient by the input"


def test_a_process_that_ends_is_told_and_begun_anew():
    with fuzz.Worker() as worker:
        assert worker.trouble(fuzz.Fuzzed(SMALL)) is None
        assert worker.process is not None
        worker.process.kill()
        worker.process.wait()
        assert worker.trouble(fuzz.Fuzzed(SMALL)) == "the process ended with -9"
        assert worker.trouble(fuzz.Fuzzed(SMALL)) is None
