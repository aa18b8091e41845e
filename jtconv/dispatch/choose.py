"""Which method runs: a static function of side, shape, dtype and platform, with its reason."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any, Protocol, cast

import jax
import jax.numpy as jnp

from jtconv.algorithms import ALGORITHMS
from jtconv.algorithms.algorithm import Tunable, WithNote
from jtconv.devices import PLATFORMS
from jtconv.dispatch import model
from jtconv.dispatch.rules import RULES, holds_too_much
from jtconv.problem import arguments
from jtconv.problem.task import Cost, Task, Unsupported
from jtconv.typing import MethodName


@dataclass(frozen=True)
class Choice:
    """The method chosen for one task, why, and its block sizes where these are known."""

    method: str
    reason: str
    tile: str | None = None


def parse_method(method: Any) -> tuple[MethodName, ...]:
    """A method as a user writes it, as a tuple of known names."""
    names = (method,) if isinstance(method, str) else arguments.sequence(method)
    if not names:
        known = ", ".join(("auto", *ALGORITHMS))
        raise ValueError(
            f"method must be a name or a sequence of names of {known}; got {method!r}."
        )
    allowed = cast("tuple[MethodName, ...]", ("auto", *ALGORITHMS))
    return tuple(arguments.choice("method", name, allowed) for name in names)


# Rules give way to what by the model is so many times as fast: the model is wrong by a third at
# times, and the rules were measured on what people use.
CLEAR = 1.5

# The method whose code asks for no size, so that it can be exported for all of them.
ANY_SIZE = "dilated"


def refusal(name: str, task: Task) -> str | None:
    """Why method ``name`` cannot do ``task``; None where it can."""
    if task.geometry.is_symbolic and name != ANY_SIZE:
        numbers = f"it is written for sizes that are numbers, and {task.symbols} here are not"
        return f"{numbers} ({ANY_SIZE!r} takes any)"
    return ALGORITHMS[name].refuse(task)


def cost(name: str, task: Task) -> Cost:
    """What method ``name`` would spend on ``task``."""
    return ALGORITHMS[name].cost(task)


def note(name: str, task: Task) -> str | None:
    """What to know of the numbers that method ``name`` gives; None where that is nothing."""
    algorithm = ALGORITHMS[name]
    return algorithm.note(task) if isinstance(algorithm, WithNote) else None


def spreads(name: str, task: Task) -> str:
    """The operands of which method ``name`` may spread an infinity; whole numbers have none."""
    return ALGORITHMS[name].spreads(task) if jnp.issubdtype(task.dtype, jnp.inexact) else ""


def tiles(name: str, task: Task) -> tuple[str | None, ...]:
    """Block sizes that method ``name`` could take, its own choice first; None for no choice."""
    algorithm = ALGORITHMS[name]
    if isinstance(algorithm, Tunable) and refusal(name, task) is None:
        return algorithm.tiles(task) or (None,)
    return (None,)


def choose(wanted: tuple[str, ...], task: Task) -> Choice:
    """The first of ``wanted`` that can do the task; ``auto`` among them always can."""
    refusals = []
    for name in wanted:
        if name == "auto":
            return automatic(task)
        tile = _advised_tile(name, task)
        why_not = refusal(name, replace(task, tile=tile))
        if why_not is None:
            return Choice(name, "asked for", tile)
        refusals.append(_refused(name, task.side, task.platform, why_not))
    raise _unsupported(wanted, refusals)


def check_possible(wanted: tuple[str, ...], task: Task) -> None:
    """Refuse what no platform can do: which one a program is for is not known until it is lowered.

    The task's own platform is not looked at, and "auto", which can do everything, is not among the
    names.
    """
    refusals: list[str] = []
    for name in wanted:
        reasons: dict[str, list[str]] = {}
        for platform in (*PLATFORMS, "other"):
            why = refusal(name, replace(task, platform=platform))
            if why is None:
                return
            reasons.setdefault(why, []).append(platform)
        for why, platforms in reasons.items():
            where = "any platform" if len(reasons) == 1 else ", ".join(platforms)
            refusals.append(_refused(name, task.side, where, why))
    raise _unsupported(wanted, refusals)


def _refused(name: str, side: str, where: str, why: str) -> str:
    return f"method {name!r} cannot do this {side} on {where}: {why}"


def _unsupported(wanted: tuple[str, ...], refusals: list[str]) -> Unsupported:
    others = (name for name in ALGORITHMS if name not in wanted)
    return Unsupported(
        f"{'; '.join(refusals)}. Use method='auto', or name another of {', '.join(others)}."
    )


def keeps_infinities(wanted: tuple[str, ...], chosen: Choice, task: Task) -> bool:
    """Whether what the chosen method may spread is contained: by ``auto``, on a CPU.

    A method asked for by name is that method and nothing else. ``auto`` goes no further than
    XLA's own convolution, which is "dilated": where it has a library, that one spreads what is in
    the kernel of a padded convolution, too, and nothing of what is in y. The exception is the
    gradient by the kernel, where to contain what is in x took up to 1.6 times as long, and twice as
    long to compile. On accelerators a branch would wait for the host.
    """
    if "auto" not in wanted or chosen.method == "dilated" or task.platform != "cpu":
        return False
    further = chosen.method in ("taps", "fold", "dense")
    return task.side == "dgrad" or (task.side == "fprop" and further)


class Advisor(Protocol):
    """Who is asked before the static rules: a tuning, or one being recorded."""

    def advise(self, task: Task) -> str | None:
        """The method for ``task``, or None to leave it to the rules."""

    def tile(self, task: Task, method: str) -> str | None:
        """The block sizes of ``method`` for ``task``, or None to leave them to the method."""

    def seconds(self, task: Task, method: str) -> float | None:
        """What ``method`` took for ``task``, or None where that is not known."""


# Part of the key of jax.jit's caches: under another advisor a function is traced anew.
ADVISOR = jax.make_user_context(None)


def _advised_tile(method: str, task: Task) -> str | None:
    advisor: Advisor | None = ADVISOR.value
    return advisor.tile(task, method) if advisor else None


def advised(task: Task) -> Choice | None:
    """What the advisor says, if there is one that knows, of a method that can do it."""
    advisor: Advisor | None = ADVISOR.value
    method = advisor.advise(task) if advisor else None
    if method is None:
        return None
    tile = _advised_tile(method, task)
    if refusal(method, replace(task, tile=tile)) is not None:
        return None
    how = f", in tiles of {tile}" if tile else ""
    return Choice(method, f"measured fastest by the tuning in force{how}", tile)


def automatic(task: Task) -> Choice:
    """What the advisor says, else the static choice."""
    if task.geometry.is_symbolic:
        return Choice(ANY_SIZE, "the sizes are symbolic, and it takes any")
    return advised(task) or static(task)


def static(task: Task, without: Collection[str] = ()) -> Choice:
    """The choice by side, shape, dtype and platform alone: rules, which a model checks on CPUs."""
    choice = ruled(task, without)
    return checked(choice, task, without) if task.platform == "cpu" else choice


def checked(choice: Choice, task: Task, without: Collection[str] = ()) -> Choice:
    """``choice``, or what by the model takes far less time, or keeps in bounds."""
    if choice.method == "fft":
        return choice
    first, *others = model.ranked(task, without)
    by_rule = next((e for e in others if e.method == choice.method), None)
    if first.method == choice.method or (by_rule and by_rule.seconds < CLEAR * first.seconds):
        return choice
    other = f"{model.milliseconds(by_rule.seconds)} ms" if by_rule else "out of bounds"
    reason = f"modelled {first}; {choice.method}, by the rules, {other}"
    if note(first.method, task):
        reason += (
            " (errors are relative to the largest numbers, inf and NaN spread: name a method or a "
            "precision to do without)"
        )
    return Choice(first.method, reason)


def ruled(task: Task, without: Collection[str] = ()) -> Choice:
    """The first rule that fits, whose method can do the task in bounds."""
    least: Choice | None = None  # the first that holds too much, for want of a better one
    for rule in RULES:
        possible = rule.method not in without and refusal(rule.method, task) is None
        if possible and rule.fits(task):
            choice = Choice(rule.method, rule.reason)
            if not holds_too_much(task, cost(rule.method, task)):
                return choice
            least = least or choice
    return least or Choice("scatter", "no rule fits, and this can do everything")


def methods() -> tuple[MethodName, ...]:
    """The names of all methods, any of which ``method=`` takes.

    >>> print(*methods())
    dilated vjp scatter gemm phases taps dense fold fft matrix pallas
    """
    return cast("tuple[MethodName, ...]", tuple(ALGORITHMS))
