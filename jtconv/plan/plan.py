"""A call explained, as a value."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from jtconv.plan import text
from jtconv.plan.axes import AxisPlan
from jtconv.plan.sides import SidePlan
from jtconv.request import Request
from jtconv.words import Saying


@dataclass(frozen=True)
class Plan:
    """A call explained: its geometry, sizes and costs, and the method of every side.

    ``str(plan)`` is a table for people; the fields, and :meth:`dumps`, are for programs.
    ``multiply_adds`` counts useful products; ``dense_multiply_adds`` those with inserted and
    padded zeros, which is what "enlarge with zeros, then convolve" computes.
    """

    request: Request
    input_shape: tuple[Any, ...]
    output_shape: tuple[Any, ...]
    parameters: int
    multiply_adds: int
    dense_multiply_adds: int
    axes: tuple[AxisPlan, ...]
    words: tuple[Saying, ...]
    sides: tuple[SidePlan, ...]

    @property
    def receptive_field(self) -> tuple[int, ...]:
        """Input cells one output cell spans, per axis."""
        return tuple(axis.receptive_field for axis in self.axes)

    @property
    def overlap_uniformity(self) -> float:
        """Fewest products of an output cell over most: below 1 there is a checkerboard."""
        return self.request.geometry.overlap_uniformity if self.axes[0].transposed else 1.0

    def __str__(self) -> str:
        return text.plain(self)

    def dumps(self) -> str:
        """As JSON."""
        return json.dumps(self.as_dict(), indent=1, default=str)

    def as_dict(self) -> dict[str, Any]:
        """As plain values; a symbolic batch becomes its name in JSON."""
        return {
            "op": self.request.op,
            "input_shape": list(self.input_shape),
            "output_shape": list(self.output_shape),
            "groups": self.request.geometry.groups,
            "parameters": self.parameters,
            "multiply_adds": self.multiply_adds,
            "dense_multiply_adds": self.dense_multiply_adds,
            "receptive_field": list(self.receptive_field),
            "overlap_uniformity": self.overlap_uniformity,
            "axes": [_axis(axis) for axis in self.axes],
            "words": {said.framework: _said(said) for said in self.words},
            "sides": {side.role: _side(side) for side in self.sides},
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


def _said(said: Saying) -> dict[str, Any]:
    return {"call": said.call, "kernel": said.kernel, "why_not": said.why_not}


def _side(plan: SidePlan) -> dict[str, Any]:
    rows = {
        row.method: {
            "refusal": row.refusal,
            "multiply_adds": row.cost and row.cost.multiply_adds,
            "temporary_bytes": row.cost and row.cost.temporary_bytes,
            "seconds": row.seconds,
        }
        for row in plan.rows
    }
    choice = {"method": plan.choice.method, "reason": plan.choice.reason}
    return {"side": plan.side, **choice, "methods": rows}
