"""Other frameworks' words and weights, one room each; none imports its framework unasked.

Every room has ``crops``, what its framework's numbers crop from the full output, and most have
that framework's own function and ``to_nnx`` and ``from_nnx`` for its layers.
"""

from jtconv.interop import keras, lax, onnx, torch

__all__ = ["keras", "lax", "onnx", "torch"]
