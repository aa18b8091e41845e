"""How long every method takes for one task, and every tile of a method that has several."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np

from jtconv.choose import refusal, tiles
from jtconv.methods import METHODS, Task

# Seconds that the runs of one candidate may take.  One whose first run alone takes that long,
# and so many times the best so far, is not run again.
BUDGET_S = 0.2
HOPELESS = 5.0

Operands = tuple[jax.Array, jax.Array]


@dataclass(frozen=True)
class Timing:
    """One candidate on one task: median seconds, or why there are none.

    A method that can cut the task up in several ways is so many candidates, told apart by ``tile``.
    """

    method: str
    seconds: float | None
    trouble: str | None = None
    tile: str | None = None


def timings(task: Task) -> Iterable[Timing]:
    """Every candidate's time; one whose first run is hopeless is not run again."""
    operands, best = _operands(task), float("inf")
    for method in METHODS:
        why_not = refusal(method, task)
        if why_not is not None:
            yield Timing(method, None, why_not)
            continue
        for tile in tiles(method, task):
            timing = _timing(method, replace(task, tile=tile), operands, best)
            best = min(best, timing.seconds or best)
            yield timing


def _operands(task: Task) -> Operands:
    g, rng = task.geometry, np.random.default_rng(0)
    shapes = {
        "x": (task.batch, *g.input, task.channels),
        "y": (task.batch, *g.output, task.out_channels),
        "w": (*g.kernel, task.depth, task.out_channels),
    }
    names = {"dgrad": "xw", "fprop": "yw", "wgrad": "xy"}[task.side]
    a, b = (jnp.asarray(rng.normal(size=shapes[name]) * 8, task.dtype) for name in names)
    return a, b


def _timing(method: str, task: Task, operands: Operands, best: float) -> Timing:
    try:
        return Timing(method, _seconds(method, task, operands, best), tile=task.tile)
    except Exception as error:  # a failed candidate is a row, whatever failed
        return Timing(method, None, f"{type(error).__name__}: {error}"[:200], task.tile)


def _seconds(method: str, task: Task, operands: Operands, best: float) -> float:
    def compute(a: jax.Array, b: jax.Array) -> jax.Array:
        return getattr(METHODS[method], task.side)(a, b, task).astype(task.result_dtype)

    run = jax.jit(compute).lower(*operands).compile()
    first = _once(run, operands)  # cold: threads start, pages are touched
    if first > max(HOPELESS * best, BUDGET_S):
        return first
    times = [_once(run, operands)]
    while sum(times) < BUDGET_S and len(times) < 100:
        times.append(_once(run, operands))
    return statistics.median(times)


def _once(run: Callable[..., jax.Array], operands: Operands) -> float:
    start = time.perf_counter()
    run(*operands).block_until_ready()
    return time.perf_counter() - start
