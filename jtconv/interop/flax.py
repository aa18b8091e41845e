"""flax.nnx.ConvTranspose and flax.linen.ConvTranspose with their weights, both ways.

These make new layers. To compute a whole model of Flax's layers by ours, in place, see
:func:`jtconv.nnx.accelerate` and :func:`jtconv.linen.accelerate`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import jax
import numpy as np
from flax import linen, nnx
from flax.core import meta

import jtconv.linen
import jtconv.nnx
from jtconv import layers
from jtconv.interop import layer as hub
from jtconv.interop.parameters import expect, held, on_jax
from jtconv.problem import padding
from jtconv.problem.padding import Crops, to_lax

# Arguments that all these layers have, and those that only ours have.
_WORDS = (
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
        ValueError: for a parameter that is missing, or whose shape is not what the layer says.

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
        return _nnx(jtconv.nnx.ConvTranspose, layer, _params(layer), _words(layer))
    if not isinstance(layer, linen.ConvTranspose):
        raise TypeError(
            f"layer must be a ConvTranspose of flax.nnx or flax.linen, got {type(layer).__name__}."
        )
    if params is None:
        raise TypeError("params must be given beside a Linen layer, which holds none itself.")
    return _nnx(jtconv.nnx.ConvTranspose, layer, meta.unbox(params), _words(layer))


def from_nnx(layer: jtconv.nnx.ConvTranspose) -> nnx.ConvTranspose:
    """One of our layers as Flax's own: the way back.

    What Flax has no name for becomes numbers around the dilated input.

    Raises:
        ValueError: for groups and a fourth axis, which Flax has not.
    """
    known = hub.from_nnx(layer)
    if known.rank > 3:
        raise ValueError(f"layer has {known.rank} spatial axes, Flax's have 1 to 3.")
    if known.groups > 1:
        raise ValueError(f"layer has feature_group_count={known.groups}, Flax has no groups: 1.")
    words = {name: value for name, value in _words(layer).items() if name not in _OURS}
    if known.padding in layers.FLAX_NAMES and not any(known.output_padding):
        words["padding"] = known.padding
    elif isinstance(known.padding, str) or any(known.output_padding):
        words["padding"] = _numbers(known.crops, known.spans)
    return _nnx(nnx.ConvTranspose, layer, _params(layer), words)


def to_linen(layer: nnx.ConvTranspose) -> tuple[jtconv.linen.ConvTranspose, dict[str, Any]]:
    """A layer of nnx as ours of Linen, and its variables: ``module.apply(variables, x)``."""
    hub.from_nnx(layer)  # checked
    words = {**_words(layer), "mask": layer.mask}
    module = jtconv.linen.ConvTranspose(layer.out_features, tuple(layer.kernel_size), **words)
    return module, {"params": _params(layer)}


def _words(layer: Any) -> dict[str, Any]:
    """The arguments that a layer was made with and that other APIs share."""
    words = {name: getattr(layer, name) for name in (*_WORDS, *_OURS) if hasattr(layer, name)}
    crops = hub.odd_name(layer)
    if crops is not None:
        size = layers.sizes(layer.kernel_size)
        dilation = layers.per_axis("kernel_dilation", layer.kernel_dilation, len(size))
        words["padding"] = _numbers(crops, padding.spans(size, dilation))
    return words


def _numbers(crops: Iterable[Crops], spans: Iterable[int]) -> tuple[Crops, ...]:
    """Crops as Flax's cells around the dilated input."""
    return tuple(to_lax(pair, span) for pair, span in zip(crops, spans, strict=True))


def _params(layer: nnx.ConvTranspose) -> dict[str, jax.Array]:
    params = {"kernel": layer.kernel, "bias": layer.bias}
    return {name: value[...] for name, value in params.items() if value is not None}


def _nnx(kind: Any, layer: Any, params: Mapping[str, Any], words: dict[str, Any]) -> Any:
    """A layer of this kind with these parameters, checked."""
    kernel = on_jax("kernel", np.asarray(held(params, "kernel")))
    bias = on_jax("bias", np.asarray(held(params, "bias"))) if layer.use_bias else None
    features = layer.features if isinstance(layer, linen.ConvTranspose) else layer.out_features
    groups = words.get("feature_group_count", 1)
    size = layers.sizes(layer.kernel_size)
    if kernel.ndim != len(size) + 2:
        ends = f"{features}, C_in" if layer.transpose_kernel else f"C_in, {features}"
        raise ValueError(
            f"kernel must have shape ({', '.join(map(str, size))}, {ends}), got {kernel.shape}."
        )
    channels = kernel.shape[-1] if layer.transpose_kernel else kernel.shape[-2] * groups
    shape = (layer.kernel_size, channels, features, groups, layer.transpose_kernel)
    expect("kernel", kernel, layers.kernel_shape(*shape))
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
        **words,
    )
