"""A Flax layer's words, read: what nnx and Linen layers of transposed convolution share.

Flax numbers its padding as ``jax.lax.conv_transpose`` does (cells around the dilated input),
turns its kernel round unless ``transpose_kernel`` is set, and knows one name more than we do,
CIRCULAR.  A layer holds parameters under Flax's names; this room turns them into one call.
"""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp

from jtconv import api
from jtconv.dispatch.choose import parse_method
from jtconv.problem import arguments, padding

_NAMES = (*padding.NAMES, "CIRCULAR")
FLAX_NAMES = ("SAME", "VALID", "CIRCULAR")


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


def sizes(kernel_size: Any) -> tuple[int, ...]:
    """``kernel_size`` per axis; a bare int is one axis, as in Flax."""
    items = arguments.sequence(kernel_size)
    items = [kernel_size] if items is None else items
    if not 1 <= len(items) <= 4:
        raise ValueError(f"kernel_size must have 1 to 4 entries, got {kernel_size!r}.")
    return arguments.per_axis("kernel_size", items, len(items), least=1)


def masked(kernel: Any, mask: Any) -> Any:
    """The kernel with its masked weights at zero."""
    if mask is None:
        return kernel
    if mask.shape != kernel.shape:
        raise ValueError(
            f"mask must have the shape of the kernel, {kernel.shape}, got {mask.shape}."
        )
    return kernel * mask


def conv_transpose(
    layer: Any, inputs: jax.Array, kernel: jax.Array, bias: jax.Array | None, output_size: Any
) -> jax.Array:
    """What a layer of Flax, or one of ours, computes from arrays of one dtype."""
    words = keywords(layer)
    axes = len(words["stride"]) + 1
    _check_inputs(inputs, axes, kernel.shape, words)
    batch = inputs.shape[:-axes]
    x = inputs.reshape(math.prod(batch), *inputs.shape[-axes:])
    if words["padding"] == "CIRCULAR":
        _check_circular(x, words, output_size)
        x, words["padding"] = _wrapped(x, kernel, words)
    else:
        words["output_size"] = output_size
    y = api.conv_transpose(x, kernel, bias, **words)
    return y.reshape(*batch, *y.shape[1:])


def keywords(layer: Any) -> dict[str, Any]:
    """The keywords of :func:`jtconv.conv_transpose` for a layer of Flax, or one of ours."""
    size = sizes(layer.kernel_size)
    rank, transposed = len(size), bool(layer.transpose_kernel)
    dilation = per_axis("kernel_dilation", layer.kernel_dilation, rank)
    space = "TDHW"[-rank:]
    return {
        "stride": per_axis("strides", layer.strides, rank),
        "padding": _crops(layer.padding, padding.spans(size, dilation)),
        "output_padding": arguments.per_axis(
            "output_padding", getattr(layer, "output_padding", 0), rank, least=0
        ),
        "dilation": dilation,
        "groups": getattr(layer, "feature_group_count", 1),
        "dimension_numbers": (f"N{space}C", space + ("OI" if transposed else "IO"), f"N{space}C"),
        "flip_kernel": not transposed,
        "method": parse_method(getattr(layer, "method", "auto")),
        "precision": layer.precision,
        "preferred_element_type": layer.preferred_element_type,
    }


def has_odd_name(layer: Any) -> bool:
    """Whether Flax knows its layer's padding by no name.

    It hands such a name ("same", "SAME_LOWER") on to a plain convolution, where it means
    something else than for a transposed one, or an error.
    """
    return isinstance(layer.padding, str) and layer.padding not in FLAX_NAMES


def per_axis(name: str, value: Any, rank: int) -> tuple[int, ...]:
    """One int per axis, where None means 1."""
    return arguments.per_axis(name, 1 if value is None else value, rank, least=1)


def _crops(asked: Any, spans: tuple[int, ...]) -> str | list[padding.Crops]:
    """Flax's padding as ours: a name, or the crops that its numbers make."""
    if isinstance(asked, str):
        return arguments.choice("padding", asked, _NAMES, any_case=True)
    pads: Any = padding.parse(asked, len(spans))
    return [padding.from_lax(pair, span) for pair, span in zip(pads, spans, strict=True)]


def _check_inputs(inputs: Any, axes: int, kernel: tuple[int, ...], words: dict[str, Any]) -> None:
    channels = kernel[-2] * words["groups"] if words["flip_kernel"] else kernel[-1]
    if inputs.ndim < axes or inputs.shape[-1] != channels:
        raise ValueError(
            f"inputs must have shape (*batch, {axes - 1} spatial, {channels} channels), got "
            f"{inputs.shape}."
        )


def _check_circular(x: jax.Array, words: dict[str, Any], output_size: Any) -> None:
    """A period has one size."""
    period = tuple(n * s for n, s in zip(x.shape[1:-1], words["stride"], strict=True))
    if any(words["output_padding"]):
        raise ValueError(
            f"output_padding must be 0 with padding='CIRCULAR', got {words['output_padding']}."
        )
    if output_size is None:
        return
    if arguments.per_axis("output_size", output_size, len(period)) != period:
        raise ValueError(
            f"output_size must be {period}, inputs times strides, with padding='CIRCULAR'; "
            f"got {output_size!r}."
        )


def _wrapped(
    x: jax.Array, kernel: jax.Array, words: dict[str, Any]
) -> tuple[jax.Array, list[padding.Crops]]:
    """One period of a periodic input, with as much of its neighbours as the output sees."""
    spans = padding.spans(kernel.shape[:-2], words["dilation"])
    transposed = not words["flip_kernel"]
    ways = [
        padding.circular(span, stride, transposed)
        for span, stride in zip(spans, words["stride"], strict=True)
    ]
    x = jnp.pad(x, [(0, 0), *(wraps for wraps, _ in ways), (0, 0)], mode="wrap")
    return x, [crops for _, crops in ways]
