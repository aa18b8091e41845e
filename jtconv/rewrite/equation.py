"""One equation of a traced function: how it is read, what computes it and why."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax
from jax import lax
from jax.sharding import AxisType

from jtconv.algorithms.common.infinities import contained
from jtconv.dispatch import primitives
from jtconv.dispatch.choose import Choice, choose, cost, parse_method, ruled, spreads
from jtconv.dispatch.replacement import XLA, candidate, replacement
from jtconv.dispatch.tag import Compute, Equation
from jtconv.problem import dtypes
from jtconv.problem.reading import ARRAYS, Form, Move, Reading, readings
from jtconv.problem.task import ROLES, Task, Unsupported

# The tag of a function whose convolutions are replaced where that is faster. Any other tag is a
# method, or several, as ``method=`` takes them: what is inside the law is computed by that.
FASTER = "faster"
# A reading that makes this many times the useful products is not taken before the others are seen.
WASTEFUL = 2.0


@dataclass(frozen=True)
class Decision:
    """What computes an equation, and why; ``reading`` is None where it is left to XLA unread.

    ``gain`` is XLA's time over ours, the least and the most expected, where anything is known of
    it; ``spread`` the operands whose infinities the method might spread.
    """

    choice: Choice
    reading: Reading | None = None
    task: Task | None = None
    gain: tuple[float, float] | None = None
    spread: str = ""

    @property
    def is_left(self) -> bool:
        """Whether the equation stays XLA's."""
        return self.choice.method == XLA


def rule(equation: Equation, platform: str, tag: str) -> Compute | None:
    """What computes an equation that bears ``tag``; None to leave it to XLA."""
    decision = decide(equation, platform, tag)
    if decision.is_left or decision.reading is None:
        return None
    method, spread = decision.choice.method, decision.spread
    side = partial(_side, task=decision.task, method=method, spread=spread)
    return partial(_compute, reading=decision.reading, side=side)


def decide(equation: Equation, platform: str, tag: str) -> Decision:
    """Replace or leave, with the reason."""
    outside = _outside(equation)
    if outside is not None:
        return Decision(Choice(XLA, outside))
    found = readings(form_of(equation))
    if found and not any(map(_is_static, found)):
        return Decision(Choice(XLA, "symbolic sizes of channels"))
    found = [reading for reading in found if _is_static(reading)]
    if not found:
        why = "strides and both dilations above 1: no transposed convolution, nor a gradient of one"
        return Decision(Choice(XLA, why))
    tasks = [_task(reading, equation, platform) for reading in found]
    reading, task = _most_plausible(found, tasks)
    if tag == FASTER:
        ours = replacement(task, reading.form)
        is_left = ours.choice.method == XLA
        spread = "" if is_left else spreads(ours.choice.method, task)
        return Decision(ours.choice, reading, task, ours.gain, spread)
    try:
        return Decision(choose(parse_method(tag.split(",")), task), reading, task)
    except Unsupported as refusal:
        return Decision(Choice(XLA, str(refusal)), reading, task)


def _outside(equation: Equation) -> str | None:
    """Why an equation cannot be ours at all."""
    avals = equation.lhs, equation.rhs, equation.out
    rank = equation.lhs.ndim - 2
    if not 1 <= rank <= 4:
        return f"{rank} spatial axes; the algorithms have 1 to 4"
    for aval in avals:
        if aval.dtype.name not in dtypes.DTYPES:
            return f"dtype {aval.dtype.name}"
    if any(AxisType.Explicit in aval.sharding.mesh.axis_types for aval in avals):
        return "explicit shardings, which are XLA's own here"
    params = equation.params
    specs = params["dimension_numbers"]
    space = [a.shape[axis] for a, spec in zip(avals, specs, strict=True) for axis in spec[2:]]
    if not all(
        isinstance(n, int) for n in (*space, *(n for pad in params["padding"] for n in pad))
    ):
        return "symbolic sizes of space"
    if any(n == 0 for aval in avals for n in aval.shape):
        return "no numbers in it"
    return None


