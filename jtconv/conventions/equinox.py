"""Equinox: ``equinox.nn.ConvTranspose``, whose numbers are crops of the full output."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Literal

from jtconv.conventions.layer import EXAMPLE_KERNEL, EXAMPLE_STRIDE, PaddingRow
from jtconv.problem import arguments
from jtconv.problem import padding as ours
from jtconv.problem.padding import Crops

PaddingName = Literal["SAME", "SAME_LOWER", "VALID"] | Literal["same", "same_lower", "valid"]


def crops(
    kernel_size: Sequence[int],
    stride: int | Sequence[int] = 1,
    padding: PaddingName | int | Sequence[int] | Sequence[Crops] = 0,
    output_padding: int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
) -> tuple[Crops, ...]:
    """What Equinox's arguments crop from the full output.

    Numbers are crops and "VALID" crops nothing; "SAME" and "SAME_LOWER" make ``n * stride`` cells
    less ``output_padding``, which lengthens the output otherwise.

    >>> crops((3,), 2, "SAME"), crops((3,), 2, "SAME", 1), crops((3,), 2, 1, 1)
    (((0, 1),), ((1, 1),), ((1, 0),))
    """
    rank = len(kernel_size)
    strides = arguments.per_axis("stride", stride, rank, least=1)
    extra = arguments.per_axis("output_padding", output_padding, rank, least=0)
    dilations = arguments.per_axis("dilation", dilation, rank, least=1)
    if not isinstance(padding, str):
        pairs: Any = ours.parse(padding, rank)
        return tuple((lo, hi - more) for (lo, hi), more in zip(pairs, extra, strict=True))
    name = arguments.choice("padding", padding, ("SAME", "SAME_LOWER", "VALID"), any_case=True)
    columns = zip(ours.effective_kernels(kernel_size, dilations), strides, extra, strict=True)
    return tuple(_named(name, *column) for column in columns)


def _named(name: str, effective: int, stride: int, extra: int) -> Crops:
    if name == "VALID":
        return 0, -extra
    cut = effective - stride + extra
    lo = (max(cut, 0) + (name == "SAME_LOWER")) // 2
    return lo, cut - lo


_example = partial(crops, (EXAMPLE_KERNEL,), EXAMPLE_STRIDE)
PADDING = (
    PaddingRow(
        "Equinox", "numbers", "low", "high - a", _example, {"padding": 1, "output_padding": 1}
    ),
    PaddingRow(
        "Equinox", "SAME", "max(D - s + a, 0) // 2", "D - s + a - lo",
        _example, {"padding": "SAME", "output_padding": 1},
    ),
)  # fmt: skip
