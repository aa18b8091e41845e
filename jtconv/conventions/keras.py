"""Keras's words: ``keras.layers.Conv2DTranspose`` and its kin, which say padding by name only."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from jtconv.conventions import text
from jtconv.conventions.layer import Layer, LayerSpec, LayerText
from jtconv.problem import arguments, padding
from jtconv.problem.geometry import Axis

_DEFAULTS = {
    "strides": 1,
    "padding": "valid",
    "output_padding": None,
    "dilation_rate": 1,
    "groups": 1,
    "use_bias": True,
}
_TAIL: dict[str, Any] = dict.fromkeys(
    (
        "kernel_initializer", "bias_initializer", "kernel_regularizer", "bias_regularizer",
        "activity_regularizer", "kernel_constraint", "bias_constraint", "name", "dtype",
        "trainable", "input_shape",
    )
)  # fmt: skip
_TRANSPOSED = text.signature(
    "filters kernel_size",
    strides=1,
    padding="valid",
    output_padding=None,
    data_format=None,
    dilation_rate=1,
    activation=None,
    use_bias=True,
    **_TAIL,
)
_PLAIN = text.signature(
    "filters kernel_size",
    strides=1,
    padding="valid",
    data_format=None,
    dilation_rate=1,
    groups=1,
    activation=None,
    use_bias=True,
    **_TAIL,
)
SIGNATURES = {f"Conv{n}DTranspose": _TRANSPOSED for n in (1, 2, 3)} | {
    f"Conv{n}D": _PLAIN for n in (1, 2, 3)
}


def to_text(layer: Layer) -> LayerText:
    """The layer, where its crops are those of a name."""
    why_not = _cannot(layer)
    if why_not:
        return LayerText("keras", None, why_not=why_not)
    found = list(_transposed(layer) if layer.transposed else _convolved(layer))
    if not found:
        what = "crops" if layer.transposed else "has zeros"
        pairs = ", ".join(map(str, layer.crops))
        return LayerText("keras", None, why_not=f"no padding name of Keras {what} {pairs}")
    words: dict[str, Any] = found[0]
    if not layer.transposed:
        words["groups"] = layer.groups
    written = text.call(
        f"keras.layers.Conv{layer.rank}D{'Transpose' if layer.transposed else ''}",
        layer.call.out_channels,
        layer.each("kernel"),
        defaults=_DEFAULTS,
        strides=layer.each("stride"),
        **words,
        dilation_rate=layer.each("dilation"),
        use_bias=layer.bias,
    )
    return LayerText("keras", written, _kernel(layer))


def _cannot(layer: Layer) -> str | None:
    if layer.rank > 3:
        return "Keras's layers have 1 to 3 spatial axes"
    if layer.transposed and layer.groups > 1:
        return "Keras's transposed convolutions have no groups"
    if max(layer.each("stride")) > 1 and max(layer.each("dilation")) > 1:
        return "Keras takes strides or dilation_rate, not both"
    return None


def _transposed(layer: Layer) -> Iterator[dict[str, Any]]:
    """Every way Keras has to say these crops, plain names first."""
    for name in ("valid", "same"):
        ways = [list(_extras(name, axis)) for axis in layer.axes]
        if all(None in way for way in ways):
            yield {"padding": name}
        numbers = [[extra for extra in way if extra is not None] for way in ways]
        if all(numbers):
            yield {"padding": name, "output_padding": tuple(way[0] for way in numbers)}


def _extras(name: str, axis: Axis) -> Iterator[int | None]:
    for extra in (None, *range(axis.stride)):
        size = axis.effective_kernel, axis.stride
        if padding.from_keras(name.upper(), extra, *size) == axis.crops:
            yield extra


def _convolved(layer: Layer) -> Iterator[dict[str, Any]]:
    for name in ("valid", "same", *(("causal",) if layer.rank == 1 else ())):
        if all(_makes(name, axis) for axis in layer.axes):
            yield {"padding": name}


def _makes(name: str, axis: Axis) -> bool:
    """Whether the named zeros are those of the axis, but for some behind that nothing reads."""
    size = axis.y_size, axis.effective_kernel, axis.stride
    lo, hi = padding.of_convolution(name.upper(), *size)
    return lo == axis.lo and axis.hi <= hi < axis.hi + axis.stride


def _kernel(layer: Layer) -> str:
    call, turned = layer.call, ", turned round" if layer.flip else ""
    if layer.transposed:
        sizes = call.out_channels, call.in_channels
        return text.shape("*k, O, I", (*layer.each("kernel"), *sizes)) + turned
    sizes = call.in_channels // layer.groups, call.out_channels
    return text.shape("*k, I // groups, O", (*layer.each("kernel"), *sizes)) + turned


def from_text(source: str) -> LayerSpec:
    """``Conv2DTranspose(33, 3, strides=2, padding='same')``, or ``Conv2D`` and its kin."""
    name, given = text.parse(source, SIGNATURES)
    rank, transposed = int(name[4]), name.endswith("Transpose")
    kernel = arguments.per_axis("kernel_size", given["kernel_size"], rank, least=1)
    strides = arguments.per_axis("strides", given["strides"], rank, least=1)
    rates = arguments.per_axis("dilation_rate", given["dilation_rate"], rank, least=1)
    if max(strides) > 1 and max(rates) > 1:
        raise ValueError(f"{name}: Keras takes strides or dilation_rate, not both.")
    names = ("VALID", "SAME", *(("CAUSAL",) if not transposed and rank == 1 else ()))
    how: Any = arguments.choice("padding", given["padding"], names, any_case=True)
    if transposed and given["output_padding"] is not None:
        extras = arguments.per_axis("output_padding", given["output_padding"], rank, least=0)
        spans = padding.spans(kernel, rates)
        _check(name, extras, strides)
        columns = zip(extras, spans, strides, strict=True)
        how = tuple(padding.from_keras(how, *column) for column in columns)
    keywords = {"stride": strides, "padding": how, "dilation": rates}
    return LayerSpec(
        "conv_transpose" if transposed else "conv",
        None,
        arguments.integer("filters", given["filters"], least=1),
        kernel,
        bool(given["use_bias"]),
        {**keywords, "groups": 1 if transposed else given["groups"]},
    )


def _check(name: str, extras: tuple[int, ...], strides: tuple[int, ...]) -> None:
    if any(extra >= stride for extra, stride in zip(extras, strides, strict=True)):
        raise ValueError(
            f"{name}: output_padding must be smaller than strides {strides}, got {extras}."
        )
