"""One side of the trilinear form to compute, with all that is known before it runs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jtconv.geometry import Geometry

Side = Literal["dgrad", "fprop", "wgrad"]

PLAIN = ("mc,cn->mn", "mn,nc->mc")  # products whose operands lie as a convolution wants them
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
    ``batch`` is a nominal number where the true one is symbolic.
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
        """The dtype sums are held in: float32 for half precisions, int32 for small integers."""
        wide = {"float16": "float32", "bfloat16": "float32", "int8": "int32", "int16": "int32"}
        return jnp.dtype(wide.get(self.dtype.name, self.dtype.name))

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
    def multiply_adds(self) -> int:
        """Useful products: none with an inserted zero, none cropped away."""
        return self.batch * self.geometry.multiply_adds * self.depth * self.out_channels

    def einsum(self, equation: str, a: jax.Array, b: jax.Array) -> jax.Array:
        """``jnp.einsum`` with this task's precision and accumulator.

        A group letter ``g`` in front is dropped where there is one group: XLA's fast products
        are the ones without a batch.
        """
        single = self.groups == 1 and equation.startswith("g")
        if single:
            equation, a, b = equation.replace("g", ""), a[0], b[0]
        if single and self._is_tall(equation, a, b):
            return self._as_convolution(a, b)[None]
        c = jnp.einsum(
            equation, a, b, precision=self.precision, preferred_element_type=self.accumulator
        )
        return c[None] if single else c

    def correlate(self, a: jax.Array, b: jax.Array) -> jax.Array:
        """``(g, M, C)`` transposed times ``(g, M, N)``: the product of every kernel gradient.

        XLA:CPU runs it in one of three ways.  Where the sum is very long and the result small,
        both cores are busy only if the sum is cut in two.  Where ``a`` is narrow, turning it
        round first (behind a barrier, or XLA turns it back) reaches the faster library.
        """
        rows, size = a.shape[1], a.shape[2] * b.shape[2]
        known = self.platform == "cpu" and isinstance(rows, int) and self.groups == 1
        if known and (self.is_half or (rows < 8192 and a.shape[2] <= 64)):
            turned = lax.optimization_barrier(jnp.swapaxes(a, 1, 2))
            return self.einsum("gcm,gmn->gcn", turned, b)
        if known and rows >= 8192 and rows % 2 == 0 and size <= 2**15:
            halves = (part.reshape(2, rows // 2, part.shape[2]) for part in (a, b))
            return jnp.sum(self.einsum("hmc,hmn->hcn", *halves), axis=0, keepdims=True)
        return self.einsum("gmc,gmn->gcn", a, b)

    def _is_tall(self, equation: str, a: jax.Array, b: jax.Array) -> bool:
        """Whether XLA:CPU multiplies this faster as a convolution: float32 and many rows."""
        plain = self.platform == "cpu" and self.dtype.name == "float32" and equation in PLAIN
        return plain and isinstance(a.shape[0], int) and a.shape[0] >= 4 * b.shape[1] >= 1024

    def _as_convolution(self, a: jax.Array, b: jax.Array) -> jax.Array:
        """``a @ b`` as a convolution of width one, which Eigen's threads run, not YNNPACK's."""
        return lax.conv_general_dilated(
            a[None],
            b[None],
            (1,),
            "VALID",
            dimension_numbers=("NWC", "WIO", "NWC"),
            precision=self.precision,
            preferred_element_type=self.accumulator,
        )[0]
