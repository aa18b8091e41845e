"""What explain may be asked about: arrays, shapes, and layers as objects or as text."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from jtconv import conventions
from jtconv.conventions import flax
from jtconv.conventions.layer import LayerSpec
from jtconv.problem import arguments, dtypes


def array(name: str, value: Any, dtype: Any = jnp.float32) -> jax.ShapeDtypeStruct:
    """The shape, and the dtype the array would have in JAX (float32 for float64 without x64).

    A shape alone is one of ``dtype``.
    """
    if isinstance(value, tuple | list) and not any(isinstance(n, float) for n in value):
        return jax.ShapeDtypeStruct(arguments.shape(name, value, least=0), jnp.dtype(dtype))
    if not hasattr(value, "shape") or not hasattr(value, "dtype"):
        raise TypeError(
            f"{name} must be an array, a jax.ShapeDtypeStruct or a shape, got "
            f"{type(value).__name__}."
        )
    dtypes.dtype_of(name, value)
    return jax.ShapeDtypeStruct(value.shape, jax.dtypes.canonicalize_dtype(value.dtype))


def layer_of(value: Any) -> LayerSpec | None:
    """The layer that ``w`` is: text as a framework writes it, or an object of torch or Flax."""
    if isinstance(value, str):
        return conventions.read(value)
    module = type(value).__module__.partition(".")[0]
    if module == "torch" and not hasattr(value, "shape"):
        return conventions.read(repr(value))
    if hasattr(value, "kernel_size") and hasattr(value, "strides"):
        return flax.of_layer(value)
    return None


def arrays_of(
    layer: LayerSpec, x: jax.ShapeDtypeStruct
) -> tuple[jax.ShapeDtypeStruct, jax.ShapeDtypeStruct | None]:
    """The kernel and the bias of a layer applied to ``x``, its channels last."""
    groups = layer.keywords.get("groups", 1)
    channels = layer.in_channels or x.shape[-1]
    kernel = (*layer.kernel, channels // groups, layer.out_channels)
    bias = jax.ShapeDtypeStruct((layer.out_channels,), x.dtype) if layer.bias else None
    return jax.ShapeDtypeStruct(kernel, x.dtype), bias
