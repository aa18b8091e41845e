"""One side of the trilinear form to compute, with all that is known before it runs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import jax.numpy as jnp
import numpy as np

from jtconv.geometry import Geometry

Side = Literal["dgrad", "fprop", "wgrad"]

NOMINAL_BATCH = 8  # stands for a symbolic batch when costs are weighed


class Unsupported(ValueError):
    """A named method cannot do this problem; the message says why, and what can."""


@dataclass(frozen=True)
class Cost:
    """What a method would spend: products computed, wasted ones too, and bytes held besides."""

    multiply_adds: int
    temporary_bytes: int


@dataclass(frozen=True)
class Task:
    """One side of one problem: dgrad ``x, w -> y``, fprop ``y, w -> x`` or wgrad ``x, y -> w``.

    ``channels`` are those of the small side x, ``out_channels`` those of the large side y.
    ``batch`` is a nominal number where the true one is symbolic, and ``tile`` names the way a
    kernel is to cut the task up; None leaves that to the kernel.
    """

    side: Side
    geometry: Geometry
    batch: int
    channels: int
    out_channels: int
    dtype: np.dtype
    result_dtype: np.dtype
    platform: str = "cpu"
    precision: Any = None
    tile: str | None = None

    @property
    def groups(self) -> int:
        """Channel groups."""
        return self.geometry.groups

    @property
    def depth(self) -> int:
        """Products that one tap sums: input channels of a group."""
        return self.channels // self.groups

    @property
    def width(self) -> int:
        """Output channels of a group."""
        return self.out_channels // self.groups

    @property
    def accumulator(self) -> np.dtype:
        """The dtype sums are held in: that of the result, but float32 or int32 at least."""
        wide = {"float16": "float32", "bfloat16": "float32", "int8": "int32", "int16": "int32"}
        least = jnp.dtype(wide.get(self.dtype.name, self.dtype.name))
        return self.result_dtype if self.result_dtype.itemsize > least.itemsize else least

    @property
    def is_half(self) -> bool:
        """Whether the operands are 16-bit floats."""
        return self.dtype.name in ("float16", "bfloat16")

    @property
    def x_size(self) -> int:
        """Numbers in x."""
        return self.batch * math.prod(self.geometry.input) * self.channels

    @property
    def y_size(self) -> int:
        """Numbers in y."""
        return self.batch * math.prod(self.geometry.output) * self.out_channels

    @property
    def w_size(self) -> int:
        """Numbers in w."""
        return math.prod(self.geometry.kernel) * self.depth * self.out_channels

    @property
    def operand_bytes(self) -> int:
        """What x, w and y take."""
        return (self.x_size + self.w_size + self.y_size) * self.dtype.itemsize

    @property
    def stamp_bytes(self) -> int:
        """What all stamps take, kernel cells and output channels of every input cell."""
        cells = self.batch * math.prod(self.geometry.input) * math.prod(self.geometry.kernel)
        return cells * self.out_channels * self.accumulator.itemsize

    @property
    def multiply_adds(self) -> int:
        """Useful products: none with an inserted zero, none cropped away."""
        return self.batch * self.geometry.multiply_adds * self.depth * self.out_channels
