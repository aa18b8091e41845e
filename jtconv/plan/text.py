"""A plan as sections of cells, and these as plain text: other painters may show them otherwise."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jtconv.plan.axes import AxisPlan
    from jtconv.plan.plan import Plan
    from jtconv.plan.sides import MethodRow, SidePlan

_AXIS_HEAD = ("axis", "in", "kernel", "stride", "dilation", "D", "full", "lo", "hi", "out")


@dataclass(frozen=True)
class Table:
    """Rows under a heading; the first row names the columns where ``headed``."""

    title: str
    rows: list[tuple[str, ...]]
    headed: bool = True


def plain(plan: Plan) -> str:
    """The whole plan for people."""
    lines = [*heading(plan), ""]
    lines += [*_columns(axis_table(plan).rows), *laws(plan), overlap(plan), ""]
    lines += [f"{name:8}{said}" for name, said in sayings(plan)] + [""]
    for table in map(side_table, plan.sides):
        lines += [table.title, *("  " + line for line in _columns(table.rows))]
    return "\n".join(lines)


def heading(plan: Plan) -> list[str]:
    """What goes in, what comes out, and what it costs."""
    per_axis = " x ".join(map(str, plan.receptive_field))
    return [
        f"{plan.request.op}: {plan.input_shape} -> {plan.output_shape}",
        f"parameters {plan.parameters:,}   useful multiply-adds {plan.multiply_adds:,}   "
        f"with zeros {plan.dense_multiply_adds:,}   receptive field {per_axis}",
    ]


def axis_table(plan: Plan) -> Table:
    """The integers of every axis."""
    return Table("axes", [(*_AXIS_HEAD, "taps", "sees"), *map(_axis_row, plan.axes)])


def _axis_row(plan: AxisPlan) -> tuple[str, ...]:
    a, (fewest, most) = plan.axis, plan.overlap
    taps = f"{fewest}" if fewest == most else f"{fewest}-{most}"
    known = (a.kernel, a.stride, a.dilation, a.effective_kernel, a.full, *plan.padding)
    cells = (plan.name, plan.input, *known, plan.output, taps, plan.receptive_field)
    return tuple(map(str, cells))


def laws(plan: Plan) -> list[str]:
    """The law in numbers and the sizes that it can reach; axes that are alike share a line."""
    alike: dict[str, list[str]] = {}
    for axis in plan.axes:
        alike.setdefault(_law(axis), []).append(axis.name)
    return [f"{', '.join(names)}: {said}" for said, names in alike.items()]


def _law(plan: AxisPlan) -> str:
    first, last = plan.reachable[0], plan.reachable[-1]
    sizes = f"{first}" if first == last else f"{first} to {last}"
    which = "reachable with output_size" if plan.transposed else "inputs of this output"
    return f"{plan.law},  out = {plan.size_law};  {which}: {sizes}"


def overlap(plan: Plan) -> str:
    """Whether every output cell gets as many products, or a checkerboard is to be seen."""
    if plan.request.op == "conv":
        return f"every output cell sums {math.prod(plan.request.geometry.kernel)} taps"
    uneven = [axis for axis in plan.axes if len(set(axis.overlap)) > 1]
    if not uneven:
        taps = " x ".join(str(axis.overlap[0]) for axis in plan.axes)
        return f"overlap is even: away from the edges every output cell sums {taps} taps"
    said = ", ".join(f"{axis.overlap[0]} to {axis.overlap[1]} along {axis.name}" for axis in uneven)
    share = plan.request.geometry.overlap_uniformity
    return (
        f"overlap is uneven, taps {said} (uniformity {share:.2f}): a checkerboard; "
        f"{_remedy(uneven[0])}"
    )


def _remedy(plan: AxisPlan) -> str:
    larger = plan.even_kernel
    if larger is None:
        return f"no kernel is even with stride {plan.axis.stride}, dilation {plan.axis.dilation}"
    return f"a kernel of {larger} along {plan.name} would be even"


def sayings(plan: Plan) -> list[tuple[str, str]]:
    """Each framework and its words, or why it has none."""
    lines = []
    for said in plan.words:
        parts = [f"no: {said.why_not}"] if said.why_not else []
        if said.call:
            parts.append(("instead " if said.why_not else "") + said.call)
            parts.append(f"kernel {said.kernel}")
        lines.append((said.framework, "; ".join(parts)))
    return lines


def side_table(plan: SidePlan) -> Table:
    """What is chosen for a side and why, over what every method would cost."""
    title = f"{plan.role} ({plan.side}): {plan.choice.method}, {plan.choice.reason}"
    return Table(title, [_method_row(row, plan.is_timed) for row in plan.rows], headed=False)


def _method_row(row: MethodRow, timed: bool) -> tuple[str, ...]:
    if row.cost is None:
        return (row.method, "cannot:", str(row.refusal), *(("",) if timed else ()))
    spent = f"{row.cost.multiply_adds:,} multiply-adds"
    cells = row.method, spent, f"{row.cost.temporary_bytes:,} temporary bytes"
    return (*cells, _milliseconds(row)) if timed else cells


def _milliseconds(row: MethodRow) -> str:
    return "failed" if row.seconds is None else f"{row.seconds * 1e3:.3f} ms"


def _columns(rows: list[tuple[Any, ...]]) -> list[str]:
    """Rows of cells as lines, numbers to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [
            cell.ljust(width) if index == 0 else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return lines
