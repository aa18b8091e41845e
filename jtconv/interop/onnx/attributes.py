"""The attributes of ONNX's ConvTranspose, as crops."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from jtconv.problem import arguments
from jtconv.problem.padding import Crops, from_onnx

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
AUTO_PADS = ("NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID")


def crops(
    input_shape: Ints | None,
    kernel_shape: Ints,
    *,
    auto_pad: str = "NOTSET",
    dilations: Ints | None = None,
    output_padding: Ints | None = None,
    output_shape: Ints | None = None,
    pads: Ints | None = None,
    strides: Ints | None = None,
) -> tuple[Crops, ...]:
    """What ONNX's attributes crop from the full output.

    ``pads`` (all begins, then all ends) are crops, and ``output_padding`` is added behind. The
    specification leaves the rest open, and this does as onnxruntime:

    - "SAME_UPPER" and "SAME_LOWER" crop to ``n * stride`` cells, but where fewer are there
      nothing is added;
    - ``output_shape``, the spatial sizes alone, overrules ``pads``; an odd cell to crop is cut
      in front unless ``auto_pad`` is "SAME_UPPER", and a size beyond the full one adds zeros
      behind;
    - "VALID" crops nothing, whatever the stride;
    - ``pads`` beside an ``auto_pad`` other than "NOTSET" are an error.

    Args:
        input_shape: spatial sizes of the input; only ``output_shape`` needs them.
        kernel_shape: spatial sizes of the kernel.
        auto_pad, dilations, output_padding, output_shape, pads, strides: the attributes.

    >>> crops(None, [3], strides=[2], auto_pad="SAME_LOWER"), crops([4], [3], output_shape=[5])
    (((1, 0),), ((1, 0),))
    """
    auto_pad = arguments.choice("auto_pad", auto_pad, AUTO_PADS)
    axes = _axes(kernel_shape, strides, dilations, output_padding)
    if auto_pad != "NOTSET" and pads is not None:
        raise ValueError(f"pads must be left out where auto_pad is {auto_pad!r}, got {pads!r}.")
    if output_shape is not None:
        return _sized(axes, auto_pad, input_shape, output_shape)
    if auto_pad.startswith("SAME"):
        pairs = [_split(axis.span + axis.extra - axis.stride, auto_pad) for axis in axes]
    else:
        cut = each("pads", pads, 2 * len(axes), default=0)
        pairs = list(zip(cut[: len(axes)], cut[len(axes) :], strict=True))
    return tuple(from_onnx(pair, axis.extra) for pair, axis in zip(pairs, axes, strict=True))


def each(name: str, value: Ints | None, count: int, default: int = 1) -> tuple[int, ...]:
    """An attribute's ints, none below its default; ONNX never repeats one int."""
    if value is None:
        return (default,) * count
    items = arguments.sequence(value)
    if items is None or len(items) != count:
        kind = TypeError if items is None else ValueError
        raise kind(f"{name} must be a list of {count} ints, got {value!r}.")
    return arguments.per_axis(name, value, count, least=default)


class _Axis(NamedTuple):
    span: int  # of the dilated kernel
    stride: int
    extra: int
    room: int  # for extra cells: below stride or dilation


def _axes(
    kernel_shape: Ints, strides: Ints | None, dilations: Ints | None, output_padding: Ints | None
) -> list[_Axis]:
    rank = len(kernel_shape)
    stride, dilation = each("strides", strides, rank), each("dilations", dilations, rank)
    extra = each("output_padding", output_padding, rank, default=0)
    axes: list[_Axis] = []
    for k, s, d, more in zip(kernel_shape, stride, dilation, extra, strict=True):
        if more >= max(s, d):
            raise ValueError(
                f"output_padding[{len(axes)}] must be smaller than stride or dilation, that is "
                f"< {max(s, d)}, got {more}."
            )
        axes.append(_Axis(d * (k - 1) + 1, s, more, max(s, d)))
    return axes


def _split(cells: int, auto_pad: str) -> Crops:
    """Cells to crop, in front and behind."""
    cells = max(cells, 0)
    less, more = cells // 2, cells - cells // 2
    return (less, more) if auto_pad == "SAME_UPPER" else (more, less)


def _sized(
    axes: list[_Axis], auto_pad: str, input_shape: Ints | None, output_shape: Ints
) -> tuple[Crops, ...]:
    """Crops to the asked sizes."""
    if input_shape is None:
        raise ValueError("input_shape, the input's spatial sizes, must be known for output_shape.")
    inputs = each("input_shape", input_shape, len(axes))
    sizes = each("output_shape", output_shape, len(axes))
    pairs: list[Crops] = []
    for axis, n, size in zip(axes, inputs, sizes, strict=True):
        full = (n - 1) * axis.stride + axis.span
        if size >= full + axis.room:
            raise ValueError(
                f"output_shape[{len(pairs)}] must be at most {full + axis.room - 1}, less than a "
                f"stride or dilation beyond the full size, got {size}."
            )
        lo, _ = _split(full + axis.extra - size, auto_pad)
        pairs.append((lo, full - lo - size))
    return tuple(pairs)
