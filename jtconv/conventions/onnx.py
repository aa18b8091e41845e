"""ONNX: a ConvTranspose or Conv node.

``pads`` are crops, and ``output_padding`` is added at the end.  What the specification leaves open
is decided as onnxruntime does.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Literal, NamedTuple, get_args

from jtconv.conventions import text
from jtconv.conventions.layer import (
    EXAMPLE_INPUT,
    EXAMPLE_KERNEL,
    EXAMPLE_STRIDE,
    Inexpressible,
    Layer,
    LayerText,
    PaddingRow,
    PerAxis,
)
from jtconv.problem import arguments
from jtconv.problem import padding as ours
from jtconv.problem.padding import Crops

Ints = Sequence[int]
ATTRIBUTES = (
    "auto_pad",
    "dilations",
    "group",
    "kernel_shape",
    "output_padding",
    "output_shape",
    "pads",
    "strides",
)
AutoPad = Literal["NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"]


def crops(
    input_shape: Ints | None,
    kernel_shape: Ints,
    *,
    auto_pad: AutoPad = "NOTSET",
    dilations: Ints | None = None,
    output_padding: Ints | None = None,
    output_shape: Ints | None = None,
    pads: Ints | None = None,
    strides: Ints | None = None,
) -> tuple[Crops, ...]:
    """What ONNX's attributes crop from the full output.

    ``pads`` (all begins, then all ends) are crops, and ``output_padding`` is added at the end. The
    specification leaves the rest open, and this does as onnxruntime:

    - "SAME_UPPER" and "SAME_LOWER" crop to ``n * stride`` cells, but where fewer are there
      nothing is added;
    - ``output_shape``, the spatial sizes alone, overrules ``pads``; an odd cell to crop is cut
      in front unless ``auto_pad`` is "SAME_UPPER", and a size beyond the full one adds zeros
      at the end;
    - "VALID" crops nothing, whatever the stride;
    - ``pads`` beside an ``auto_pad`` other than "NOTSET" are an error.

    Args:
        input_shape: spatial sizes of the input; only ``output_shape`` needs them.
        kernel_shape: spatial sizes of the kernel.
        auto_pad, dilations, output_padding, output_shape, pads, strides: the attributes.

    >>> crops(None, [3], strides=[2], auto_pad="SAME_LOWER"), crops([4], [3], output_shape=[5])
    (((1, 0),), ((1, 0),))
    """
    auto_pad = arguments.choice("auto_pad", auto_pad, get_args(AutoPad))
    axes = _axes(kernel_shape, strides, dilations, output_padding)
    if auto_pad != "NOTSET" and pads is not None:
        raise ValueError(f"pads must be left out where auto_pad is {auto_pad!r}, got {pads!r}.")
    if output_shape is not None:
        return _sized(axes, auto_pad, input_shape, output_shape)
    if auto_pad.startswith("SAME"):
        pairs = [_split(axis.effective + axis.extra - axis.stride, auto_pad) for axis in axes]
    else:
        cut = per_axis("pads", pads, 2 * len(axes), default=0)
        pairs = list(zip(cut[: len(axes)], cut[len(axes) :], strict=True))
    return tuple((begin, end - axis.extra) for (begin, end), axis in zip(pairs, axes, strict=True))


def per_axis(name: str, value: Ints | None, count: int, default: int = 1) -> PerAxis:
    """An attribute's ints, none below its default; ONNX never repeats one int."""
    if value is None:
        return (default,) * count
    items = arguments.sequence(value)
    if items is None or len(items) != count:
        kind = TypeError if items is None else ValueError
        raise kind(f"{name} must be a list of {count} ints, got {value!r}.")
    return arguments.per_axis(name, value, count, least=default)


class _Axis(NamedTuple):
    effective: int  # kernel
    stride: int
    dilation: int
    extra: int


def _axes(
    kernel_shape: Ints, strides: Ints | None, dilations: Ints | None, output_padding: Ints | None
) -> list[_Axis]:
    rank = len(kernel_shape)
    stride, dilation = per_axis("strides", strides, rank), per_axis("dilations", dilations, rank)
    extra = per_axis("output_padding", output_padding, rank, default=0)
    ours.check_output_padding(extra, stride, dilation)
    columns = ours.effective_kernels(kernel_shape, dilation), stride, dilation, extra
    return [_Axis(*column) for column in zip(*columns, strict=True)]


def _split(cells: int, auto_pad: str) -> Crops:
    """Cells to crop, in front and at the end."""
    cells = max(cells, 0)
    less, more = cells // 2, cells - cells // 2
    return (less, more) if auto_pad == "SAME_UPPER" else (more, less)


