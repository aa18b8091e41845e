"""Functions, layers and weights of other frameworks, one module each; none imports its framework.

Not until a layer of that framework is called for. Most have ``crops``, what the framework's
arguments crop from the full output; its own function on JAX arrays; and ``to_nnx`` and
``from_nnx`` for its layers.
"""

from jtconv.interop import equinox, flax, haiku, keras, lax, onnx, torch

__all__ = ["equinox", "flax", "haiku", "keras", "lax", "onnx", "torch"]
