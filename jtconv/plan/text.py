"""A plan in words: short, in 80 columns, or whole, with every table."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jtconv.dispatch.choose import Choice
from jtconv.plan.axes import AxisPlan

if TYPE_CHECKING:
    from jtconv.plan.plan import MethodRow, Plan, SidePlan

WIDTH = 80
_AXIS_HEAD = ("axis", "in", "kernel", "stride", "dilation", "D", "full", "lo", "hi", "out")


@dataclass(frozen=True)
class Table:
    """Rows under a heading; the first row names the columns where ``headed``."""

    title: str
    rows: list[tuple[str, ...]]
    headed: bool = True
    notes: tuple[str, ...] = ()


def short(plan: Plan) -> str:
    """What most want to know, in 80 columns: the law, sizes, costs, and the choice and why."""
    lines = [f"{plan.call.op}: {plan.input_shape} -> {plan.output_shape}, {plan.dtype}"]
    for name, text in _sections(plan):
        lines += _wrapped(f"{name:<9}", text)
    return "\n".join(lines)


def _sections(plan: Plan) -> Iterator[tuple[str, str]]:
    for names, axis in alike(plan):
        yield "law", f"{axis.law}   ({names})"
    for names, axis in alike(plan):
        yield "size", f"out = {axis.size_formula}"
        yield "", f"{names}: {axis.size_law}; {reachable(axis)}"
    if plan.call.border:
        yield "border", _border(plan, plan.call.border)
    yield "overlap", overlap(plan).removeprefix("overlap is ")
    per_axis = " x ".join(map(str, plan.receptive_field))
    yield "field", f"an output cell reads {per_axis} input cells (its receptive field)"
    yield "costs", f"{costs(plan)}, platform {plan.platform}"
    yield "memory", memory(plan)
    for choice, sides in chosen(plan).items():
        yield "chosen", f"{choice.method}, {choice.reason}; {sides}"
    if plan.streaming:
        yield "pieces", str(plan.streaming)
    yield "more", "verbose=True, or --methods: every method, and the layer in other frameworks"


def chosen(plan: Plan) -> dict[Choice, str]:
    """Each choice, and the sides that it is for."""
    found: dict[Choice, list[str]] = {}
    for side in plan.sides:
        found.setdefault(side.choice, []).append(f"{side.role} ({WHAT[side.side]})")
    return {choice: ", ".join(sides) for choice, sides in found.items()}


# The sides, explained where they first appear.
WHAT = {
    "dgrad": "dgrad, a transposed convolution",
    "fprop": "fprop, a convolution",
    "wgrad": "wgrad, the gradient of a kernel",
}


def _wrapped(head: str, text: str) -> list[str]:
    """Lines of a section, the later ones under the first."""
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=head,
        subsequent_indent=" " * len(head),
        break_long_words=False,
        break_on_hyphens=False,
    )


def whole(plan: Plan) -> str:
    """The whole plan for people, with every table."""
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
        f"{plan.call.op}: {plan.input_shape} -> {plan.output_shape}, {plan.dtype}",
        f"{costs(plan)}   receptive field {per_axis}   platform {plan.platform}",
        f"memory: {memory(plan)}",
    ]


def costs(plan: Plan) -> str:
    """Parameters and products."""
    return (
        f"parameters {plan.parameters:,}, useful multiply-adds {_count(plan.multiply_adds)}, "
        f"with zeros {_count(plan.dense_multiply_adds)}"
    )


def memory(plan: Plan) -> str:
    """Bytes of the arrays, about how many are held besides, and how to hold few."""
    m = plan.memory
    arrays = f"operands {_mib(m.operands)}, result {_mib(m.result)}"
    if plan.sides[0].choice.method in LEAN:
        return f"{arrays}, little besides"
    return f'{arrays}, temporaries about {_mib(m.temporaries)}; method="{LEAN[0]}" holds little'


# Methods that are one convolution of XLA, which holds little besides its arrays.
LEAN = ("dilated", "vjp")


def _mib(count: Any) -> str:
    if not isinstance(count, int):
        return f"{count} bytes"
    return f"{count / 2**20:.1f} MiB" if count >= 2**20 / 10 else f"{count:,} bytes"


def _count(number: Any) -> str:
    """A number in groups of three digits; what is symbolic in it stays so."""
    return f"{number:,}" if isinstance(number, int) else str(number)


def axis_table(plan: Plan) -> Table:
    """The integers of every axis."""
    return Table("axes", [(*_AXIS_HEAD, "taps", "reads"), *map(_axis_row, plan.axes)])


def _axis_row(plan: AxisPlan) -> tuple[str, ...]:
    a, (fewest, most) = plan.axis, plan.overlap
    taps = f"{fewest}" if fewest == most else f"{fewest}-{most}"
    known = (a.kernel, a.stride, a.dilation, a.effective_kernel, a.full, *plan.padding)
    cells = (plan.name, plan.input, *known, plan.output, taps, plan.receptive_field)
    return tuple(map(str, cells))


def alike(plan: Plan) -> Iterator[tuple[str, AxisPlan]]:
    """The names of axes that have one law and one size, and the first of them."""
    groups: dict[tuple[Any, ...], list[AxisPlan]] = {}
    for axis in plan.axes:
        key = axis.law, axis.size_formula, axis.size_law, str(axis.reachable)
        groups.setdefault(key, []).append(axis)
    for axes in groups.values():
        yield ", ".join(axis.name for axis in axes), axes[0]


def laws(plan: Plan) -> list[str]:
    """The law in numbers and the sizes that it can reach; axes that are alike share a line."""
    lines = [
        f"{names}: {axis.law},  out = {axis.size_formula} = {axis.size_law};  {reachable(axis)}"
        for names, axis in alike(plan)
    ]
    return [*lines, *([_border(plan, plan.call.border)] if plan.call.border else [])]


def _border(plan: Plan, border: str) -> str:
    if plan.call.op == "conv":
        return f"beyond the ends of x lies what {border} says, not zeros"
    return f"what leaves y at its ends is added inside, where a convolution with {border} reads it"


def reachable(plan: AxisPlan) -> str:
    """The sizes that the same padding can reach."""
    first, last = plan.reachable[0], plan.reachable[-1]
    sizes = f"{first}" if first == last else f"{first} to {last}"
    which = "reachable with output_size" if plan.transposed else "inputs of this output"
    return f"{which}: {sizes}"


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
    what = WHAT[plan.side]
    title = f"{plan.role} ({what}): {plan.choice.method}, {plan.choice.reason}"
    rows = [_method_row(row, plan) for row in plan.rows]
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


def _method_row(row: MethodRow, side: SidePlan) -> tuple[str, ...]:
    marks = ["chosen"] if row.method == side.choice.method else []
    marks += ["fastest"] if row is side.fastest else []
    head, timed = (row.method, ", ".join(marks)), side.is_timed
    if row.cost is None:
        return (*head, "cannot:", str(row.refusal), *(("",) if timed else ()))
    spent = f"{_count(row.cost.multiply_adds)} multiply-adds"
    cells = *head, spent, f"{_count(row.cost.temporary_bytes)} temporary bytes"
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
