"""Two ways to one answer, timed in turn and held against float64."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench import timing
from bench.program import JaxProgram

ROUNDS = 15
BUDGET_S = 5.0


@dataclass(frozen=True)
class Trial:
    """One way of doing a problem: its times as :func:`bench.timing.summary` has them, and error.

    ``error`` is the largest difference to the answer in float64, in units of the largest number.
    """

    problem: str
    way: str
    times: dict[str, float | int]
    error: float


def race(
    problem: str, ways: dict[str, Callable[..., Any]], operands: tuple, exact: np.ndarray
) -> list[Trial]:
    """Every way on the same operands, in turn, so that noise of the machine falls on all alike."""
    runners = [_runner(name, way, operands, exact) for name, way in ways.items()]
    timing.race(runners, ROUNDS, BUDGET_S)
    return [Trial(problem, r.way, timing.summary(r.times), r.errors["answer"]) for r in runners]


def _runner(
    name: str, way: Callable[..., Any], operands: tuple, exact: np.ndarray
) -> timing.Runner:
    program = JaxProgram(
        lambda *some: (way(*some),), [operands], lambda outputs: {"answer": outputs[0]}
    )
    got = program.answers(program.call(0))["answer"]
    error = float(np.abs(got - exact).max() / np.abs(exact).max())
    return timing.Runner(name, name, program, {"answer": error}, 0.0)
