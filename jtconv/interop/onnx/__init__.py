"""ONNX's words: the operator on JAX arrays, and nodes and models with their weights."""

from jtconv.interop.onnx.attributes import crops
from jtconv.interop.onnx.functional import conv_transpose
from jtconv.interop.onnx.models import layers
from jtconv.interop.onnx.nodes import from_nnx, to_nnx

__all__ = ["conv_transpose", "crops", "from_nnx", "layers", "to_nnx"]
