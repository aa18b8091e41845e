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

from jtconv import api, arguments, padding

PaddingNames = (*padding.NAMES, "CIRCULAR")


def kernel_shape(
    kernel_size: Any, in_features: int, out_features: int, groups: int, transpose_kernel: bool
) -> tuple[int, ...]:
    """The shape of a layer's kernel: ``(*kernel_size, in // groups, out)``, or its transpose's."""
    size = arguments.sequence(kernel_size)
    size = [kernel_size] if size is None else size
    for name, features in (("in_features", in_features), ("out_features", out_features)):
        if features % groups:
            raise ValueError(
                f"feature_group_count must divide {name}, got {groups} and {name}={features}."
            )
    if transpose_kernel:
        return (*size, out_features // groups, in_features)
    return (*size, in_features // groups, out_features)


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
    rank = kernel.ndim - 2
    stride = per_axis("strides", layer.strides, rank)
    dilation = per_axis("kernel_dilation", layer.kernel_dilation, rank)
    spans = [d * (k - 1) + 1 for k, d in zip(kernel.shape, dilation, strict=False)]
    output_padding = getattr(layer, "output_padding", 0)
    crops = _crops(layer.padding, spans)
    batch = inputs.shape[: inputs.ndim - rank - 1]
    x = inputs.reshape(math.prod(batch), *inputs.shape[inputs.ndim - rank - 1 :])
    if crops == "CIRCULAR":
        if output_size is not None or output_padding:
            raise ValueError(
                "padding='CIRCULAR' makes inputs * strides cells: it takes no output_size "
                "and no output_padding."
            )
        x, crops = _wrapped(x, spans, stride, layer.transpose_kernel)
    y = api.conv_transpose(
        x,
        kernel,
        bias,
        stride=stride,
        padding=crops,
        output_padding=output_padding,
        output_size=output_size,
        dilation=dilation,
        groups=getattr(layer, "feature_group_count", 1),
        dimension_numbers=_dimension_numbers(rank, layer.transpose_kernel),
        flip_kernel=not layer.transpose_kernel,
        method=getattr(layer, "method", "auto"),
        precision=layer.precision,
        preferred_element_type=_result_dtype(layer.preferred_element_type, bias),
    )
    return y.reshape(*batch, *y.shape[1:])


def per_axis(name: str, value: Any, rank: int) -> tuple[int, ...]:
    """One int per axis, where None means 1."""
    return arguments.per_axis(name, 1 if value is None else value, rank, least=1)


def _crops(asked: Any, spans: list[int]) -> Any:
    """Flax's padding as ours: a name, or the crops of its numbers."""
    if isinstance(asked, str):
        return arguments.choice("padding", asked, PaddingNames, any_case=True)
    pads = padding.parse(asked, len(spans))
    return [padding.from_lax(pair, span) for pair, span in zip(pads, spans, strict=True)]


def _wrapped(
    x: jax.Array, spans: list[int], stride: tuple[int, ...], transposed: bool
) -> tuple[jax.Array, list[padding.Crops]]:
    """One period of a periodic input, with as much of its neighbours as the output sees."""
    ways = [padding.circular(d, s, transposed) for d, s in zip(spans, stride, strict=True)]
    x = jnp.pad(x, [(0, 0), *(wraps for wraps, _ in ways), (0, 0)], mode="wrap")
    return x, [crops for _, crops in ways]


def _dimension_numbers(rank: int, transposed: bool) -> tuple[str, str, str]:
    space = "TDHW"[-rank:]
    return f"N{space}C", f"{space}OI" if transposed else f"{space}IO", f"N{space}C"


def _result_dtype(preferred: Any, bias: Any) -> Any:
    """Flax adds the bias afterwards, and the sum has the wider dtype of the two."""
    if preferred is None or bias is None:
        return preferred
    return jnp.promote_types(preferred, bias.dtype)
