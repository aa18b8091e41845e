"""The layers we measure: every one from a published network, at its true channel counts.

``small`` shrinks batch and space until two CPU cores need a few milliseconds; ``true`` is the
size the network runs at, for accelerators.  Channels, kernels and strides are never changed,
since they decide which method wins.  Padding is in torch's words, as the sources have it.
"""

from __future__ import annotations

import fnmatch
import math
from dataclasses import dataclass
from typing import Literal

from jtconv.problem.geometry import Geometry

SizeName = Literal["small", "true"]
Size = tuple[int, ...]  # batch, then space


@dataclass(frozen=True)
class Case:
    """One layer: ``kernel``, ``stride`` and the like hold for each of its spatial axes."""

    name: str
    source: str
    channels: tuple[int, int]
    kernel: int
    stride: int
    small: Size
    true: Size
    padding: int = 0
    output_padding: int = 0
    groups: int = 1
    dilation: int = 1
    trim: int = 0  # cells that the network slices off the end of the layer's output
    channels_first: bool = False
    steps: int = 1  # more than one: a lax.scan over so many slices of the batch

    @property
    def rank(self) -> int:
        """How many spatial axes there are."""
        return len(self.true) - 1

    @property
    def crops(self) -> tuple[int, int]:
        """``(lo, hi)`` of every axis."""
        return self.padding, self.padding - self.output_padding + self.trim

    def size(self, name: SizeName) -> Size:
        """Batch and space of the input."""
        return self.small if name == "small" else self.true

    def geometry(self, size: SizeName) -> Geometry:
        """The law's integers for this layer."""
        space = self.size(size)[1:]
        kernel, stride, dilation = (
            (value,) * self.rank for value in (self.kernel, self.stride, self.dilation)
        )
        crops = (self.crops,) * self.rank
        return Geometry.of(space, kernel, stride, dilation, crops, self.groups)

    def shapes(self, size: SizeName) -> tuple[Size, Size, Size]:
        """x, w and y, channels last, the kernel as ``(*kernel, C_in // groups, C_out)``."""
        batch, *space = self.size(size)
        c, o = self.channels
        y = (batch, *self.geometry(size).output, o)
        return (batch, *space, c), (self.kernel,) * self.rank + (c // self.groups, o), y

    def multiply_adds(self, size: SizeName) -> int:
        """Useful products of one side: none with an inserted zero, none cropped away."""
        c, o = self.channels
        return self.size(size)[0] * self.geometry(size).multiply_adds * (c // self.groups) * o

    def numbers(self, size: SizeName) -> int:
        """Numbers in x, w and y together: what must move at least once."""
        return sum(math.prod(shape) for shape in self.shapes(size))


def select(patterns: list[str], suite: str) -> list[Case]:
    """The cases whose names match any of ``patterns``, or all of a suite where there are none."""
    from bench.layers import CASES, QUICK

    if not patterns:
        return [case for case in CASES if suite == "full" or case.name in QUICK]
    chosen = [c for c in CASES if any(fnmatch.fnmatchcase(c.name, p) for p in patterns)]
    if not chosen:
        raise ValueError(f"no case matches {patterns}; there are {[c.name for c in CASES]}")
    return chosen
