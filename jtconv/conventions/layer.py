"""What is said and what is read: a layer without its numbers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from jtconv.problem import padding
from jtconv.problem.call import Call
from jtconv.problem.geometry import Axis
from jtconv.problem.padding import Crops
from jtconv.problem.task import Op


@dataclass(frozen=True)
class Layer:
    """A checked call, whether it adds a bias, and whether it turns its kernel round."""

    call: Call
    bias: bool = False
    flip: bool = False

    @property
    def transposed(self) -> bool:
        """Whether this is a transposed convolution."""
        return self.call.op == "conv_transpose"

    @property
    def rank(self) -> int:
        """Spatial axes."""
        return len(self.call.geometry)

    @property
    def groups(self) -> int:
        """Channel groups."""
        return self.call.geometry.groups

    @property
    def crops(self) -> tuple[Crops, ...]:
        """Per axis, the crops of the output; for a convolution the zeros around its input."""
        return self.call.geometry.crops if self.transposed else tuple(map(_zeros, self.axes))

    @property
    def axes(self) -> tuple[Axis, ...]:
        """The spatial axes."""
        return self.call.geometry.axes

    def each(self, name: str) -> tuple[int, ...]:
        """``stride``, ``kernel``, ... of every axis."""
        return tuple(getattr(axis, name) for axis in self.axes)


def _zeros(axis: Axis) -> Crops:
    """Zeros around the input of a convolution, which may have some behind that nothing reads.

    As many as in front where that can be, else as few as there can be without cutting cells off.
    """
    if padding.to_torch(axis.crops, axis.stride):
        return axis.lo, axis.lo
    return axis.lo, min(max(axis.hi, 0), axis.hi + axis.stride - 1)


@dataclass(frozen=True)
class LayerText:
    """How a framework calls a layer, and in what shape it wants the kernel.

    Where it has no such layer, ``why_not`` tells the reason and ``call`` what comes nearest.
    """

    framework: str
    call: str | None
    kernel: str = ""
    why_not: str | None = None


@dataclass(frozen=True)
class LayerSpec:
    """A constructor call as read: what :func:`jtconv.explain` needs, less the input."""

    op: Op
    in_channels: int | None
    out_channels: int
    kernel: tuple[int, ...]
    bias: bool
    keywords: dict[str, Any] = field(default_factory=dict)
