"""flax.nnx.ConvTranspose and flax.linen.ConvTranspose with their weights, both ways.

These make new layers. To compute a whole model of Flax's layers by ours, in place, see
:func:`jtconv.nnx.accelerate` and :func:`jtconv.linen.accelerate`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from flax import linen, nnx
from flax.core import meta

import jtconv.linen
import jtconv.nnx
from jtconv.conventions import flax, lax
from jtconv.interop import numpy_layer
from jtconv.interop.numpy_layer import crops_of_unknown_name, expect, held, on_jax

__all__ = ["from_nnx", "to_linen", "to_nnx"]

# Arguments that all these layers have, and those that only ours have.
_SHARED = (
    "strides",
    "padding",
    "kernel_dilation",
    "use_bias",
    "dtype",
    "param_dtype",
    "precision",
    "transpose_kernel",
    "preferred_element_type",
)
_OURS = ("feature_group_count", "output_padding", "method")


def to_nnx(
    layer: nnx.ConvTranspose | linen.ConvTranspose, params: Mapping[str, Any] | None = None
) -> jtconv.nnx.ConvTranspose:
    """A layer of Flax's, of either API, as one of ours with the same weights.

    Args:
        layer: a ``flax.nnx.ConvTranspose``, or a ``flax.linen.ConvTranspose``, or one of ours.
        params: of a Linen layer: ``{"kernel": ..., "bias": ...}``.

    Raises:
        ValueError: for a parameter that is missing, or whose shape is not what the layer implies.

    >>> import numpy as np
    >>> from flax import linen
    >>> params = {"kernel": np.ones((4, 3, 2), np.float32), "bias": np.ones(2, np.float32)}
    >>> up = to_nnx(linen.ConvTranspose(2, (4,), (2,)), params)
    >>> up(np.ones((1, 5, 3), np.float32)).shape
    (1, 10, 2)
    """
    if isinstance(layer, nnx.ConvTranspose):
        if params is not None:
            raise TypeError("params must be None beside an nnx layer, which holds its own.")
        return _nnx(jtconv.nnx.ConvTranspose, layer, _params(layer), _arguments(layer))
    if not isinstance(layer, linen.ConvTranspose):
        raise TypeError(
            f"layer must be a ConvTranspose of flax.nnx or flax.linen, got {type(layer).__name__}."
        )
    if params is None:
        raise TypeError("params must be given beside a Linen layer, which holds none itself.")
    return _nnx(jtconv.nnx.ConvTranspose, layer, meta.unbox(params), _arguments(layer))


def from_nnx(layer: jtconv.nnx.ConvTranspose) -> nnx.ConvTranspose:
    """One of our layers as Flax's own: the way back.

    What Flax has no name for becomes numbers around the dilated input.

    Raises:
        ValueError: for groups and a fourth axis, which Flax has not.
    """
    known = numpy_layer.from_nnx(layer)
    if known.rank > 3:
        raise ValueError(f"layer has {known.rank} spatial axes, Flax's have 1 to 3.")
    if known.groups > 1:
        raise ValueError(f"layer has feature_group_count={known.groups}, Flax has no groups: 1.")
    given = {name: value for name, value in _arguments(layer).items() if name not in _OURS}
    if known.padding in flax.NAMES and not any(known.output_padding):
        given["padding"] = known.padding
    elif isinstance(known.padding, str) or any(known.output_padding):
        given["padding"] = lax.pads(known.crops, known.size, known.dilation)
    return _nnx(nnx.ConvTranspose, layer, _params(layer), given)


def to_linen(layer: nnx.ConvTranspose) -> tuple[jtconv.linen.ConvTranspose, dict[str, Any]]:
    """A layer of nnx as ours of Linen, and its variables: ``module.apply(variables, x)``."""
    numpy_layer.from_nnx(layer)  # checked
    given = {**_arguments(layer), "mask": layer.mask}
    module = jtconv.linen.ConvTranspose(layer.out_features, tuple(layer.kernel_size), **given)
    return module, {"params": _params(layer)}


def _arguments(layer: Any) -> dict[str, Any]:
    """The arguments that a layer was made with and that other APIs share."""
    given = {name: getattr(layer, name) for name in (*_SHARED, *_OURS) if hasattr(layer, name)}
    crops = crops_of_unknown_name(layer)
    if crops is not None:
        size = flax.sizes(layer.kernel_size)
        dilation = flax.per_axis("kernel_dilation", layer.kernel_dilation, len(size))
        given["padding"] = lax.pads(crops, size, dilation)
    return given


def _params(layer: nnx.ConvTranspose) -> dict[str, jax.Array]:
    params = {"kernel": layer.kernel, "bias": layer.bias}
    return {name: value[...] for name, value in params.items() if value is not None}


def _nnx(kind: Any, layer: Any, params: Mapping[str, Any], given: dict[str, Any]) -> Any:
    """A layer of this kind with these parameters, checked."""
    kernel = on_jax("kernel", np.asarray(held(params, "kernel")))
    bias = on_jax("bias", np.asarray(held(params, "bias"))) if layer.use_bias else None
    features = layer.features if isinstance(layer, linen.ConvTranspose) else layer.out_features
    groups = given.get("feature_group_count", 1)
    size = flax.sizes(layer.kernel_size)
    if kernel.ndim != len(size) + 2:
        ends = f"{features}, C_in" if layer.transpose_kernel else f"C_in, {features}"
        raise ValueError(
            f"kernel must have shape ({', '.join(map(str, size))}, {ends}), got {kernel.shape}."
        )
    channels = kernel.shape[-1] if layer.transpose_kernel else kernel.shape[-2] * groups
    shape = (layer.kernel_size, channels, features, groups, layer.transpose_kernel)
    expect("kernel", kernel, flax.kernel_shape(*shape))
    if bias is not None:
        expect("bias", bias, (features,))
    return kind(
        channels,
        features,
        layer.kernel_size,
        mask=layer.mask,
        kernel_init=lambda *_: kernel,
        bias_init=lambda *_: bias,
        rngs=nnx.Rngs(0),
        **given,
    )
