"""The types of arguments, for annotations of your own: ``from jtconv.typing import Padding``.

Names are literals, so a type checker finds a misspelt one before it runs. At run time the names of
padding are taken in any letter case; a checker knows those that are all upper or all lower case.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import jax

__all__ = [
    "BorderName",
    "DimensionNumbers",
    "Method",
    "MethodName",
    "Op",
    "Padding",
    "PaddingName",
    "PerAxis",
    "Platform",
    "Precision",
    "ZerosName",
    "ZerosPadding",
]

PerAxis = int | Sequence[int]
"""One int for all spatial axes, or one per axis."""

ZerosName = (
    Literal["SAME", "SAME_LOWER", "VALID", "FULL", "CAUSAL"]
    | Literal["same", "same_lower", "valid", "full", "causal"]
)
"""A padding with zeros, by name."""

BorderName = Literal["CIRCULAR", "REFLECT", "EDGE", "circular", "reflect", "edge"]
"""A padding that repeats what is in the array, by name."""

PaddingName = ZerosName | BorderName
"""Any padding that has a name."""

Padding = PaddingName | int | Sequence[int | Sequence[int]]
"""A name, an int, or per spatial axis an int or a ``(lo, hi)`` pair."""

ZerosPadding = ZerosName | int | Sequence[int | Sequence[int]]
"""The same without borders: that of pooling and of drawings."""

MethodName = (
    Literal["auto", "dilated", "vjp", "scatter", "gemm", "phases", "taps"]
    | Literal["dense", "fold", "fft", "matrix", "pallas"]
)
"""A way to compute, by name: "auto", or what :func:`jtconv.methods` lists."""

Method = MethodName | Sequence[MethodName]
"""One, or several of which the first that can do the problem runs."""

Op = Literal["conv_transpose", "conv"]
"""The two operations."""

Platform = Literal["cpu", "cuda", "rocm", "tpu"]
"""What a program is lowered for, as JAX names it."""

DimensionNumbers = tuple[str, str, str] | jax.lax.ConvDimensionNumbers | None
"""The order of the axes of input, kernel and output, as in lax; None for channels last."""

Precision = Any
"""As ``jax.lax.conv_general_dilated`` has it."""
