"""Flax: ``flax.nnx.ConvTranspose`` and ``flax.nnx.Conv``, and those of Linen, which are alike.

Numbers pad the dilated input as in lax, the kernel is flipped unless ``transpose_kernel`` is set,
and "CIRCULAR" is one name of padding more than we have.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jtconv.conventions import lax, text
from jtconv.conventions.layer import Layer, LayerSpec, LayerText, PerAxis
from jtconv.problem import arguments
from jtconv.problem import padding as ours
from jtconv.problem.padding import Crops

NAMES = ("SAME", "VALID", "CIRCULAR")
EXAMPLE = "ConvTranspose(16, 33, (3, 3))"
_FIRST = {
    "ConvTranspose": "kernel_size, strides=None, padding='SAME', kernel_dilation=None, "
    "use_bias=True, ",
    "Conv": "kernel_size, strides=1, padding='SAME', input_dilation=1, kernel_dilation=1, "
    "feature_group_count=1, use_bias=True, ",
}
_TYPES = "dtype=None, param_dtype=None, precision=None, kernel_init=None, bias_init=None, "
_LAST = (
    "conv_general_dilated=None, promote_dtype=None, preferred_element_type=None, "
    "kernel_metadata=None, bias_metadata=None, rngs=None"
)
SIGNATURES = {
    "ConvTranspose": text.signature(
        f"in_features, out_features, {_FIRST['ConvTranspose']}transpose_kernel=False, "
        f"mask=None, {_TYPES}{_LAST}"
    ),
    "Conv": text.signature(
        f"in_features, out_features, {_FIRST['Conv']}mask=None, {_TYPES}{_LAST}"
    ),
}
# Linen's layers are told no in_features: they see them in their input.
LINEN = {
    "ConvTranspose": text.signature(
        f"features, {_FIRST['ConvTranspose']}mask=None, {_TYPES}transpose_kernel=False, "
        "promote_dtype=None, preferred_element_type=None, parent=None, name=None"
    ),
    "Conv": text.signature(
        f"features, {_FIRST['Conv']}mask=None, {_TYPES}promote_dtype=None, "
        "preferred_element_type=None, conv_general_dilated=None, "
        "conv_general_dilated_cls=None, parent=None, name=None"
    ),
}
_DEFAULTS = {**text.defaults(SIGNATURES["Conv"]), "transpose_kernel": False}


def sizes(kernel_size: Any) -> PerAxis:
    """``kernel_size`` per axis; a bare int is one axis, as in Flax."""
    items = arguments.sequence(kernel_size)
    items = [kernel_size] if items is None else items
    if not 1 <= len(items) <= 4:
        raise ValueError(f"kernel_size must have 1 to 4 entries, got {kernel_size!r}.")
    return arguments.per_axis("kernel_size", items, len(items), least=1)


def per_axis(name: str, value: Any, rank: int) -> PerAxis:
    """One int per axis, where None means 1."""
    return arguments.per_axis(name, 1 if value is None else value, rank, least=1)


def kernel_shape(
    kernel_size: Any, in_features: int, out_features: int, groups: int, transpose_kernel: bool
) -> tuple[int, ...]:
    """The shape of a layer's kernel: ``(*kernel_size, in // groups, out)``, or its transpose's."""
    size = sizes(kernel_size)
    groups = arguments.integer("feature_group_count", groups, least=1)
    for name, features in (("in_features", in_features), ("out_features", out_features)):
        if arguments.integer(name, features, least=1) % groups:
            raise ValueError(
                f"feature_group_count must divide {name}, got {groups} and {name}={features}."
            )
    if transpose_kernel:
        return (*size, out_features // groups, in_features)
    return (*size, in_features // groups, out_features)


def keywords(
    transpose_kernel: bool,
    kernel_size: Any,
    strides: Any,
    padding: Any,
    kernel_dilation: Any = None,
    output_padding: Any = 0,
    feature_group_count: Any = 1,
) -> dict[str, Any]:
    """A layer's arguments as keywords of :func:`jtconv.conv_transpose`; CIRCULAR stays a name.

    The last two are those of our own layers.

    >>> found = keywords(False, (4,), 2, [(1, 2)])
    >>> found["stride"], found["padding"], found["dimension_numbers"]
    ((2,), ((2, 1),), ('NWC', 'WIO', 'NWC'))
    """
    kernel = sizes(kernel_size)
    rank = len(kernel)
    dilation = per_axis("kernel_dilation", kernel_dilation, rank)
    space = "TDHW"[-rank:]
    return {
        "stride": per_axis("strides", strides, rank),
        "padding": _name_or_crops(padding, kernel, dilation),
        "output_padding": arguments.per_axis("output_padding", output_padding, rank, least=0),
        "dilation": dilation,
        "groups": feature_group_count,
        "dimension_numbers": (
            f"N{space}C",
            space + ("OI" if transpose_kernel else "IO"),
            f"N{space}C",
        ),
        "flip_kernel": not transpose_kernel,
    }


def conv_keywords(
    kernel_size: Any, strides: Any, padding: Any, kernel_dilation: Any, feature_group_count: Any
) -> dict[str, Any]:
    """The arguments of Flax's convolution as keywords of :func:`jtconv.conv`.

    >>> conv_keywords((4,), None, [(3, 0)], 2, 1)["padding"]
    ((3, 0),)
    """
    rank = len(sizes(kernel_size))
    return {
        "stride": per_axis("strides", strides, rank),
        "padding": ours.parse(padding, rank, borders=True),
        "dilation": per_axis("kernel_dilation", kernel_dilation, rank),
        "groups": feature_group_count,
    }


def _name_or_crops(padding: Any, kernel: PerAxis, dilation: PerAxis) -> str | tuple[Crops, ...]:
    if isinstance(padding, str):
        return arguments.choice("padding", padding, (*ours.NAMES, *ours.BORDERS), any_case=True)
    pairs: Any = ours.parse(padding, len(kernel))
    return lax.pads(pairs, kernel, dilation)


def is_unknown_name(padding: Any) -> bool:
    """Whether Flax knows a layer's padding by no name.

    It hands such a name ("same", "SAME_LOWER") on to a plain convolution, where it means
    something else than for a transposed one, or an error.
    """
    return isinstance(padding, str) and padding not in NAMES


def circular(effective: int, stride: int, transposed: bool) -> tuple[Crops, Crops]:
    """What CIRCULAR wraps around a periodic input, and then crops from the output.

    One period of the output reads ``(before, behind)`` cells of the input's neighbouring periods.
    As in SAME the effective kernel is centred, ``transposed`` telling which way an odd cell goes.

    >>> circular(4, 2, transposed=True)
    ((1, 1), (3, 3))
    """
    excess = max(effective - stride, 0)
    lo = (excess + 1) // 2 if transposed else excess // 2
    before, behind = (effective - 1 - lo) // stride, -(-lo // stride)
    return (before, behind), (lo + before * stride, effective - stride - lo + behind * stride)


def from_crops(
    crops: Sequence[Crops], kernel: PerAxis, stride: PerAxis, dilation: PerAxis
) -> dict[str, Any]:
    """The ``padding`` that makes these crops: a name where there is one, else numbers."""
    spans = ours.effective_kernels(kernel, dilation)
    columns = list(zip(crops, spans, stride, strict=True))
    for name in ("SAME", "VALID"):
        if all(name in ours.names_of(*column) for column in columns):
            return {"padding": name}
    return {"padding": list(lax.pads(crops, kernel, dilation))}


def to_text(layer: Layer) -> LayerText:
    """The layer; Flax's own transposed one has no groups, ours of that name has."""
    axes = "*k, I // groups, O"
    border = layer.call.border
    if border is not None and not _has(border, layer):
        lacks = f"Flax pads other cells, or has no padding {border!r}"
        return LayerText("flax", None, why_not=lacks)
    if not layer.transposed:
        more = {"padding": border or list(layer.crops), "feature_group_count": layer.groups}
        return LayerText(
            "flax", _call("flax.nnx.Conv", layer, more), text.kernel(layer, axes, layer.flip)
        )
    more = {"padding": border} if border else from_crops(*layer.columns)
    more = {**more, "transpose_kernel": not layer.flip}
    kernel = text.kernel(layer, axes if layer.flip else "*k, O // groups, I")
    if layer.groups == 1:
        return LayerText("flax", _call("flax.nnx.ConvTranspose", layer, more), kernel)
    more["feature_group_count"] = layer.groups
    why_not = "flax.nnx.ConvTranspose has no groups; the one of jtconv has"
    return LayerText("flax", _call("jtconv.nnx.ConvTranspose", layer, more), kernel, why_not)


