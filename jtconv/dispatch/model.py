"""The model that checks the rules on CPUs: the algorithm whose modelled time is the least.

Each algorithm says what it does (`common.work`), `rates` says what each of these takes, and the sum
is its time.  Rates are fitted to layers drawn at random, so that nobody's layers are favoured
(``python -m bench --fit``), and the choice is judged on others (``python -m bench --regret``).
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass

from jtconv.algorithms import ALGORITHMS
from jtconv.algorithms.algorithm import Modelled
from jtconv.algorithms.common.work import TERMS, Work
from jtconv.dispatch.rates import TABLE
from jtconv.dispatch.rules import DEFAULT_PRECISION, MANY_TAPS, holds_too_much
from jtconv.problem.task import Task

# What may be chosen, the simpler first: of those that draw, the first is taken.
CANDIDATES = ("dilated", "gemm", "phases", "taps", "vjp", "scatter", "fold", "dense", "fft")
DRAW = 1.05

# Forms of XLA's convolution whose times no model tells: they vary a hundredfold from one layer to
# the next, and something else is always faster.
UNTOLD = {
    "plain loop, products",
    "kernel gradient in groups, products",
    "swapped operands, products",
}

# XLA takes some 3 s to compile so many terms.
MOST_TERMS = 200

# Transforms are taken where all else takes so many times as long.
CLEAR = 8.0

_RATES = {
    quantity: (word, rates) for word, group in TABLE.items() for quantity, rates in group.items()
}


@dataclass(frozen=True)
class Estimate:
    """A method's modelled seconds, and on what they are spent."""

    method: str
    seconds: float
    parts: tuple[tuple[str, float], ...]

    def __str__(self) -> str:
        """In milliseconds, with the three largest parts."""
        largest = sorted(self.parts, key=lambda part: -part[1])[:3]
        parts = ", ".join(f"{word} {milliseconds(part)}" for word, part in largest)
        return f"{milliseconds(self.seconds)} ms: {parts}"


def milliseconds(seconds: float) -> str:
    """Two digits are more than a model knows."""
    return f"{float(f'{seconds * 1e3:.2g}'):g}"


def estimate(method: str, task: Task) -> Estimate:
    """What ``method``, one of those that may be chosen, would take."""
    parts: dict[str, float] = {}
    for quantity, amount in _work(method, task).items():
        if quantity != TERMS:
            word, (single, half) = _RATES[quantity]
            spent = amount * (half if task.is_half else single) * 1e-9
            parts[word] = parts.get(word, 0.0) + spent
    return Estimate(method, sum(parts.values()), tuple(parts.items()))


def ranked(task: Task, without: Collection[str] = ()) -> list[Estimate]:
    """The estimates of all that can do ``task`` in bounds, the one to choose first.

    Where none is in bounds, of all that can do it.
    """
    able = [name for name in CANDIDATES if name not in without and _is_one(name, task)]
    kept = [name for name in able if not _is_out_of_bounds(name, task)]
    exact = [name for name in kept if name != "fft"]
    estimates = [estimate(name, task) for name in exact or able if name != "fft"]
    estimates.sort(key=lambda e: e.seconds)
    if "fft" in kept:
        transforms = estimate("fft", task)
        if _is_case_for_transforms(task, estimates[0].seconds / transforms.seconds):
            return [transforms, *estimates]
    drawn = [e for e in estimates if e.seconds <= DRAW * estimates[0].seconds]
    first = min(drawn, key=lambda e: CANDIDATES.index(e.method))
    return [first, *(e for e in estimates if e is not first)]


def _work(method: str, task: Task) -> Work:
    algorithm = ALGORITHMS[method]
    return algorithm.work(task) if isinstance(algorithm, Modelled) else {}


def _is_one(method: str, task: Task) -> bool:
    """Whether it can do ``task``, and not by the very program of "dilated"."""
    same = (method, task.side) == ("vjp", "fprop") or (method, task.groups) == ("dense", 1)
    return not same and ALGORITHMS[method].refuse(task) is None


def _is_out_of_bounds(method: str, task: Task) -> bool:
    """Whether it would hold too much, compile for too long, or take nobody knows how long."""
    if holds_too_much(task, ALGORITHMS[method].cost(task)):
        return True
    work = _work(method, task)
    return work.get(TERMS, 0) > MOST_TERMS or not UNTOLD.isdisjoint(work)


def _is_case_for_transforms(task: Task, faster: float) -> bool:
    """Whether transforms are worth what they do to small numbers and to infinities.

    They spread what is not finite and round relative to the largest numbers, so they are for
    kernels of very many taps, where all else would take some eight times as long, and for nobody
    who asked for a precision.
    """
    many = math.prod(task.geometry.kernel) >= MANY_TAPS
    return many and task.precision in DEFAULT_PRECISION and faster >= CLEAR