def _sized(
    axes: list[_Axis], auto_pad: str, input_shape: Ints | None, output_shape: Ints
) -> tuple[Crops, ...]:
    """Crops to the sizes of ``output_shape``."""
    if input_shape is None:
        raise ValueError("input_shape, the input's spatial sizes, must be known for output_shape.")
    inputs = per_axis("input_shape", input_shape, len(axes))
    sizes = per_axis("output_shape", output_shape, len(axes))
    pairs: list[Crops] = []
    for axis, n, size in zip(axes, inputs, sizes, strict=True):
        full = (n - 1) * axis.stride + axis.effective
        most = full + max(axis.stride, axis.dilation) - 1
        if size > most:
            raise ValueError(
                f"output_shape[{len(pairs)}] must be at most {most}, less than a stride or "
                f"dilation beyond the full size, got {size}."
            )
        lo, _ = _split(full + axis.extra - size, auto_pad)
        pairs.append((lo, full - lo - size))
    return tuple(pairs)


def from_crops(
    crops: Sequence[Crops], kernel: PerAxis, stride: PerAxis, dilation: PerAxis
) -> dict[str, Any]:
    """The ``pads`` and ``output_padding`` that make these crops.

    >>> from_crops([(1, -1)], (3,), (2,), (1,))
    {'pads': [1, 0], 'output_padding': [1]}
    """
    extra = [max(-hi, 0) for _, hi in crops]
    for axis, ((lo, hi), more, s, d) in enumerate(zip(crops, extra, stride, dilation, strict=True)):
        if lo < 0 or more >= max(s, d):
            raise Inexpressible(
                "ONNX's pads are >= 0 and its output_padding < max(stride, dilation); axis "
                f"{axis} crops {(lo, hi)}"
            )
    return {"pads": _flat([(lo, max(hi, 0)) for lo, hi in crops]), "output_padding": extra}


def _from_zeros(zeros: Sequence[Crops]) -> dict[str, Any]:
    """The ``pads`` that put these zeros around the input of a convolution."""
    for axis, pair in enumerate(zeros):
        if min(pair) < 0:
            raise Inexpressible(f"ONNX's pads are >= 0; axis {axis} has {pair}")
    return {"pads": _flat(zeros)}


def _flat(pairs: Sequence[Crops]) -> list[int]:
    """All begins, then all ends."""
    return [begin for begin, _ in pairs] + [end for _, end in pairs]


def to_text(layer: Layer) -> LayerText:
    """The node; its pads must not be negative."""
    axes = "I, O // groups, *k" if layer.transposed else "O, I // groups, *k"
    kernel = text.kernel(layer, axes, flipped=layer.flip)
    try:
        pads = from_crops(*layer.columns) if layer.transposed else _from_zeros(layer.crops)
    except Inexpressible as why_not:
        return LayerText("onnx", None, kernel, str(why_not))
    ones, zeros = [1] * layer.rank, [0] * layer.rank
    written = text.call(
        "onnx.helper.make_node",
        "ConvTranspose" if layer.transposed else "Conv",
        ["X", "W", "B"] if layer.bias else ["X", "W"],
        ["Y"],
        defaults={
            "strides": ones, "pads": zeros * 2, "output_padding": zeros, "dilations": ones,
            "group": 1,
        },
        strides=list(layer.each("stride")),
        **pads,
        dilations=list(layer.each("dilation")),
        group=layer.groups,
    )  # fmt: skip
    return LayerText("onnx", written, kernel)


_example = partial(crops, [EXAMPLE_INPUT], [EXAMPLE_KERNEL], strides=[EXAMPLE_STRIDE])
PADDING = (
    PaddingRow(
        "ONNX", "pads", "begin", "end - a", _example, {"pads": [1, 2], "output_padding": [1]}
    ),
    PaddingRow(
        "ONNX", "SAME_UPPER", "T // 2", "T - lo - a", _example, {"auto_pad": "SAME_UPPER"}
    ),
    PaddingRow(
        "ONNX", "SAME_LOWER", "T - T // 2", "T - lo - a", _example, {"auto_pad": "SAME_LOWER"}
    ),
    PaddingRow("ONNX", "VALID", "0", "-a", _example, {"auto_pad": "VALID"}),
    PaddingRow(
        "ONNX", "output_shape", "U - U // 2", "full - out - lo", _example, {"output_shape": [10]}
    ),
)  # fmt: skip
