"""A task: one side of the trilinear form to compute, with all that is known before it runs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import jax.numpy as jnp
import numpy as np

from jtconv.problem.geometry import Geometry
from jtconv.problem.symbolic import is_symbolic
from jtconv.typing import Op

Side = Literal["dgrad", "fprop", "wgrad"]

# The side that each operation is, and then those of its two gradients: by the input, by the kernel.
SIDES: dict[Op, tuple[Side, Side, Side]] = {
    "conv_transpose": ("dgrad", "fprop", "wgrad"),
    "conv": ("fprop", "dgrad", "wgrad"),
}
# The two operands of a side, and then its result.
ROLES: dict[Side, str] = {"dgrad": "xwy", "fprop": "ywx", "wgrad": "xyw"}

LANES, SUBLANES = 128, 8  # of a TPU's vectors
NOMINAL_BATCH = 8  # stands for a symbolic batch when costs are estimated


class Unsupported(ValueError):
    """A named method cannot do this problem; the message says why, and what can."""


@dataclass(frozen=True)
class Cost:
    """What an algorithm would spend: products computed, wasted ones too, and bytes held besides."""

    multiply_adds: int
    temporary_bytes: int


def accumulator(dtype: np.dtype, result: np.dtype) -> np.dtype:
    """The dtype sums are held in: that of the result, but float32 or int32 at least."""
    wide = {"float16": "float32", "bfloat16": "float32", "int8": "int32", "int16": "int32"}
    least = jnp.dtype(wide.get(dtype.name, dtype.name))
    return result if result.itemsize > least.itemsize else least


@dataclass(frozen=True)
class Task:
    """One side of one problem: dgrad ``x, w -> y``, fprop ``y, w -> x`` or wgrad ``x, y -> w``.

    ``batch`` is a nominal number where the true one is symbolic, and ``tile`` names the block
    sizes that a hand-written kernel is to use; None leaves them to the kernel.
    """

    side: Side
    geometry: Geometry
    batch: int
    x_channels: int
    y_channels: int
    dtype: np.dtype
    result_dtype: np.dtype
    platform: str = "cpu"
    precision: Any = None
    tile: str | None = None

    @classmethod
    def of(
        cls,
        side: Side,
        geometry: Geometry,
        shapes: dict[str, tuple[Any, ...]],
        dtype: Any,
        result: Any,
        platform: str,
        precision: Any = None,
    ) -> Task:
        """The task of operands with these ``shapes``: two of "x", "w" and "y", canonical."""
        pixels = shapes.get("x") or shapes["y"]
        batch = pixels[0] if isinstance(pixels[0], int) else NOMINAL_BATCH
        x_channels = shapes["x"][-1] if "x" in shapes else geometry.groups * shapes["w"][-2]
        y_channels = shapes["y"][-1] if "y" in shapes else shapes["w"][-1]
        dtypes = jnp.dtype(dtype), jnp.dtype(result)
        return cls(side, geometry, batch, x_channels, y_channels, *dtypes, platform, precision)

    @property
    def groups(self) -> int:
        """Channel groups."""
        return self.geometry.groups

    @property
    def symbols(self) -> str:
        """The sizes that are not numbers, for messages."""
        sizes = (*self.geometry.x_size, *self.geometry.y_size)
        return ", ".join(dict.fromkeys(str(size) for size in sizes if is_symbolic(size)))

    @property
    def x_channels_per_group(self) -> int:
        """C // groups of the law: what one tap of dgrad sums."""
        return self.x_channels // self.groups

    @property
    def y_channels_per_group(self) -> int:
        """O // groups of the law."""
        return self.y_channels // self.groups

    @cached_property
    def accumulator(self) -> np.dtype:
        """The dtype sums are held in: that of the result, but float32 or int32 at least."""
        return accumulator(self.dtype, self.result_dtype)

    @property
    def is_half(self) -> bool:
        """Whether the operands are 16-bit floats."""
        return self.dtype.name in ("float16", "bfloat16")

    @property
    def rows(self) -> int:
        """Positions of x in all examples: the rows of its matrix."""
        return self.batch * math.prod(self.geometry.x_size)

    @property
    def x_elements(self) -> int:
        """Numbers in x."""
        return self.rows * self.x_channels

    @property
    def y_elements(self) -> int:
        """Numbers in y."""
        return self.batch * math.prod(self.geometry.y_size) * self.y_channels

    @property
    def w_elements(self) -> int:
        """Numbers in w."""
        return math.prod(self.geometry.kernel) * self.x_channels_per_group * self.y_channels

    @property
    def operand_bytes(self) -> int:
        """What x, w and y take."""
        return (self.x_elements + self.w_elements + self.y_elements) * self.dtype.itemsize

    @property
    def im2col_elements(self) -> int:
        """Numbers in im2col of y: every tap and channel of y, for every position of x."""
        return self.rows * math.prod(self.geometry.kernel) * self.y_channels

    @property
    def im2col_bytes(self) -> int:
        """What these take in the accumulator's dtype."""
        return self.im2col_elements * self.accumulator.itemsize

    def tiled(self, elements: int, rows: int, columns: int) -> int:
        """What ``elements`` numbers take, in numbers, as arrays whose last axes are these.

        A TPU keeps the last axis in whole lanes, 128 of them, and the one before in whole
        sublanes, 8: arrays whose channels are few take many times their numbers.
        """
        if self.platform != "tpu":
            return elements
        full = -(-rows // SUBLANES) * SUBLANES * -(-columns // LANES) * LANES
        return -(-elements * full // max(rows * columns, 1))

    @property
    def multiply_adds(self) -> int:
        """Useful products: none with an inserted zero, none cropped away."""
        per_tap = self.x_channels_per_group * self.y_channels
        return self.batch * self.geometry.multiply_adds * per_tap
