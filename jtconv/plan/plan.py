"""A call explained, as a value: its numbers, as text for people and as JSON for programs."""

from __future__ import annotations

import html
import json
from dataclasses import asdict, dataclass
from typing import Any

from jtconv.conventions import LayerText
from jtconv.dispatch.choose import Choice
from jtconv.plan import text
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
    def chosen(self) -> MethodRow:
        """The row of the method that is chosen."""
        return next(row for row in self.rows if row.method == self.choice.method)

    @property
    def fastest(self) -> MethodRow | None:
        """The row of the least time, where there are times."""
        timed = [row for row in self.rows if row.seconds is not None]
        return min(timed, key=lambda row: row.seconds or 0.0) if timed else None

    @property
    def is_timed(self) -> bool:
        """Whether any method was measured."""
        return any(row.seconds is not None for row in self.rows)


@dataclass(frozen=True)
class Memory:
    """Bytes of a call: those of its arrays, and about what the chosen method holds besides.

    The program that XLA compiles has exactly these arrays; its temporaries it may fuse or pad.
    """

    operands: Any
    result: Any
    temporaries: Any


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


@dataclass(frozen=True, repr=False)
class Plan:
    """A call explained: its geometry, sizes and costs, and the method of every side.

    ``str(plan)``, which is also what it shows as, is for people: the law, sizes and the choice, and
    where it is ``verbose`` every table. The fields, and :meth:`dumps`, are for programs.
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
    memory: Memory
    dtype: str
    streaming: StreamPlan | None = None
    verbose: bool = False

    @property
    def receptive_field(self) -> tuple[int, ...]:
        """Input cells one output cell spans, per axis."""
        return tuple(axis.receptive_field for axis in self.axes)

    @property
    def overlap_uniformity(self) -> float:
        """Fewest products of an output cell over most: below 1 there is a checkerboard."""
        return self.call.geometry.overlap_uniformity if self.axes[0].transposed else 1.0

    def __str__(self) -> str:
        return text.whole(self) if self.verbose else text.short(self)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(str(self))}</pre>"

    def dumps(self) -> str:
        """As JSON."""
        return json.dumps(self.as_dict(), indent=1, default=str)

    def as_dict(self) -> dict[str, Any]:
        """As plain values; symbolic sizes become their names in JSON."""
        return {
            "op": self.call.op,
            "platform": self.platform,
            "dtype": self.dtype,
            "input_shape": list(self.input_shape),
            "output_shape": list(self.output_shape),
            "groups": self.call.geometry.groups,
            "parameters": self.parameters,
            "multiply_adds": self.multiply_adds,
            "dense_multiply_adds": self.dense_multiply_adds,
            "memory": dict(vars(self.memory)),
            "receptive_field": list(self.receptive_field),
            "overlap_uniformity": self.overlap_uniformity,
            "axes": [_axis(axis) for axis in self.axes],
            "conventions": {layer.framework: _text(layer) for layer in self.conventions},
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
        "size_formula": plan.size_formula,
        "size_law": plan.size_law,
        "receptive_field": plan.receptive_field,
        "overlap": list(plan.overlap),
    }


def _text(layer: LayerText) -> dict[str, Any]:
    return {"call": layer.call, "kernel": layer.kernel, "why_not": layer.why_not}


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
