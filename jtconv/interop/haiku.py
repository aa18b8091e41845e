"""Parameters of haiku.ConvNDTranspose, both ways; Haiku itself is not needed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from jtconv.conventions import lax
from jtconv.conventions.haiku import crops
from jtconv.interop import numpy_layer
from jtconv.interop.numpy_layer import NumpyLayer, expect, flipped, held, on_jax
from jtconv.nnx import ConvTranspose
from jtconv.problem import arguments
from jtconv.typing import PerAxis

__all__ = ["crops", "from_nnx", "to_nnx"]


@arguments.suggests
def to_nnx(
    params: Mapping[str, Any],
    *,
    num_spatial_dims: int,
    output_channels: int,
    kernel_shape: PerAxis,
    stride: PerAxis = 1,
    output_shape: PerAxis | None = None,
    padding: lax.Padding = "SAME",
    with_bias: bool = True,
    data_format: str = "channels_last",
    mask: Any = None,
) -> ConvTranspose:
    """Haiku's parameters of a transposed convolution as one of our layers, to the bit.

    Ours is channels last: where Haiku was given "channels_first" it takes
    ``jnp.moveaxis(x, 1, -1)`` and gives Haiku's output moved likewise.

    Args:
        params: ``{"w": ..., "b": ...}``, what Haiku keeps under the module's name.
        num_spatial_dims, ..., mask: those that ``haiku.ConvNDTranspose`` was made with.

    Raises:
        ValueError, TypeError: for a wrong argument, and for a parameter that is missing or whose
            shape is not what the rest implies.

    >>> import numpy as np
    >>> params = {"w": np.ones((4, 2, 3), np.float32), "b": np.ones(2, np.float32)}
    >>> up = to_nnx(params, num_spatial_dims=1, output_channels=2, kernel_shape=4, stride=2)
    >>> up(np.ones((1, 5, 3), np.float32)).shape
    (1, 10, 2)
    """
    rank = arguments.integer("num_spatial_dims", num_spatial_dims, least=1)
    size = arguments.per_axis("kernel_shape", kernel_shape, rank, least=1)
    strides = arguments.per_axis("stride", stride, rank, least=1)
    kernel = np.asarray(held(params, "w"))
    expect("w", kernel, (*size, output_channels, kernel.shape[-1]))
    around = (1,) * rank if _channels_first(data_format) else ()
    bias = None
    if with_bias:
        bias = np.asarray(held(params, "b"))
        expect("b", bias, (output_channels, *around))
        bias = bias.reshape(-1)
    if mask is not None:
        expect("mask", mask, kernel.shape)
    cut: Any = padding
    named = isinstance(padding, str) and padding in ("SAME", "VALID")
    if not named or output_shape is not None:
        cut = crops(size, strides, padding, output_shape)
    return numpy_layer.to_nnx(
        NumpyLayer(
            flipped(kernel),
            bias,
            strides,
            (1,) * rank,
            cut,
            (0,) * rank,
            mask=None if mask is None else flipped(np.asarray(mask)),
        )
    )


def from_nnx(layer: ConvTranspose) -> tuple[dict[str, jax.Array], dict[str, Any]]:
    """One of our layers as Haiku's parameters and the keywords of ``haiku.ConvNDTranspose``.

    The way back: ``to_nnx(params, **keywords)`` is the same layer.

    Raises:
        ValueError: for groups and dilation, which Haiku has not.
    """
    known = numpy_layer.from_nnx(layer)
    if known.groups > 1 or set(known.dilation) != {1}:
        raise ValueError(
            f"layer has feature_group_count={known.groups} and "
            f"kernel_dilation={known.dilation}: Haiku has neither, both must be 1."
        )
    params = {"w": on_jax("kernel", flipped(known.kernel))}
    if known.bias is not None:
        params["b"] = on_jax("bias", known.bias)
    named = known.padding in ("SAME", "VALID") and not any(known.output_padding)
    keywords = {
        "num_spatial_dims": known.rank,
        "output_channels": known.out_channels,
        "kernel_shape": known.size,
        "stride": known.stride,
        "padding": known.padding if named else lax.pads(known.crops, known.size, known.dilation),
        "with_bias": known.bias is not None,
        "mask": None if known.mask is None else flipped(known.mask),
    }
    return params, keywords


def _channels_first(data_format: Any) -> bool:
    """Where Haiku has the channels: it knows two names, and letters such as NHWC and BTHWD."""
    if re.fullmatch("channels_last|N[^C]*C|(BT|TB)[^D]*D", str(data_format)):
        return False
    if re.fullmatch("channels_first|NC[^C]*", str(data_format)):
        return True
    raise ValueError(
        "data_format must be 'channels_last', 'channels_first' or letters such as 'NHWC', 'NCHW' "
        f"and 'BTHWD', got {data_format!r}."
    )