def _has(border: str, layer: Layer) -> bool:
    """Whether Flax's padding of this name puts the same cells around."""
    columns = [(axis.lo, axis.effective_kernel, axis.stride) for axis in layer.axes]
    if not layer.transposed:
        return border != "EDGE" and all(lo == (span - 1) // 2 for lo, span, _ in columns)
    even = all(max(span - stride, 0) % 2 == 0 for _, span, stride in columns)
    return border == "CIRCULAR" and (even or layer.flip)


def _call(name: str, layer: Layer, more: dict[str, Any]) -> str:
    padding = more.pop("padding")
    return text.call(
        name,
        layer.call.in_channels,
        layer.call.out_channels,
        text.Name(text.code(layer.each("kernel"))),
        defaults=_DEFAULTS,
        strides=layer.each("stride"),
        padding=padding,
        kernel_dilation=layer.each("dilation"),
        **more,
        use_bias=layer.bias,
        rngs=text.Name("rngs"),
    )


def from_text(source: str) -> LayerSpec:
    """``ConvTranspose(16, 33, (3, 3), strides=(2, 2), rngs=rngs)``, or ``Conv``.

    Also as Linen writes it, ``ConvTranspose(features=33, kernel_size=(3, 3))``, without the
    channels of the input.
    """
    written = text.read(source, SIGNATURES)
    name, linen = written.name, _is_linens(written)
    given = text.bind(written, (LINEN if linen else SIGNATURES)[name])
    items = arguments.sequence(given["kernel_size"])
    if items is None:
        raise ValueError(f"{name}: write kernel_size with one int per axis, as in (3, 3).")
    rank, transposed = len(items), name == "ConvTranspose"
    kernel = arguments.per_axis("kernel_size", given["kernel_size"], rank, least=1)
    strides = per_axis("strides", given["strides"] or 1, rank)
    dilation = per_axis("kernel_dilation", given["kernel_dilation"] or 1, rank)
    if arguments.per_axis("input_dilation", given.get("input_dilation", 1), rank) != (1,) * rank:
        raise ValueError(f"{name}: input_dilation is not read here; write ConvTranspose.")
    padding = given["padding"]
    if transposed and isinstance(padding, str) and padding not in ("SAME", "VALID"):
        raise ValueError(f"{name}: padding must be 'SAME', 'VALID' or numbers, got {padding!r}.")
    if transposed:
        padding = _name_or_crops(padding, kernel, dilation)
    flip = {"flip_kernel": not given["transpose_kernel"]} if transposed else {}
    features = "features" if linen else "out_features"
    return LayerSpec(
        "conv_transpose" if transposed else "conv",
        None if linen else arguments.integer("in_features", given["in_features"], least=1),
        arguments.integer(features, given[features], least=1),
        kernel,
        bool(given["use_bias"]),
        {"stride": strides, "padding": padding, "dilation": dilation, **flip}
        | {"groups": given.get("feature_group_count", 1)},
    )


def of_layer(layer: Any) -> LayerSpec:
    """A layer of nnx or Linen, Flax's or one of that class, as it was made."""
    transposed = hasattr(layer, "transpose_kernel")
    kernel = sizes(layer.kernel_size)
    rank = len(kernel)
    dilation = per_axis("kernel_dilation", layer.kernel_dilation, rank)
    padding = layer.padding
    flip: dict[str, Any] = {}
    if transposed:
        padding = _name_or_crops(padding, kernel, dilation)
        flip = {"flip_kernel": not layer.transpose_kernel}
        flip |= {"output_padding": getattr(layer, "output_padding", 0)}
    elif per_axis("input_dilation", layer.input_dilation, rank) != (1,) * rank:
        raise ValueError("the layer has an input_dilation: explain a ConvTranspose.")
    features = getattr(layer, "out_features", None)
    return LayerSpec(
        "conv_transpose" if transposed else "conv",
        getattr(layer, "in_features", None),
        layer.features if features is None else features,
        kernel,
        layer.use_bias,
        {
            "stride": per_axis("strides", layer.strides, rank),
            "padding": padding,
            "dilation": dilation,
            "groups": getattr(layer, "feature_group_count", 1),
            **flip,
        },
        "flax",
    )


def _is_linens(written: text.Written) -> bool:
    """Whether kernel_size is the second argument, where nnx has out_features."""
    if {"in_features", "out_features"} & written.keywords.keys():
        return False
    if "features" in written.keywords or len(written.positional) == 1:
        return True
    return any(isinstance(value, tuple | list) for value in written.positional[1:2])
