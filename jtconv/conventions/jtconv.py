"""Our own calls: ``jtconv.conv_transpose`` and ``jtconv.conv``, crops written out."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from jtconv.conventions import text, torch
from jtconv.conventions.layer import Inexpressible, Layer, LayerText

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
    specs, space = layer.call.layout.specs, layer.call.layout.spatial
    channels_last = (f"N{space}C", f"{space}IO", f"N{space}C")
    written = text.call(
        f"jtconv.{layer.call.op}",
        *map(text.Name, ("x", "w", "bias") if layer.bias else ("x", "w")),
        defaults=_DEFAULTS,
        stride=layer.each("stride"),
        **_padding(layer),
        dilation=layer.each("dilation"),
        groups=layer.groups,
        dimension_numbers=None if specs == channels_last else specs,
        flip_kernel=layer.flip,
    )
    return LayerText("jtconv", written, text.kernel(layer, "*k, I // groups, O"))


def _padding(layer: Layer) -> dict[str, Any]:
    """Numbers where these do, which mean what they mean in torch, else pairs."""
    if layer.call.border is not None:
        return {"padding": layer.call.border}
    if layer.transposed:
        with suppress(Inexpressible):
            return torch.from_crops(*layer.columns)
    if all(lo == hi for lo, hi in layer.crops):
        return {"padding": tuple(lo for lo, _ in layer.crops)}
    return {"padding": layer.crops}
