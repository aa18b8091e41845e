"""Which method runs: a static function of side, shape, dtype and platform, with its reason."""

from __future__ import annotations

from dataclasses import dataclass

from jtconv.methods import METHODS, Cost, Task, Unsupported


@dataclass(frozen=True)
class Choice:
    """The method chosen for one task, and why."""

    method: str
    reason: str


def refusal(name: str, task: Task) -> str | None:
    """Why method ``name`` cannot do ``task``; None where it can."""
    return METHODS[name].refuse(task)


def cost(name: str, task: Task) -> Cost:
    """What method ``name`` would spend on ``task``."""
    return METHODS[name].cost(task)


def choose(wanted: tuple[str, ...], task: Task) -> Choice:
    """The first of ``wanted`` that can do the task; ``auto`` among them always can."""
    refusals = []
    for name in wanted:
        if name == "auto":
            return automatic(task)
        why_not = refusal(name, task)
        if why_not is None:
            return Choice(name, "asked for")
        refusals.append(f"{name}: {why_not}")
    raise Unsupported(
        f"method {' or '.join(map(repr, wanted))} cannot do this {task.side}: "
        f"{'; '.join(refusals)}. Use method='auto', or name another of {', '.join(METHODS)}."
    )


def automatic(task: Task) -> Choice:
    """The static rules, first match first."""
    for name, reason in _preferences(task):
        if refusal(name, task) is None:
            return Choice(name, reason)
    return Choice("dilated", "every other method refuses")


def _preferences(task: Task):
    if task.platform != "cpu":
        yield "dilated", "the form accelerators' compilers know"
    if task.depth * task.width <= 4:
        yield "taps", "groups too thin for a matrix product"
    if task.side == "fprop" and task.groups == 1 and not task.is_half and len(task.geometry) == 2:
        yield "dilated", "a strided convolution is what the library does best"
    yield "gemm", "one product, one pass"
    yield "phases", "no zeros multiplied"
