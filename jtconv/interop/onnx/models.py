"""The transposed convolutions of a whole ONNX model, as layers."""

from __future__ import annotations

from collections.abc import Iterator
from os import PathLike, fspath
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from jtconv.interop.framework import load
from jtconv.interop.onnx.nodes import to_nnx
from jtconv.nnx import ConvTranspose

if TYPE_CHECKING:
    import onnx


class Found(NamedTuple):
    """A node of the model and the layer it became; ``node.input[0]`` names what it reads."""

    node: onnx.NodeProto
    layer: ConvTranspose


def layers(model: str | PathLike[str] | onnx.ModelProto) -> list[Found]:
    """The ConvTranspose nodes of a model as layers with its weights, in the model's order.

    Those inside branches and loops too.

    Each layer is channels last and computes what onnxruntime computes for its node; see
    :func:`to_nnx`.

    Args:
        model: the path of an ``.onnx`` file, or a model that ``onnx.load`` gave.

    Raises:
        ValueError: for weights that the model computes instead of holding them, and for an
            ``output_shape`` where the size of the input is unknown, naming the node.
        ImportError: where onnx is not installed.
    """
    onnx, asked = load("onnx"), model
    if not isinstance(asked, str | PathLike | onnx.ModelProto):
        raise TypeError(f"model must be a path or an onnx.ModelProto, got {type(asked).__name__}.")
    model = asked if isinstance(asked, onnx.ModelProto) else onnx.load(fspath(asked))
    nodes = list(_nodes(model.graph, {}))
    sizes = _sizes(onnx, model, [node for node, _ in nodes])
    return [Found(node, to_nnx(node, held, sizes.get(node.input[0]))) for node, held in nodes]


def _nodes(graph: Any, around: dict[str, Any]) -> Iterator[tuple[Any, dict[str, Any]]]:
    """The nodes of a graph and of the branches and loops in it, with the tensors they see."""
    held = around | {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "ConvTranspose":
            yield node, held
        elif node.op_type == "Identity" and node.input[0] in held:
            held[node.output[0]] = held[node.input[0]]
        for item in node.attribute:
            if node.op_type == "Constant" and item.name in ("value", "value_floats"):
                held[node.output[0]] = item.t if item.HasField("t") else np.float32(item.floats)
            for inner in (item.g, *item.graphs):
                yield from _nodes(inner, held)


def _sizes(onnx: Any, model: Any, nodes: list[Any]) -> dict[str, tuple[int, ...]]:
    """Spatial sizes of the tensors where they are known, if any node has to know them."""
    if not any(item.name == "output_shape" for node in nodes for item in node.attribute):
        return {}
    graph = onnx.shape_inference.infer_shapes(model).graph
    sizes = {}
    for value in (*graph.input, *graph.value_info):
        found = tuple(d.dim_value for d in value.type.tensor_type.shape.dim[2:])
        if found and all(found):
            sizes[value.name] = found
    return sizes
