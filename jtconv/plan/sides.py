"""The sides of a call: the operation and its two gradients, each by every method."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import jax.numpy as jnp

from jtconv.choose import Choice, choose, cost, platform, refusal, task_of
from jtconv.methods import METHODS, Cost, Side, Task
from jtconv.request import Op, Request
from jtconv.tuning import timings

# What each operation computes, and then its two gradients: by the input and by the kernel.
SIDES: dict[Op, tuple[Side, Side, Side]] = {
    "conv_transpose": ("dgrad", "fprop", "wgrad"),
    "conv": ("fprop", "dgrad", "wgrad"),
}
_ROLES = ("forward", "gradient by x", "gradient by w")


@dataclass(frozen=True)
class MethodRow:
    """One method on one side: what it would cost, or why it cannot; its time where measured."""

    method: str
    refusal: str | None
    cost: Cost | None
    seconds: float | None = None


@dataclass(frozen=True)
class SidePlan:
    """One side of a call: what is chosen, why, and what else there is."""

    role: str
    side: Side
    choice: Choice
    rows: tuple[MethodRow, ...]

    @property
    def is_timed(self) -> bool:
        """Whether any method was measured."""
        return any(row.seconds is not None for row in self.rows)


def forward_task(asked: Request, dtype: Any, precision: Any, result: str) -> Task:
    """The operation itself as a task."""
    return task_of(asked, SIDES[asked.op][0], dtype, result, precision, platform())


def side_plans(
    asked: Request, wanted: tuple[str, ...], forward: Task, time: bool
) -> tuple[SidePlan, ...]:
    """The plan of the operation and of its gradients, by x and by w."""
    return tuple(_side_plan(asked, role, wanted, forward, time) for role in range(3))


def _side_plan(
    asked: Request, number: int, wanted: tuple[str, ...], forward: Task, time: bool
) -> SidePlan:
    side = SIDES[asked.op][number]
    task = replace(forward, side=side)
    if number:  # a cotangent has the dtype of the result, its gradient that of the operand
        common = jnp.promote_types(forward.dtype, forward.result_dtype)
        task = replace(task, dtype=common, result_dtype=forward.dtype)
    fastest: dict[str, float] = {}
    for t in timings(task) if time else ():
        if t.seconds is not None:
            fastest[t.method] = min(t.seconds, fastest.get(t.method, t.seconds))
    rows = tuple(_row(name, task, fastest.get(name)) for name in METHODS)
    return SidePlan(_ROLES[number], side, choose(wanted, task), rows)


def _row(name: str, task: Task, seconds: float | None) -> MethodRow:
    why_not = refusal(name, task)
    return MethodRow(name, why_not, None if why_not else cost(name, task), seconds)
