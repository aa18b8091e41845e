"""explain: what a call would do, as a value that prints as a table."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp

from jtconv import operands, request
from jtconv.choose import Choice, choose, cost, parse_method, platform, refusal, task_of
from jtconv.methods import METHODS, Cost, Side, Task
from jtconv.request import Op, Request

# What each operation computes, and then its two gradients: by the input and by the kernel.
_SIDES: dict[Op, tuple[Side, Side, Side]] = {
    "conv_transpose": ("dgrad", "fprop", "wgrad"),
    "conv": ("fprop", "dgrad", "wgrad"),
}
_ROLES = ("forward", "gradient by x", "gradient by w")


@dataclass(frozen=True)
class MethodRow:
    """One method on one side: what it would cost, or why it cannot."""

    method: str
    refusal: str | None
    cost: Cost | None


@dataclass(frozen=True)
class SidePlan:
    """One side of a call: what is chosen, why, and what else there is."""

    role: str
    side: Side
    choice: Choice
    rows: tuple[MethodRow, ...]


@dataclass(frozen=True)
class Plan:
    """A call explained: its geometry, sizes and costs, and the method of every side.

    ``str(plan)`` is a table for people; the fields are for programs.
    """

    request: Request
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    parameters: int
    multiply_adds: int
    receptive_field: tuple[int, ...]
    sides: tuple[SidePlan, ...]

    def __str__(self) -> str:
        return "\n".join([*_heading(self), "", *_axis_table(self), "", *_method_table(self)])


def explain(x: Any, w: Any, *, op: Op = "conv_transpose", **keywords: Any) -> Plan:
    """What a call would do: geometry, sizes, multiply-adds, and which method runs and why.

    Args:
        x, w: arrays, or ``jax.ShapeDtypeStruct``; only shape and dtype are looked at.
        op: "conv_transpose" or "conv".
        **keywords: those of the operation.

    Returns:
        A :class:`Plan`; print it.

    Raises:
        ValueError, TypeError: exactly as the operation would.

    >>> import jax.numpy as jnp
    >>> plan = explain(jnp.zeros((1, 2, 2, 1)), jnp.zeros((4, 4, 1, 1)), stride=3)
    >>> plan.output_shape, plan.multiply_adds, plan.receptive_field
    ((1, 7, 7, 1), 64, (2, 2))
    """
    if not isinstance(op, str) or op not in request.SIDES:
        raise ValueError(f"op must be 'conv_transpose' or 'conv', got {op!r}.")
    for name, value in (("x", x), ("w", w)):
        if not hasattr(value, "shape") or not hasattr(value, "dtype"):
            raise TypeError(
                f"{name} must be an array or a jax.ShapeDtypeStruct, got {type(value).__name__}."
            )
        operands.dtype_of(name, value)
    x, w = _canonical(x), _canonical(w)
    operands.check_same_dtype(x, "w", w)
    wanted = parse_method(keywords.pop("method", "auto"))
    precision = operands.precision(keywords.pop("precision", None))
    result = operands.result_dtype(x.dtype, keywords.pop("preferred_element_type", None))
    operands.flag("flip_kernel", keywords.pop("flip_kernel", False))
    asked = request.of_shapes(op, x.shape, w.shape, keywords, names=("x", "w"))
    task = _task(asked, _SIDES[op][0], x.dtype, precision, result)
    return Plan(
        asked,
        tuple(x.shape),
        asked.output_shape,
        math.prod(w.shape),
        task.multiply_adds,
        _receptive_field(asked),
        tuple(_side_plan(asked, role, wanted, task) for role in range(3)),
    )


def _canonical(a: Any) -> jax.ShapeDtypeStruct:
    """The shape, and the dtype the array would have in JAX (float32 for float64 without x64)."""
    return jax.ShapeDtypeStruct(a.shape, jax.dtypes.canonicalize_dtype(a.dtype))


def _task(asked: Request, side: Side, dtype: Any, precision: Any, result: str) -> Task:
    return task_of(asked, side, dtype, result, precision, platform())


def _receptive_field(asked: Request) -> tuple[int, ...]:
    """Input cells one output cell spans, per axis."""
    axes = asked.geometry
    if asked.op == "conv":
        return tuple(a.effective_kernel for a in axes)
    return tuple(a.receptive_field for a in axes)


def _side_plan(asked: Request, number: int, wanted: tuple[str, ...], forward: Task) -> SidePlan:
    """The plan of the operation itself (0) or of one of its gradients (1, 2)."""
    side = _SIDES[asked.op][number]
    task = replace(forward, side=side)
    if number:  # a cotangent has the dtype of the result, its gradient that of the operand
        common = jnp.promote_types(forward.dtype, forward.result_dtype)
        task = replace(task, dtype=common, result_dtype=forward.dtype)
    rows = []
    for name in METHODS:
        why_not = refusal(name, task)
        rows.append(MethodRow(name, why_not, None if why_not else cost(name, task)))
    return SidePlan(_ROLES[number], side, choose(wanted, task), tuple(rows))


def _heading(plan: Plan) -> list[str]:
    per_axis = " x ".join(map(str, plan.receptive_field))
    return [
        f"{plan.request.op}: {plan.input_shape} -> {plan.output_shape}",
        f"parameters {plan.parameters:,}   useful multiply-adds {plan.multiply_adds:,}   "
        f"receptive field {per_axis}",
    ]


def _axis_table(plan: Plan) -> list[str]:
    names = ("axis", "in", "kernel", "stride", "dilation", "D", "full", "lo", "hi", "out", "taps")
    rows = []
    for letter, a in zip(plan.request.layout.spatial, plan.request.geometry, strict=True):
        sizes = (a.input, a.output) if plan.request.op == "conv_transpose" else (a.output, a.input)
        fewest, most = a.overlap
        taps = f"{fewest}" if fewest == most else f"{fewest}-{most}"
        known = (a.kernel, a.stride, a.dilation, a.effective_kernel, a.full, *a.crops)
        rows.append((letter, sizes[0], *known, sizes[1], taps))
    return _columns([names, *rows])


def _method_table(plan: Plan) -> list[str]:
    lines: list[str] = []
    for side in plan.sides:
        lines.append(f"{side.role} ({side.side}): {side.choice.method}, {side.choice.reason}")
        lines += ["  " + line for line in _columns([_method_row(row) for row in side.rows])]
    return lines


def _method_row(row: MethodRow) -> tuple[str, str, str]:
    if row.cost is None:
        return row.method, "cannot:", str(row.refusal)
    spent = f"{row.cost.multiply_adds:,} multiply-adds"
    return row.method, spent, f"{row.cost.temporary_bytes:,} temporary bytes"


def _columns(rows: list[tuple[Any, ...]]) -> list[str]:
    """Rows of cells as lines, numbers to the right."""
    widths = [max(len(str(row[column])) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [
            str(cell).ljust(width) if index == 0 else str(cell).rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return lines
