"""Flax's words: ``flax.nnx.ConvTranspose`` and ``flax.nnx.Conv``, with lax's meaning of numbers."""

from __future__ import annotations

from typing import Any

from jtconv.conventions import text
from jtconv.conventions.lax import pads
from jtconv.conventions.layer import Layer, LayerSpec, LayerText
from jtconv.problem import arguments, padding
from jtconv.problem.padding import Crops

_DEFAULTS = {
    "strides": 1,
    "padding": "SAME",
    "kernel_dilation": 1,
    "feature_group_count": 1,
    "use_bias": True,
    "transpose_kernel": False,
}
_TAIL: dict[str, Any] = dict.fromkeys(
    (
        "mask", "dtype", "param_dtype", "precision", "kernel_init", "bias_init",
        "conv_general_dilated", "promote_dtype", "preferred_element_type", "kernel_metadata",
        "bias_metadata", "rngs",
    )
)  # fmt: skip
SIGNATURES = {
    "ConvTranspose": text.signature(
        "in_features out_features kernel_size",
        strides=None,
        padding="SAME",
        kernel_dilation=None,
        use_bias=True,
        transpose_kernel=False,
        **_TAIL,
    ),
    "Conv": text.signature(
        "in_features out_features kernel_size",
        strides=1,
        padding="SAME",
        input_dilation=1,
        kernel_dilation=1,
        feature_group_count=1,
        use_bias=True,
        **_TAIL,
    ),
}


def to_text(layer: Layer) -> LayerText:
    """The layer; Flax's own transposed one has no groups, ours of that name has."""
    if not layer.transposed:
        only = {"feature_group_count": layer.groups}
        return LayerText("flax", _call("flax.nnx.Conv", layer, only), _kernel(layer))
    only = {"transpose_kernel": not layer.flip}
    if layer.groups == 1:
        return LayerText("flax", _call("flax.nnx.ConvTranspose", layer, only), _kernel(layer))
    ours = _call("jtconv.nnx.ConvTranspose", layer, {**only, "feature_group_count": layer.groups})
    why_not = "flax.nnx.ConvTranspose has no groups; the one of jtconv has"
    return LayerText("flax", ours, _kernel(layer), why_not)


def _call(name: str, layer: Layer, only: dict[str, Any]) -> str:
    return text.call(
        name,
        layer.call.in_channels,
        layer.call.out_channels,
        text.Name(text.text(layer.each("kernel"))),
        defaults=_DEFAULTS,
        strides=layer.each("stride"),
        padding=_padding(layer),
        kernel_dilation=layer.each("dilation"),
        **only,
        use_bias=layer.bias,
        rngs=text.Name("rngs"),
    )


def _padding(layer: Layer) -> Any:
    """A name where one says it, else numbers."""
    if not layer.transposed:
        return list(layer.crops)
    columns = [(a.crops, a.effective_kernel, a.stride) for a in layer.axes]
    for name in ("SAME", "VALID"):
        if all(name in padding.names_of(*column) for column in columns):
            return name
    return pads(layer)


def _kernel(layer: Layer) -> str:
    call, kernel = layer.call, layer.each("kernel")
    own, out = call.in_channels // layer.groups, call.out_channels
    if not layer.transposed:
        return text.shape("*k, I // groups, O", (*kernel, own, out)) + (
            ", turned round" * layer.flip
        )
    if layer.flip:
        return text.shape("*k, I // groups, O", (*kernel, own, out))
    return text.shape("*k, O // groups, I", (*kernel, out // layer.groups, call.in_channels))


def from_text(source: str) -> LayerSpec:
    """``ConvTranspose(16, 33, (3, 3), strides=(2, 2), rngs=rngs)``, or ``Conv``."""
    name, given = text.parse(source, SIGNATURES)
    sizes = arguments.sequence(given["kernel_size"])
    if sizes is None:
        raise ValueError(f"{name}: write kernel_size with one int per axis, as in (3, 3).")
    rank = len(sizes)
    kernel = arguments.per_axis("kernel_size", given["kernel_size"], rank, least=1)
    strides = arguments.per_axis("strides", given["strides"] or 1, rank, least=1)
    rates = arguments.per_axis("kernel_dilation", given["kernel_dilation"] or 1, rank, least=1)
    if arguments.per_axis("input_dilation", given.get("input_dilation", 1), rank) != (1,) * rank:
        raise ValueError(f"{name}: input_dilation is not read here; say ConvTranspose.")
    transposed = name == "ConvTranspose"
    spans = padding.spans(kernel, rates)
    how = _zeros(name, given["padding"], spans) if transposed else given["padding"]
    turned = {"flip_kernel": not given["transpose_kernel"]} if transposed else {}
    return LayerSpec(
        "conv_transpose" if transposed else "conv",
        arguments.integer("in_features", given["in_features"], least=1),
        arguments.integer("out_features", given["out_features"], least=1),
        kernel,
        bool(given["use_bias"]),
        {"stride": strides, "padding": how, "dilation": rates, **turned}
        | {"groups": given.get("feature_group_count", 1)},
    )


def _zeros(name: str, given: Any, spans: tuple[int, ...]) -> str | tuple[Crops, ...]:
    """Flax's padding of the dilated input as crops; the names mean what they mean here."""
    if isinstance(given, str):
        if given not in ("SAME", "VALID"):
            raise ValueError(f"{name}: padding must be 'SAME', 'VALID' or numbers, got {given!r}.")
        return given
    pairs: Any = padding.parse(given, len(spans))
    return tuple(padding.from_lax(pair, span) for pair, span in zip(pairs, spans, strict=True))
