"""Our own words for the same call, crops written out."""

from __future__ import annotations

from typing import Any

from jtconv.conventions import text
from jtconv.conventions.layer import Layer, LayerText
from jtconv.problem import padding

_DEFAULTS = {
    "stride": 1,
    "padding": 0,
    "output_padding": 0,
    "dilation": 1,
    "groups": 1,
    "dimension_numbers": None,
    "flip_kernel": False,
}


def to_text(layer: Layer) -> LayerText:
    """The call; there always is one."""
    call = layer.call
    default = call.layout.specs == _last(layer)
    written = text.call(
        f"jtconv.{call.op}",
        *map(text.Name, ("x", "w", "bias") if layer.bias else ("x", "w")),
        defaults=_DEFAULTS,
        stride=layer.each("stride"),
        **_padding(layer),
        dilation=layer.each("dilation"),
        groups=layer.groups,
        dimension_numbers=None if default else call.layout.specs,
        flip_kernel=layer.flip,
    )
    return LayerText("jtconv", written, _kernel(layer))


def _last(layer: Layer) -> tuple[str, str, str]:
    space = layer.call.layout.spatial
    return f"N{space}C", f"{space}IO", f"N{space}C"


def _padding(layer: Layer) -> dict[str, Any]:
    """Numbers as in torch where these do, else pairs."""
    said = [padding.to_torch(a.crops, a.stride, a.dilation) for a in layer.axes]
    if layer.transposed and None not in said:
        before, after = zip(*(pair for pair in said if pair), strict=True)
        return {"padding": before, "output_padding": after}
    if all(lo == hi for lo, hi in layer.crops):
        return {"padding": tuple(lo for lo, _ in layer.crops)}
    return {"padding": layer.crops}


def _kernel(layer: Layer) -> str:
    call = layer.call
    channels = call.in_channels // layer.groups, call.out_channels
    return text.shape("*k, I // groups, O", (*layer.each("kernel"), *channels))
