"""lax's words: ``jax.lax.conv_transpose``, whose numbers pad the input dilated by the stride."""

from __future__ import annotations

from jtconv.conventions import text
from jtconv.conventions.layer import Layer, LayerText
from jtconv.problem import padding


def to_text(layer: Layer) -> LayerText:
    """``lax.conv_transpose``, or the general convolution where there are groups."""
    if not layer.transposed:
        return LayerText("lax", _general(layer), _kernel(layer, ", turned round" * layer.flip))
    if layer.groups == 1:
        return LayerText("lax", _transpose(layer), _kernel(layer))
    turned = "" if layer.flip else ", turned round"
    why_not = "lax.conv_transpose has no groups; the general convolution has"
    return LayerText("lax", _general(layer), _kernel(layer, turned), why_not)


def pads(layer: Layer) -> list[padding.Crops]:
    """The zeros around the dilated input, per axis."""
    pairs = zip(layer.axes, layer.crops, strict=True)
    return [padding.to_lax(crops, axis.effective_kernel) for axis, crops in pairs]


def _transpose(layer: Layer) -> str:
    """``transpose_kernel`` turns the kernel round and swaps its channels, so O and I swap first."""
    x, w, y = layer.call.layout.specs
    swapped = w if layer.flip else w.translate(str.maketrans("IO", "OI"))
    return text.call(
        "jax.lax.conv_transpose",
        *map(text.Name, "xw"),
        defaults={"rhs_dilation": 1},
        strides=list(layer.each("stride")),
        padding=pads(layer),
        rhs_dilation=_many(layer.each("dilation")),
        dimension_numbers=(x, swapped, y),
        transpose_kernel=not layer.flip,
    )


def _general(layer: Layer) -> str:
    spec, space = layer.call.layout.specs, layer.call.layout.spatial
    ones = [1] * layer.rank
    strides = list(layer.each("stride"))
    return text.call(
        "jax.lax.conv_general_dilated",
        *map(text.Name, "xw"),
        defaults={"rhs_dilation": 1, "lhs_dilation": 1, "feature_group_count": 1},
        window_strides=ones if layer.transposed else strides,
        padding=pads(layer) if layer.transposed else list(layer.crops),
        lhs_dilation=_many(layer.each("stride")) if layer.transposed else 1,
        rhs_dilation=_many(layer.each("dilation")),
        dimension_numbers=(spec[0], space + "IO", spec[2]),
        feature_group_count=layer.groups,
    )


def _many(values: tuple[int, ...]) -> list[int] | int:
    """lax wants one number per axis wherever it wants any."""
    return 1 if set(values) == {1} else list(values)


def _kernel(layer: Layer, turned: str = "") -> str:
    call = layer.call
    sizes = call.in_channels // layer.groups, call.out_channels
    space = (*layer.each("kernel"), *sizes)
    if layer.transposed and layer.groups == 1:
        spec = call.layout.specs[1]
        order = [(call.layout.spatial + "IO").index(letter) for letter in spec]
        return text.shape(", ".join(spec), [space[axis] for axis in order])
    return text.shape("*k, I // groups, O", space) + turned
