"""A rule: one line of the static choice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from jtconv.problem.task import Side, Task


@dataclass(frozen=True)
class Rule:
    """One line of the static choice: on these platforms and sides, when this holds."""

    method: str
    when: Callable[[Task], bool]
    reason: str
    sides: tuple[Side, ...] = ("dgrad", "fprop", "wgrad")
    platforms: tuple[str, ...] = ("cpu",)

    def fits(self, task: Task) -> bool:
        """Whether this rule applies to ``task``."""
        return task.platform in self.platforms and task.side in self.sides and self.when(task)
