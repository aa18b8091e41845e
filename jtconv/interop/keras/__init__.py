"""Keras's words: keras.ops.conv_transpose on JAX arrays, and layers with their weights."""

from jtconv.interop.keras.functional import conv_transpose, crops
from jtconv.interop.keras.layers import from_nnx, to_nnx

__all__ = ["conv_transpose", "crops", "from_nnx", "to_nnx"]