def form_of(equation: Equation) -> Form:
    """The integers of an equation."""
    params: Mapping[str, Any] = equation.params
    numbers: lax.ConvDimensionNumbers = params["dimension_numbers"]
    return Form(
        shapes=(equation.lhs.shape, equation.rhs.shape, equation.out.shape),
        specs=(tuple(numbers.lhs_spec), tuple(numbers.rhs_spec), tuple(numbers.out_spec)),
        strides=tuple(params["window_strides"]),
        lo=tuple(lo for lo, _ in params["padding"]),
        lhs_dilation=tuple(params["lhs_dilation"]),
        rhs_dilation=tuple(params["rhs_dilation"]),
        feature_groups=params["feature_group_count"],
        batch_groups=params["batch_group_count"],
    )


def _is_static(reading: Reading) -> bool:
    """Whether all sizes are numbers, but perhaps for the batch."""
    names = zip(reading.roles, ARRAYS, strict=True)
    shapes = [(role, reading.move(name).result) for role, name in names]
    return all(isinstance(n, int) for role, s in shapes for n in (s if role == "w" else s[1:]))


def _task(reading: Reading, equation: Equation, platform: str) -> Task:
    names = zip(reading.roles[:2], ("lhs", "rhs"), strict=True)
    shapes = {role: reading.move(name).result for role, name in names}
    dtype, result = equation.lhs.dtype, equation.out.dtype
    precision = dtypes.precision(equation.params["precision"])
    return Task.of(reading.side, reading.geometry, shapes, dtype, result, platform, precision)


def _most_plausible(found: list[Reading], tasks: list[Task]) -> tuple[Reading, Task]:
    """The likeliest reading that is computed without much waste, or else the one with least work.

    Useful products are the same in all of them.  An equation reads the same wherever it runs, so
    the work is that of a CPU's choice by rules: a TPU's may well waste some to fill its lanes, and
    a model's answers would change with its rates.
    """
    works = []
    for reading, task in zip(found, tasks, strict=True):
        on_cpu = replace(task, platform="cpu")
        works.append(cost(candidate(on_cpu, ruled).method, on_cpu).multiply_adds)
        if works[-1] <= WASTEFUL * task.multiply_adds:
            return reading, task
    least = works.index(min(works))
    return found[least], tasks[least]


def _compute(
    lhs: jax.Array, rhs: jax.Array, *, reading: Reading, side: Callable[..., jax.Array]
) -> jax.Array:
    """The equation by a side of the law: both operands made canonical, and the result back."""
    space = range(lhs.ndim - 2)
    if reading.flipped == "rhs":
        rhs = lax.rev(rhs, [reading.form.specs[1][2 + axis] for axis in space])
    arrays = {
        reading.roles[0]: _enter(lhs, reading.move("lhs")),
        reading.roles[1]: _enter(rhs, reading.move("rhs")),
    }
    out = side(*(arrays[role] for role in ROLES[reading.side][:2]))
    out = _leave(out, reading.move("out"))
    if reading.flipped == "out":
        out = lax.rev(out, [reading.form.specs[2][2 + axis] for axis in space])
    return out


@partial(jax.jit, static_argnames=("task", "method", "spread"))
def _side(a: jax.Array, b: jax.Array, task: Task, method: str, spread: str) -> jax.Array:
    """The side by ``method``; by the law where an operand whose infinities it may spread has one.

    The law makes nothing infinite that is finite by XLA, nor anything finite that it must not.
    """
    bind = getattr(primitives, task.side)
    result, precision = task.result_dtype.name, task.precision
    fast: jax.Array = bind(
        a, b, geometry=task.geometry, method=(method,), precision=precision, result=result
    )
    return contained(lambda: fast, a, b, task, spread)


def _enter(a: jax.Array, move: Move) -> jax.Array:
    return a.reshape(move.split).transpose(move.order).reshape(move.result)


def _leave(a: jax.Array, move: Move) -> jax.Array:
    return a.reshape(move.ordered).transpose(move.inverse_order).reshape(move.given)
