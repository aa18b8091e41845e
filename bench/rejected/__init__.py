"""Ideas that were measured and rejected, kept so that anybody can measure them again.

    python -m bench.rejected

prints the times and errors of each next to those of the form it was meant to beat.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench import timing
from bench.program import Array, JaxProgram

ROUNDS = 15
BUDGET_S = 5.0


@dataclass(frozen=True)
class Trial:
    """One form of a problem: its times as :func:`bench.timing.summary` has them, and its error.

    ``error`` is the largest difference to the answer in float64, relative to the largest number.
    """

    problem: str
    form: str
    times: dict[str, float | int]
    error: float


def measure(
    problem: str, forms: dict[str, Callable[..., Any]], operands: tuple[Any, ...], exact: Array
) -> list[Trial]:
    """Every form on the same operands, taking turns."""
    runners = [_runner(name, form, operands, exact) for name, form in forms.items()]
    timing.interleave(runners, ROUNDS, BUDGET_S)
    return [Trial(problem, r.variant, timing.summary(r.times), r.errors["answer"]) for r in runners]


def _runner(
    name: str, form: Callable[..., Any], operands: tuple[Any, ...], exact: Array
) -> timing.Runner:
    program = JaxProgram(
        lambda *some: (form(*some),), [operands], lambda outputs: {"answer": outputs[0]}
    )
    got = program.answers(program.call(0))["answer"]
    error = float(np.abs(got - exact).max() / np.abs(exact).max())
    return timing.Runner(name, name, program, {"answer": error}, 0.0)
