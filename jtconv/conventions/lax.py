"""lax: ``jax.lax.conv_transpose``, whose numbers pad the input dilated by the stride.

``(low, high)`` cells around the dilated input crop ``D - 1 - low`` and ``D - 1 - high`` from the
full output, where ``D = dilation * (kernel - 1) + 1``. Flax and Haiku count likewise.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Literal

from jtconv.conventions import text
from jtconv.conventions.layer import (
    EXAMPLE_KERNEL,
    EXAMPLE_STRIDE,
    Layer,
    LayerText,
    PaddingRow,
    PerAxis,
)
from jtconv.problem import arguments
from jtconv.problem import padding as ours
from jtconv.problem.padding import Crops

PaddingName = Literal["SAME", "VALID"] | Literal["SAME_LOWER", "same", "same_lower", "valid"]
Padding = PaddingName | Sequence[tuple[int, int]]


def pads(pairs: Sequence[Crops], kernel: PerAxis, dilation: PerAxis) -> tuple[Crops, ...]:
    """The pads of the dilated input that make these crops, and the crops that pads make.

    >>> pads([(1, 2)], (4,), (1,)), pads([(2, 1)], (4,), (1,))
    (((2, 1),), ((1, 2),))
    """
    columns = zip(pairs, ours.effective_kernels(kernel, dilation), strict=True)
    return tuple((span - 1 - low, span - 1 - high) for (low, high), span in columns)


def crops(
    kernel_size: Sequence[int],
    strides: Sequence[int],
    padding: Padding,
    rhs_dilation: int | Sequence[int] = 1,
    use_consistent_padding: bool = False,
) -> tuple[Crops, ...]:
    """What lax's arguments crop from the full output.

    "SAME" and "VALID" as :func:`jtconv.conv_transpose` has them; a number ``a`` crops
    ``D - 1 - a``, where ``D = dilation * (kernel - 1) + 1``, or ``a`` if padding is consistent.

    >>> crops((4,), (2,), [(0, 0)]), crops((4,), (2,), "VALID")
    (((3, 3),), ((0, 0),))
    """
    rank = len(kernel_size)
    kernel = tuple(kernel_size)
    stride = arguments.per_axis("strides", strides, rank, least=1)
    dilation = arguments.per_axis("rhs_dilation", rhs_dilation, rank, least=1)
    if isinstance(padding, str):
        return _named(padding, kernel, stride, dilation, use_consistent_padding)
    pairs = _pairs(padding, rank)
    return pairs if use_consistent_padding else pads(pairs, kernel, dilation)


def _named(
    name: str, kernel: PerAxis, stride: PerAxis, dilation: PerAxis, consistent: bool
) -> tuple[Crops, ...]:
    """A name's crops; lax takes those it does not know for names of the plain convolution."""
    spans = ours.effective_kernels(kernel, dilation)
    if name in ("SAME", "VALID"):
        return tuple(ours.from_name(name, *column) for column in zip(spans, stride, strict=True))
    plain = name.upper()
    if consistent or plain not in ("SAME", "SAME_LOWER", "VALID") or set(stride) != {1}:
        raise ValueError(
            f"padding must be 'SAME', 'VALID' or a (low, high) pair per axis in jax.lax, got "
            f"{name!r}; jtconv.conv_transpose knows more names, in any letter case."
        )
    zeros = [ours.of_convolution(plain, 1, span, 1) for span in spans]
    return pads(zeros, kernel, dilation)


def _pairs(padding: Any, rank: int) -> tuple[Crops, ...]:
    items = arguments.sequence(padding)
    if items is None or len(items) != rank or not all(map(arguments.sequence, items)):
        raise ValueError(
            f"padding must be 'SAME', 'VALID' or one (low, high) pair per spatial axis, {rank} in "
            f"all, got {padding!r}."
        )
    pairs = (arguments.per_axis(f"padding[{axis}]", item, 2) for axis, item in enumerate(items))
    return tuple((low, high) for low, high in pairs)


def from_crops(
    crops: Sequence[Crops], kernel: PerAxis, stride: PerAxis, dilation: PerAxis
) -> dict[str, Any]:
    """The ``padding`` that makes these crops; there always is some."""
    return {"padding": list(pads(crops, kernel, dilation))}


def to_text(layer: Layer) -> LayerText:
    """``lax.conv_transpose``, or the general convolution where there are groups."""
    if layer.transposed and layer.groups == 1:
        kernel = text.kernel(layer, ", ".join(layer.call.layout.specs[1]))
        return LayerText("lax", _transpose(layer), kernel)
    why_not = None
    if layer.transposed:
        why_not = "lax.conv_transpose has no groups; the general convolution has"
    # The general convolution of a dilated input is the transposed one of the flipped kernel.
    kernel = text.kernel(layer, "*k, I // groups, O", flipped=layer.flip != layer.transposed)
    return LayerText("lax", _general(layer), kernel, why_not)


def _transpose(layer: Layer) -> str:
    """``transpose_kernel`` flips the kernel and swaps its channels, so O and I swap first."""
    x, w, y = layer.call.layout.specs
    swapped = w if layer.flip else w.translate(str.maketrans("IO", "OI"))
    return text.call(
        "jax.lax.conv_transpose",
        *map(text.Name, "xw"),
        defaults={"rhs_dilation": 1},
        strides=list(layer.each("stride")),
        **from_crops(*layer.columns),
        rhs_dilation=_many(layer.each("dilation")),
        dimension_numbers=(x, swapped, y),
        transpose_kernel=not layer.flip,
    )


def _general(layer: Layer) -> str:
    specs, space = layer.call.layout.specs, layer.call.layout.spatial
    strides = list(layer.each("stride"))
    pads = from_crops(*layer.columns) if layer.transposed else {"padding": list(layer.crops)}
    return text.call(
        "jax.lax.conv_general_dilated",
        *map(text.Name, "xw"),
        defaults={"rhs_dilation": 1, "lhs_dilation": 1, "feature_group_count": 1},
        window_strides=[1] * layer.rank if layer.transposed else strides,
        **pads,
        lhs_dilation=_many(layer.each("stride")) if layer.transposed else 1,
        rhs_dilation=_many(layer.each("dilation")),
        dimension_numbers=(specs[0], space + "IO", specs[2]),
        feature_group_count=layer.groups,
    )


def _many(values: PerAxis) -> list[int] | int:
    """lax wants one number per axis wherever it wants any."""
    return 1 if set(values) == {1} else list(values)


_example = partial(crops, (EXAMPLE_KERNEL,), (EXAMPLE_STRIDE,))
PADDING = (
    PaddingRow(
        "lax, Flax", "numbers", "D - 1 - low", "D - 1 - high", _example, {"padding": [(2, 3)]}
    ),
    PaddingRow(
        "lax", "numbers", "low", "high",
        _example, {"padding": [(2, 1)], "use_consistent_padding": True},
    ),
    PaddingRow(
        "lax, Flax, Keras, Haiku", "SAME", "max(D - s, 0) // 2", "D - s - lo",
        _example, {"padding": "SAME"},
    ),
    PaddingRow(
        "lax, Flax, Keras, Haiku", "VALID", "0", "min(D - s, 0)", _example, {"padding": "VALID"}
    ),
)  # fmt: skip
