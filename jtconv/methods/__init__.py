"""The methods: one file an algorithm, each whole, none importing another.

A method is a module with five functions:

    refuse(task) -> str | None         why it cannot do this task, if it cannot
    cost(task) -> Cost                 what it would spend
    dgrad(x, w, task) -> y             the three sides of the trilinear form, on canonical
    fprop(y, w, task) -> x             arrays, summed in task.accumulator or wider
    wgrad(x, y, task) -> w

A method that can add a bias in the pass that writes its result has one more,
``biased(a, w, bias, task)``: dgrad or fprop, as the task says, plus the bias.

A method that can cut a task up in several ways has ``tiles(task)``: their names, its own choice
first. The one that ``task.tile`` names is taken.

``METHODS`` is the single list of them: its keys are the names users may give, the axis of the
tests and of the benchmarks, and the rows that ``explain`` prints.
"""

from __future__ import annotations

from types import ModuleType

from jtconv.methods import dilated, gemm, matrix, pallas, phases, scatter, taps, vjp
from jtconv.methods.task import NOMINAL_BATCH, Cost, Side, Task, Unsupported

METHODS: dict[str, ModuleType] = {
    "dilated": dilated,
    "vjp": vjp,
    "scatter": scatter,
    "gemm": gemm,
    "phases": phases,
    "taps": taps,
    "matrix": matrix,
    "pallas": pallas,
}

__all__ = ["METHODS", "NOMINAL_BATCH", "Cost", "Side", "Task", "Unsupported"]
