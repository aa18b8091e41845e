"""Haiku: ``haiku.ConvNDTranspose``, which counts as lax does but where it has an output shape."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from jtconv.conventions import lax
from jtconv.conventions.layer import EXAMPLE_KERNEL, EXAMPLE_STRIDE, PaddingRow
from jtconv.problem import arguments
from jtconv.problem.padding import Crops


def crops(
    kernel_shape: Sequence[int],
    stride: int | Sequence[int] = 1,
    padding: lax.Padding = "SAME",
    output_shape: int | Sequence[int] | None = None,
) -> tuple[Crops, ...]:
    """What Haiku's arguments crop from the full output.

    As ``jax.lax`` has it, numbers being cells around the dilated input; with ``output_shape``,
    which only one size of input can make, "SAME" crops half of the surplus on each side, an odd
    cell at the end, and "VALID" all of it there.

    >>> crops((4,), 2), crops((4,), 2, output_shape=7), crops((4,), 2, [(2, 2)])
    (((1, 1),), ((1, 2),), ((1, 1),))
    """
    rank = len(kernel_shape)
    strides = arguments.per_axis("stride", stride, rank, least=1)
    if output_shape is None:
        return lax.crops(kernel_shape, strides, padding)
    name = arguments.choice("padding", padding, ("SAME", "VALID"))
    sizes = arguments.per_axis("output_shape", output_shape, rank, least=1)
    columns = zip(kernel_shape, strides, sizes, strict=True)
    return tuple(_sized(name, *column) for column in columns)


def _sized(name: str, kernel: int, stride: int, size: int) -> Crops:
    """Crops to this size from the one input that Haiku takes for it."""
    inputs = -(-size // stride) if name == "SAME" else (size - kernel) // stride + 1
    surplus = (inputs - 1) * stride + kernel - size
    lo = max(surplus, 0) // 2 if name == "SAME" else 0
    return lo, surplus - lo


PADDING = (
    PaddingRow(
        "Haiku", "SAME", "U // 2", "full - out - lo",
        partial(crops, (EXAMPLE_KERNEL,), EXAMPLE_STRIDE), {"output_shape": 9},
    ),
)  # fmt: skip
