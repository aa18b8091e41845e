"""torch: ``torch.nn.ConvTranspose2d`` and its kin.

``padding`` p and ``output_padding`` a crop p in front and p - a at the end; a convolution has p
zeros on both sides.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from jtconv.conventions import text
from jtconv.conventions.layer import (
    EXAMPLE_STRIDE,
    Inexpressible,
    Layer,
    LayerSpec,
    LayerText,
    PaddingRow,
    PerAxis,
)
from jtconv.problem import arguments
from jtconv.problem.padding import Crops, check_output_padding

EXAMPLE = "ConvTranspose2d(16, 33, 3, stride=2)"
# The two differ in the order of their arguments.
_TRANSPOSED = text.signature(
    "in_channels, out_channels, kernel_size, stride=1, padding=0, output_padding=0, groups=1, "
    "bias=True, dilation=1, padding_mode='zeros', device=None, dtype=None"
)
_PLAIN = text.signature(
    "in_channels, out_channels, kernel_size, stride=1, padding=0, dilation=1, groups=1, "
    "bias=True, padding_mode='zeros', device=None, dtype=None"
)
SIGNATURES = {f"ConvTranspose{n}d": _TRANSPOSED for n in (1, 2, 3)} | {
    f"Conv{n}d": _PLAIN for n in (1, 2, 3)
}


def crops(
    rank: int,
    stride: int | PerAxis = 1,
    padding: int | PerAxis = 0,
    output_padding: int | PerAxis = 0,
    dilation: int | PerAxis = 1,
) -> tuple[Crops, ...]:
    """What torch's arguments crop: ``padding`` in front, ``padding - output_padding`` at the end.

    >>> crops(2, stride=2, padding=1, output_padding=(0, 1))
    ((1, 1), (1, 0))
    """
    strides = per_axis("stride", stride, rank, 1)
    pads = per_axis("padding", padding, rank, 0)
    extra = per_axis("output_padding", output_padding, rank, 0)
    check_output_padding(extra, strides, per_axis("dilation", dilation, rank, 1))
    return tuple((p, p - a) for p, a in zip(pads, extra, strict=True))


def per_axis(name: str, value: Any, rank: int, least: int) -> PerAxis:
    """One int for every axis: torch repeats a tuple of one, too."""
    items = arguments.sequence(value)
    value = items[0] if items is not None and len(items) == 1 else value
    return arguments.per_axis(name, value, rank, least)


def from_crops(
    crops: Sequence[Crops], kernel: PerAxis, stride: PerAxis, dilation: PerAxis
) -> dict[str, Any]:
    """The ``padding`` and ``output_padding`` that make these crops.

    >>> from_crops([(1, 0)], (3,), (2,), (1,))
    {'padding': (1,), 'output_padding': (1,)}
    """
    for axis, ((lo, hi), s, d) in enumerate(zip(crops, stride, dilation, strict=True)):
        if lo < 0 or not 0 <= lo - hi < max(s, d):
            raise Inexpressible(
                "torch crops (p, p - output_padding) with p >= 0 and output_padding < max(stride, "
                f"dilation); axis {axis} crops ({lo}, {hi})"
            )
    padding, extra = zip(*((lo, lo - hi) for lo, hi in crops), strict=True)
    return {"padding": padding, "output_padding": extra}


def from_zeros(zeros: Sequence[Crops]) -> dict[str, Any]:
    """The ``padding`` that puts these zeros around the input of a convolution."""
    for axis, (lo, hi) in enumerate(zeros):
        if lo != hi or lo < 0:
            raise Inexpressible(f"torch pads both ends alike; axis {axis} has ({lo}, {hi})")
    return {"padding": tuple(lo for lo, _ in zeros)}


def to_text(layer: Layer) -> LayerText:
    """The module, or that padding has to be done apart."""
    if layer.rank > 3:
        return LayerText("torch", None, why_not="torch's layers have 1 to 3 spatial axes")
    axes = "I, O // groups, *k" if layer.transposed else "O, I // groups, *k"
    kernel = text.kernel(layer, axes, flipped=layer.flip)
    if layer.call.border is not None:
        return _bordered(layer, layer.call.border, kernel)
    try:
        padding = from_crops(*layer.columns) if layer.transposed else from_zeros(layer.crops)
    except Inexpressible as why_not:
        return LayerText("torch", _padded_apart(layer), kernel, str(why_not))
    return LayerText("torch", _module(layer, **padding), kernel)


def _module(layer: Layer, **padding: PerAxis | str) -> str:
    return text.call(
        f"torch.nn.Conv{'Transpose' if layer.transposed else ''}{layer.rank}d",
        layer.call.in_channels,
        layer.call.out_channels,
        layer.each("kernel"),
        defaults=text.defaults(_TRANSPOSED),
        stride=layer.each("stride"),
        **padding,
        dilation=layer.each("dilation"),
        groups=layer.groups,
        bias=layer.bias,
    )


# What torch calls the borders.
PADDING_MODES = {"CIRCULAR": "circular", "REFLECT": "reflect", "EDGE": "replicate"}


def _bordered(layer: Layer, border: str, kernel: str) -> LayerText:
    if layer.transposed:
        why_not = "torch's transposed convolutions have no padding_mode but zeros"
        return LayerText("torch", None, why_not=why_not)
    try:
        padding = from_zeros(layer.crops)
    except Inexpressible as why:
        return LayerText("torch", None, why_not=str(why))
    mode = PADDING_MODES[border]
    return LayerText("torch", _module(layer, **padding, padding_mode=mode), kernel)


def _padded_apart(layer: Layer) -> str | None:
    """The layer without padding, between zeros added or cells cropped by ``F.pad``."""
    sign = -1 if layer.transposed else 1
    pads = tuple(sign * cells for pair in reversed(layer.crops) for cells in pair)
    if layer.transposed and layer.bias and max(pads) > 0:
        return None  # the bias would be missing from the added cells
    if layer.transposed:
        return f"torch.nn.functional.pad({_module(layer)}(x), {text.code(pads)})"
    return f"{_module(layer)}(torch.nn.functional.pad(x, {text.code(pads)}))"


def from_text(source: str) -> LayerSpec:
    """``ConvTranspose2d(16, 33, 3, stride=2)``, or ``Conv2d`` and its kin."""
    name, given = text.parse(source, SIGNATURES)
    if given["padding_mode"] != "zeros":
        raise ValueError(
            f"{name}: padding_mode must be 'zeros' here, got {given['padding_mode']!r}."
        )
    rank, transposed = int(name[-2]), name.startswith("ConvTranspose")
    names = ("stride", "dilation", "groups", *(("output_padding",) if transposed else ()))
    return LayerSpec(
        "conv_transpose" if transposed else "conv",
        arguments.integer("in_channels", given["in_channels"], least=1),
        arguments.integer("out_channels", given["out_channels"], least=1),
        arguments.per_axis("kernel_size", given["kernel_size"], rank, least=1),
        bool(given["bias"]),
        {name: given[name] for name in names} | {"padding": _padding(name, given, transposed)},
    )


def _padding(name: str, given: dict[str, Any], transposed: bool) -> Any:
    """Numbers; a convolution may also have "same", whose odd zero torch puts at the end."""
    if not isinstance(given["padding"], str):
        return given["padding"]
    if transposed or given["padding"] not in ("same", "valid"):
        raise ValueError(f"{name}: padding must be numbers, got {given['padding']!r}.")
    strides = arguments.per_axis("stride", given["stride"], int(name[-2]), least=1)
    if given["padding"] == "same" and max(strides) > 1:
        raise ValueError(f"{name}: padding='same' needs stride 1 in torch.")
    return given["padding"]


PADDING = (
    PaddingRow(
        "torch", "numbers", "p", "p - a",
        partial(crops, 1, EXAMPLE_STRIDE), {"padding": 1, "output_padding": 1},
    ),
)  # fmt: skip
