"""What nnx and Linen layers of transposed convolution share to compute.

A layer holds parameters and arguments under Flax's names; here they become one call of ours.
"""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp

from jtconv import api, borders
from jtconv.conventions import flax
from jtconv.dispatch.choose import parse_method
from jtconv.problem import arguments, padding
from jtconv.problem.padding import Crops

# Read once for layers that are alike: an eager call would do so every time.
_keywords = arguments.parsed_once(flax.keywords)


def keywords(layer: Any) -> dict[str, Any]:
    """The keywords of :func:`jtconv.conv_transpose` for a layer of Flax, or one of ours."""
    given = (
        layer.kernel_size,
        layer.strides,
        layer.padding,
        layer.kernel_dilation,
        getattr(layer, "output_padding", 0),
        getattr(layer, "feature_group_count", 1),
    )
    transposed = bool(layer.transpose_kernel)
    return {
        **_keywords(transposed, *given),
        "method": parse_method(getattr(layer, "method", "auto")),
        "precision": layer.precision,
        "preferred_element_type": layer.preferred_element_type,
    }


def conv_transpose(
    layer: Any, inputs: Any, kernel: jax.Array, bias: jax.Array | None, output_size: Any
) -> jax.Array:
    """What a layer of Flax, or one of ours, computes from arrays of one dtype."""
    known = keywords(layer)
    axes = len(known["stride"]) + 1
    _check_inputs(inputs, axes, kernel.shape, known)
    batch = inputs.shape[:-axes]
    x = inputs.reshape(math.prod(batch), *inputs.shape[-axes:])
    if known["padding"] == "CIRCULAR":
        _check_circular(x, known, output_size)
        x, known["padding"] = _wrapped(x, kernel, known)
    else:
        known["output_size"] = output_size
    y = api.conv_transpose(x, kernel, bias, **known)
    return y.reshape(*batch, *y.shape[1:])


def masked(kernel: Any, mask: Any) -> Any:
    """The kernel with its masked weights at zero."""
    if mask is None:
        return kernel
    if mask.shape != kernel.shape:
        raise ValueError(
            f"mask must have the shape of the kernel, {kernel.shape}, got {mask.shape}."
        )
    if not jnp.issubdtype(mask.dtype, jnp.inexact):
        mask = mask.astype(kernel.dtype)
    return kernel * mask


def _check_inputs(inputs: Any, axes: int, kernel: tuple[int, ...], known: dict[str, Any]) -> None:
    channels = kernel[-2] * known["groups"] if known["flip_kernel"] else kernel[-1]
    if inputs.ndim < axes or inputs.shape[-1] != channels:
        raise ValueError(
            f"inputs must have shape (*batch, {axes - 1} spatial, {channels} channels), got "
            f"{inputs.shape}."
        )


def _check_circular(x: jax.Array, known: dict[str, Any], output_size: Any) -> None:
    """A period has one size."""
    period = tuple(n * s for n, s in zip(x.shape[1:-1], known["stride"], strict=True))
    if any(known["output_padding"]):
        raise ValueError(
            f"output_padding must be 0 with padding='CIRCULAR', got {known['output_padding']}."
        )
    if output_size is None:
        return
    if arguments.per_axis("output_size", output_size, len(period)) != period:
        raise ValueError(
            f"output_size must be {period}, inputs times strides, with padding='CIRCULAR'; "
            f"got {output_size!r}."
        )


def _wrapped(
    x: jax.Array, kernel: jax.Array, known: dict[str, Any]
) -> tuple[jax.Array, list[Crops]]:
    """One period of a periodic input, with as much of its neighbours as the output reads."""
    spans = padding.effective_kernels(kernel.shape[:-2], known["dilation"])
    wraps, crops = zip(
        *(
            flax.circular(span, stride, transposed=not known["flip_kernel"])
            for span, stride in zip(spans, known["stride"], strict=True)
        ),
        strict=True,
    )
    return borders.pad(x, "CIRCULAR", wraps), list(crops)
