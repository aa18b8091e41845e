"""Other frameworks' words and weights, one room each; none imports its framework unasked.

Most rooms have ``crops``, what their framework's numbers crop from the full output; that
framework's own function on JAX arrays; and ``to_nnx`` and ``from_nnx`` for its layers.
"""

from jtconv.interop import equinox, flax, haiku, keras, lax, onnx, torch

__all__ = ["equinox", "flax", "haiku", "keras", "lax", "onnx", "torch"]
