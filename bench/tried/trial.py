"""Two ways to one answer, timed in turn and held against float64."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

ROUNDS = 15
CALLS = 5


@dataclass(frozen=True)
class Trial:
    """One way of doing a problem: seconds a call, their 10th and 90th percentile, and error.

    ``error`` is the largest difference to the answer in float64, in units of the largest number.
    """

    problem: str
    way: str
    median: float
    spread: tuple[float, float]
    error: float


def race(
    problem: str, ways: dict[str, Callable[..., Any]], operands: tuple, exact: np.ndarray
) -> list[Trial]:
    """Every way on the same operands, in turn, so that noise of the machine falls on all alike."""
    compiled = {name: jax.jit(way).lower(*operands).compile() for name, way in ways.items()}
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, program in compiled.items():
            jax.block_until_ready(program(*operands))
            for _ in range(CALLS):
                start = time.perf_counter()
                jax.block_until_ready(program(*operands))
                times[name].append(time.perf_counter() - start)
    return [_trial(problem, name, times[name], compiled[name](*operands), exact) for name in ways]


def _trial(problem: str, way: str, times: list[float], got: Any, exact: np.ndarray) -> Trial:
    low, middle, high = np.percentile(times, (10, 50, 90))
    error = np.abs(np.asarray(got, np.float64) - exact).max() / np.abs(exact).max()
    return Trial(problem, way, float(middle), (float(low), float(high)), float(error))
