"""torch's words: ``torch.nn.ConvTranspose2d`` and its kin."""

from __future__ import annotations

from typing import Any

from jtconv.conventions import text
from jtconv.conventions.layer import Layer, LayerSpec, LayerText
from jtconv.problem import arguments, padding

_DEFAULTS = {
    "stride": 1,
    "padding": 0,
    "output_padding": 0,
    "dilation": 1,
    "groups": 1,
    "bias": True,
}
_TAIL: dict[str, Any] = {"padding_mode": "zeros", "device": None, "dtype": None}
# The two differ in the order of their arguments.
_TRANSPOSED = text.signature(
    "in_channels out_channels kernel_size",
    stride=1,
    padding=0,
    output_padding=0,
    groups=1,
    bias=True,
    dilation=1,
    **_TAIL,
)
_PLAIN = text.signature(
    "in_channels out_channels kernel_size",
    stride=1,
    padding=0,
    dilation=1,
    groups=1,
    bias=True,
    **_TAIL,
)
SIGNATURES = {f"ConvTranspose{n}d": _TRANSPOSED for n in (1, 2, 3)} | {
    f"Conv{n}d": _PLAIN for n in (1, 2, 3)
}


def to_text(layer: Layer) -> LayerText:
    """The module, or that padding has to be done apart."""
    if layer.rank > 3:
        return LayerText("torch", None, why_not="torch's layers have 1 to 3 spatial axes")
    pairs = [
        padding.to_torch(a.crops, a.stride, a.dilation if layer.transposed else 1)
        for a in layer.axes
    ]
    kernel = _kernel(layer)
    if None not in pairs:
        before, after = zip(*(pair for pair in pairs if pair), strict=True)
        return LayerText("torch", _module(layer, before, after), kernel)
    zeros = (0,) * layer.rank
    return LayerText("torch", _padded(layer, _module(layer, zeros, zeros)), kernel, _why_not(layer))


def _module(layer: Layer, before: tuple[int, ...], after: tuple[int, ...]) -> str:
    only = {"output_padding": after} if layer.transposed else {}
    return text.call(
        f"torch.nn.Conv{'Transpose' if layer.transposed else ''}{layer.rank}d",
        layer.call.in_channels,
        layer.call.out_channels,
        layer.each("kernel"),
        defaults=_DEFAULTS,
        stride=layer.each("stride"),
        padding=before,
        **only,
        dilation=layer.each("dilation"),
        groups=layer.groups,
        bias=layer.bias,
    )


def _padded(layer: Layer, module: str) -> str | None:
    """The layer without padding, between zeros put on or cut off by ``F.pad``."""
    sign = -1 if layer.transposed else 1
    pads = tuple(sign * cells for pair in reversed(layer.crops) for cells in pair)
    if layer.transposed and layer.bias and max(pads) > 0:
        return None  # the bias would be missing from the cells put on
    if layer.transposed:
        return f"torch.nn.functional.pad({module}(x), {text.text(pads)})"
    return f"{module}(torch.nn.functional.pad(x, {text.text(pads)}))"


def _why_not(layer: Layer) -> str:
    where = next(
        n
        for n, a in enumerate(layer.axes)
        if not padding.to_torch(a.crops, a.stride, a.dilation if layer.transposed else 1)
    )
    lo, hi = layer.crops[where]
    if layer.transposed:
        return (
            f"torch crops (p, p - output_padding) with p >= 0 and output_padding < max(stride, "
            f"dilation); axis {where} crops ({lo}, {hi})"
        )
    return f"torch pads both ends alike; axis {where} has ({lo}, {hi})"


def _kernel(layer: Layer) -> str:
    call, turned = layer.call, ", turned round" if layer.flip else ""
    if layer.transposed:
        sizes = call.in_channels, call.out_channels // layer.groups
        return text.shape("I, O // groups, *k", (*sizes, *layer.each("kernel"))) + turned
    sizes = call.out_channels, call.in_channels // layer.groups
    return text.shape("O, I // groups, *k", (*sizes, *layer.each("kernel"))) + turned


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
    """Numbers; a plain convolution may say "same" as well, whose odd zero torch puts behind."""
    if not isinstance(given["padding"], str):
        return given["padding"]
    if transposed or given["padding"] not in ("same", "valid"):
        raise ValueError(f"{name}: padding must be numbers, got {given['padding']!r}.")
    strides = arguments.per_axis("stride", given["stride"], int(name[-2]), least=1)
    if given["padding"] == "same" and max(strides) > 1:
        raise ValueError(f"{name}: padding='same' needs stride 1 in torch.")
    return given["padding"]
