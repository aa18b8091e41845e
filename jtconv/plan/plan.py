"""A call explained, as a value: its numbers, as text for people and as JSON for programs."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from jtconv.conventions import LayerText
from jtconv.dispatch.choose import Choice
from jtconv.plan.axes import AxisPlan
from jtconv.problem.call import Call
from jtconv.problem.pieces import Carried, Pieces
from jtconv.problem.task import Cost, Side


@dataclass(frozen=True)
class MethodRow:
    """One method on one side: what it would cost, or why it cannot; its time where measured.

    ``note`` is what to know of its numbers, where they differ by more than the order of sums.
    ``spreads`` are the operands, as letters of the law, of which an infinity or a NaN may make NaN
    of numbers that it does not meet; of the others none does.
    """

    method: str
    refusal: str | None
    cost: Cost | None
    seconds: float | None = None
    note: str | None = None
    spreads: str = ""


@dataclass(frozen=True)
class SidePlan:
    """One side of a call: what is chosen, why, and what else there is.

    ``keeps_infinities`` tells whether an infinity or a NaN stays with what it meets.
    """

    role: str
    side: Side
    choice: Choice
    rows: tuple[MethodRow, ...]
    keeps_infinities: bool

    @property
    def is_timed(self) -> bool:
        """Whether any method was measured."""
        return any(row.seconds is not None for row in self.rows)


@dataclass(frozen=True)
class StreamPlan:
    """A call piece by piece along one axis: what is carried, and what would be ``instead``."""

    axis: str
    pieces: Pieces
    carried: Carried
    instead: Carried

    def __str__(self) -> str:
        p, unit = self.pieces, self.pieces.stride
        cells = f"n -> {unit}*n" if p.transposed else f"{unit}*n -> n"
        kept = f"{self.carried}, instead of {self.instead}," if self.carried.cells else "nothing"
        return (
            f"piece by piece along {self.axis}: {cells} cells, latency {p.latency}; carries {kept} "
            f"from piece to piece; tail {p.tail}"
        )


@dataclass(frozen=True)
class Plan:
    """A call explained: its geometry, sizes and costs, and the method of every side.

    ``str(plan)`` is a table for people; the fields, and :meth:`dumps`, are for programs.
    ``multiply_adds`` counts useful products; ``dense_multiply_adds`` those with inserted and
    padded zeros, which is what "enlarge with zeros, then convolve" computes.
    """

    call: Call
    platform: str
    input_shape: tuple[Any, ...]
    output_shape: tuple[Any, ...]
    parameters: int
    multiply_adds: int
    dense_multiply_adds: int
    axes: tuple[AxisPlan, ...]
    conventions: tuple[LayerText, ...]
    sides: tuple[SidePlan, ...]
    streaming: StreamPlan | None = None

    @property
    def receptive_field(self) -> tuple[int, ...]:
        """Input cells one output cell spans, per axis."""
        return tuple(axis.receptive_field for axis in self.axes)

    @property
    def overlap_uniformity(self) -> float:
        """Fewest products of an output cell over most: below 1 there is a checkerboard."""
        return self.call.geometry.overlap_uniformity if self.axes[0].transposed else 1.0

    def __str__(self) -> str:
        return plain(self)

    def dumps(self) -> str:
        """As JSON."""
        return json.dumps(self.as_dict(), indent=1, default=str)

    def as_dict(self) -> dict[str, Any]:
        """As plain values; symbolic sizes become their names in JSON."""
        return {
            "op": self.call.op,
            "platform": self.platform,
            "input_shape": list(self.input_shape),
            "output_shape": list(self.output_shape),
            "groups": self.call.geometry.groups,
            "parameters": self.parameters,
            "multiply_adds": self.multiply_adds,
            "dense_multiply_adds": self.dense_multiply_adds,
            "receptive_field": list(self.receptive_field),
            "overlap_uniformity": self.overlap_uniformity,
            "axes": [_axis(axis) for axis in self.axes],
            "conventions": {text.framework: _text(text) for text in self.conventions},
            "sides": {side.role: _side(side) for side in self.sides},
            **({"streaming": _stream(self.streaming)} if self.streaming else {}),
        }


def _axis(plan: AxisPlan) -> dict[str, Any]:
    a = plan.axis
    return {
        "name": plan.name,
        "input": plan.input,
        "kernel": a.kernel,
        "stride": a.stride,
        "dilation": a.dilation,
        "effective_kernel": a.effective_kernel,
        "padding": list(plan.padding),
        "output": plan.output,
        "reachable": list(plan.reachable),
        "law": plan.law,
        "size_law": plan.size_law,
        "receptive_field": plan.receptive_field,
        "overlap": list(plan.overlap),
    }


def _text(text: LayerText) -> dict[str, Any]:
    return {"call": text.call, "kernel": text.kernel, "why_not": text.why_not}


def _side(plan: SidePlan) -> dict[str, Any]:
    rows = {
        row.method: {
            "refusal": row.refusal,
            "multiply_adds": row.cost and row.cost.multiply_adds,
            "temporary_bytes": row.cost and row.cost.temporary_bytes,
            "seconds": row.seconds,
            "note": row.note,
            "spreads": row.spreads,
        }
        for row in plan.rows
    }
    choice = {"method": plan.choice.method, "reason": plan.choice.reason}
    kept = {"keeps_infinities": plan.keeps_infinities}
    return {"side": plan.side, **choice, **kept, "methods": rows}


def _stream(plan: StreamPlan) -> dict[str, Any]:
    p = plan.pieces
    numbers = {"latency": p.latency, "tail": p.tail, "receptive_field": p.receptive_field}
    held = {"carried": asdict(plan.carried), "instead": asdict(plan.instead)}
    return {"axis": plan.axis, "ratio": str(p.ratio), **numbers, **held}


_AXIS_HEAD = ("axis", "in", "kernel", "stride", "dilation", "D", "full", "lo", "hi", "out")


@dataclass(frozen=True)
class Table:
    """Rows under a heading; the first row names the columns where ``headed``."""

    title: str
    rows: list[tuple[str, ...]]
    headed: bool = True
    notes: tuple[str, ...] = ()


def plain(plan: Plan) -> str:
    """The whole plan for people."""
    lines = [*heading(plan), ""]
    lines += [*_columns(axis_table(plan).rows), *laws(plan), overlap(plan)]
    lines += [*in_pieces(plan), ""]
    lines += [f"{name:8}{text}" for name, text in framework_lines(plan)] + [""]
    for table in map(side_table, plan.sides):
        lines += [table.title, *("  " + line for line in (*_columns(table.rows), *table.notes))]
    return "\n".join(lines)


def heading(plan: Plan) -> list[str]:
    """What goes in, what comes out, and what it costs."""
    per_axis = " x ".join(map(str, plan.receptive_field))
    return [
        f"{plan.call.op}: {plan.input_shape} -> {plan.output_shape}",
        f"parameters {plan.parameters:,}   useful multiply-adds {_count(plan.multiply_adds)}   "
        f"with zeros {_count(plan.dense_multiply_adds)}   receptive field {per_axis}   "
        f"platform {plan.platform}",
    ]


def _count(number: Any) -> str:
    """A number in groups of three digits; what is symbolic in it stays so."""
    return f"{number:,}" if isinstance(number, int) else str(number)


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
    lines = [f"{', '.join(names)}: {law}" for law, names in alike.items()]
    return [*lines, *([_border(plan, plan.call.border)] if plan.call.border else [])]


def _border(plan: Plan, border: str) -> str:
    if plan.call.op == "conv":
        return f"beyond the ends of x lies what {border} says, not zeros"
    return f"what leaves y at its ends is added inside, where a convolution with {border} reads it"


def _law(plan: AxisPlan) -> str:
    first, last = plan.reachable[0], plan.reachable[-1]
    sizes = f"{first}" if first == last else f"{first} to {last}"
    which = "reachable with output_size" if plan.transposed else "inputs of this output"
    return f"{plan.law},  out = {plan.size_law};  {which}: {sizes}"


def overlap(plan: Plan) -> str:
    """Whether every output cell gets as many products, or a checkerboard is to be seen."""
    if plan.call.op == "conv":
        return f"every output cell sums {math.prod(plan.call.geometry.kernel)} taps"
    uneven = [axis for axis in plan.axes if len(set(axis.overlap)) > 1]
    if not uneven:
        taps = " x ".join(str(axis.overlap[0]) for axis in plan.axes)
        return f"overlap is even: away from the edges every output cell sums {taps} taps"
    taps = ", ".join(f"{axis.overlap[0]} to {axis.overlap[1]} along {axis.name}" for axis in uneven)
    share = plan.call.geometry.overlap_uniformity
    return (
        f"overlap is uneven, taps {taps} (uniformity {share:.2f}): a checkerboard; "
        f"{_even_kernel(uneven[0])}"
    )


def in_pieces(plan: Plan) -> list[str]:
    """What streaming the call would carry, where that was asked for."""
    return [str(plan.streaming)] if plan.streaming else []


def _even_kernel(plan: AxisPlan) -> str:
    larger = plan.even_kernel
    if larger is None:
        return f"no kernel is even with stride {plan.axis.stride}, dilation {plan.axis.dilation}"
    return f"a kernel of {larger} along {plan.name} would be even"


def framework_lines(plan: Plan) -> list[tuple[str, str]]:
    """Each framework and how it writes the layer, or why it cannot."""
    lines = []
    for text in plan.conventions:
        parts = [f"no: {text.why_not}"] if text.why_not else []
        if text.call:
            parts.append(("instead " if text.why_not else "") + text.call)
            parts.append(f"kernel {text.kernel}")
        lines.append((text.framework, "; ".join(parts)))
    return lines


def side_table(plan: SidePlan) -> Table:
    """What is chosen for a side and why, over what every method would cost."""
    title = f"{plan.role} ({plan.side}): {plan.choice.method}, {plan.choice.reason}"
    rows = [_method_row(row, plan.is_timed) for row in plan.rows]
    notes = tuple(f"{row.method}: {row.note}" for row in plan.rows if row.note)
    return Table(title, rows, headed=False, notes=(*notes, *_infinities(plan)))


def _infinities(plan: SidePlan) -> Iterator[str]:
    """Which methods may make NaN of what an infinity does not meet, and whether this call may."""
    spreading: dict[str, list[str]] = {}
    for row in plan.rows:
        if row.spreads:
            spreading.setdefault(" or ".join(row.spreads), []).append(row.method)
    if spreading:
        named = "; ".join(f"of {of} by {', '.join(names)}" for of, names in spreading.items())
        here = "here none does" if plan.keeps_infinities else "here, too"
        yield f"inf and NaN may spread beyond what they meet {named}; {here}"


def _method_row(row: MethodRow, timed: bool) -> tuple[str, ...]:
    if row.cost is None:
        return (row.method, "cannot:", str(row.refusal), *(("",) if timed else ()))
    spent = f"{_count(row.cost.multiply_adds)} multiply-adds"
    cells = row.method, spent, f"{_count(row.cost.temporary_bytes)} temporary bytes"
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
