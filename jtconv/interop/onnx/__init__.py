"""ONNX's words: the operator on JAX arrays, and nodes with their weights, both ways."""

from jtconv.interop.onnx.attributes import crops
from jtconv.interop.onnx.functional import conv_transpose

__all__ = ["conv_transpose", "crops"]
