"""A layer without its weights, how a framework writes it, and what a constructor call means."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from jtconv.problem.call import Call
from jtconv.problem.geometry import Axis
from jtconv.problem.padding import Crops
from jtconv.problem.symbolic import is_symbolic
from jtconv.typing import Op

PerAxis = tuple[int, ...]


class Inexpressible(ValueError):
    """Padding that a framework has no way to write, and why."""


@dataclass(frozen=True)
class Layer:
    """A checked call, whether it adds a bias, and whether it flips its kernel."""

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
    def axes(self) -> tuple[Axis, ...]:
        """The spatial axes."""
        return self.call.geometry.axes

    @property
    def crops(self) -> tuple[Crops, ...]:
        """Per axis, the crops of the output; for a convolution the zeros around its input."""
        return self.call.geometry.crops if self.transposed else tuple(map(_zeros, self.axes))

    def each(self, name: str) -> PerAxis:
        """``stride``, ``kernel``, ... of every axis."""
        return tuple(getattr(axis, name) for axis in self.axes)

    @property
    def columns(self) -> tuple[tuple[Crops, ...], PerAxis, PerAxis, PerAxis]:
        """Crops, kernel, stride and dilation per axis: what every ``from_crops`` takes."""
        return self.crops, self.each("kernel"), self.each("stride"), self.each("dilation")


def _zeros(axis: Axis) -> Crops:
    """Zeros around the input of a convolution, which may have some at the end that nothing reads.

    As many as in front where that can be, else as few as there can be without cutting cells off.
    """
    if is_symbolic(axis.hi):
        return axis.crops
    if axis.lo >= 0 and 0 <= axis.lo - axis.hi < axis.stride:
        return axis.lo, axis.lo
    return axis.lo, min(max(axis.hi, 0), axis.hi + axis.stride - 1)


@dataclass(frozen=True)
class LayerText:
    """How a framework calls a layer, and in what shape it wants the kernel.

    Where it has no such layer, ``why_not`` is the reason and ``call`` what comes nearest.
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
    kernel: PerAxis
    bias: bool
    keywords: dict[str, Any] = field(default_factory=dict)
    framework: str = "jtconv"


class PaddingRow(NamedTuple):
    """One way to write padding: what it crops, as formulas, and by ``crops`` for an example.

    The example has one axis, of these sizes.
    """

    framework: str
    padding: str
    lo: str
    hi: str
    crops: Callable[..., tuple[Crops, ...]]
    example: dict[str, Any]


EXAMPLE_INPUT, EXAMPLE_KERNEL, EXAMPLE_STRIDE = 5, 5, 2
