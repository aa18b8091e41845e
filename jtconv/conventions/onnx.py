"""ONNX's words: a ConvTranspose or Conv node."""

from __future__ import annotations

from typing import Any

from jtconv.conventions import text
from jtconv.conventions.layer import Layer, LayerText
from jtconv.problem import padding
from jtconv.problem.padding import Crops

_DEFAULTS: dict[str, Any] = {"group": 1}
_OFTEN = ("strides", "pads", "output_padding", "dilations")


def to_text(layer: Layer) -> LayerText:
    """The node; its pads must not be negative."""
    if layer.transposed:
        said = [padding.to_onnx(a.crops, a.stride, a.dilation) for a in layer.axes]
    else:
        said = [(pair, 0) if min(pair) >= 0 else None for pair in layer.crops]
    if None in said:
        where = said.index(None)
        return LayerText("onnx", None, _kernel(layer), _why_not(layer, where))
    pairs, extras = zip(*(way for way in said if way), strict=True)
    return LayerText("onnx", _node(layer, pairs, extras), _kernel(layer))


def _node(layer: Layer, pairs: tuple[Crops, ...], extras: tuple[int, ...]) -> str:
    numbers = {
        "strides": list(layer.each("stride")),
        "pads": [before for before, _ in pairs] + [behind for _, behind in pairs],
        "output_padding": list(extras),
        "dilations": list(layer.each("dilation")),
    }
    dull = {name: [int(name in ("strides", "dilations"))] * len(numbers[name]) for name in _OFTEN}
    return text.call(
        "onnx.helper.make_node",
        "ConvTranspose" if layer.transposed else "Conv",
        ["X", "W", "B"] if layer.bias else ["X", "W"],
        ["Y"],
        defaults={**_DEFAULTS, **dull},
        **numbers,
        group=layer.groups,
    )


def _why_not(layer: Layer, axis: int) -> str:
    if layer.transposed:
        return (
            f"ONNX's pads are >= 0 and its output_padding < max(stride, dilation); axis {axis} "
            f"crops {layer.crops[axis]}"
        )
    return f"ONNX's pads are >= 0; axis {axis} has {layer.crops[axis]}"


def _kernel(layer: Layer) -> str:
    call, turned = layer.call, ", turned round" * layer.flip
    if layer.transposed:
        sizes = call.in_channels, call.out_channels // layer.groups
        return text.shape("I, O // groups, *k", (*sizes, *layer.each("kernel"))) + turned
    sizes = call.out_channels, call.in_channels // layer.groups
    return text.shape("O, I // groups, *k", (*sizes, *layer.each("kernel"))) + turned
