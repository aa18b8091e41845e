"""ConvTranspose nodes of ONNX with their weights, both ways."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jtconv.interop import layer as hub
from jtconv.interop.framework import load
from jtconv.interop.layer import Layer, expect
from jtconv.interop.onnx.attributes import crops, each
from jtconv.nnx import ConvTranspose
from jtconv.padding import to_onnx

if TYPE_CHECKING:
    import onnx

Weights = Mapping[str, Any] | Iterable[Any]


def to_nnx(
    node: onnx.NodeProto, weights: Weights, input_shape: Sequence[int] | None = None
) -> ConvTranspose:
    """A ConvTranspose node and its initializers as one of our layers, to the bit.

    The layer is channels last: where ONNX takes ``X``, ``(N, C, *spatial)``, it takes
    ``jnp.moveaxis(X, 1, -1)`` and gives ONNX's output moved likewise.

    Args:
        node: an ``onnx.NodeProto`` whose operator is ConvTranspose.
        weights: the model's initializers, or a mapping from names to tensors or arrays.
        input_shape: spatial sizes of the input; only a node with the attribute ``output_shape``
            needs them, and its layer is right for inputs of that size alone.

    Raises:
        ValueError: for weights that are missing or do not fit the attributes, naming them.
        ImportError: where onnx is not installed.
    """
    onnx = load("onnx")
    if node.op_type != "ConvTranspose":
        raise ValueError(f"node must be a ConvTranspose, got {node.op_type}.")
    words = {item.name: onnx.helper.get_attribute_value(item) for item in node.attribute}
    words["auto_pad"] = words.get("auto_pad", b"NOTSET").decode()
    tensors = _by_name(weights)
    kernel, *rest = (_array(tensors, node, name) for name in node.input[1:] if name)
    return hub.to_nnx(_layer(kernel, rest[0] if rest else None, words, input_shape))


def from_nnx(
    layer: ConvTranspose, name: str = "conv_transpose"
) -> tuple[onnx.NodeProto, list[onnx.TensorProto]]:
    """One of our layers, or of Flax's, as a node and its initializers: the way back.

    The node reads ``{name}.X`` and writes ``{name}.Y``; its initializers are ``{name}.W`` and,
    where the layer has a bias, ``{name}.B``.

    Raises:
        ValueError: for crops that ONNX has no words for.
        ImportError: where onnx is not installed.
    """
    onnx, known = load("onnx"), hub.from_nnx(layer)
    pairs, extra = zip(*(_words(*column) for column in _columns(known)), strict=True)
    weight = known.masked.transpose(-1, -2, *range(known.rank))
    arrays = {f"{name}.W": weight, f"{name}.B": known.bias}
    initializers = [
        onnx.numpy_helper.from_array(np.array(array, order="C"), key)
        for key, array in arrays.items()
        if array is not None
    ]
    node = onnx.helper.make_node(
        "ConvTranspose",
        [f"{name}.X", *(tensor.name for tensor in initializers)],
        [f"{name}.Y"],
        name,
        kernel_shape=known.size,
        strides=known.stride,
        dilations=known.dilation,
        group=known.groups,
        pads=[lo for lo, _ in pairs] + [hi for _, hi in pairs],
        output_padding=extra,
    )
    return node, initializers


def _layer(
    kernel: np.ndarray, bias: np.ndarray | None, words: dict[str, Any], input_shape: Any
) -> Layer:
    size, group = kernel.shape[2:], words.pop("group", 1)
    expect("W", kernel, (*kernel.shape[:2], *words.pop("kernel_shape", size)))
    if kernel.shape[0] % group:
        raise ValueError(f"group must divide the {kernel.shape[0]} channels into W, got {group}.")
    if bias is not None:
        expect("B", bias, (kernel.shape[1] * group,))
    return Layer(
        kernel.transpose(*range(2, kernel.ndim), 1, 0),
        bias,
        each("strides", words.get("strides"), len(size)),
        each("dilations", words.get("dilations"), len(size)),
        crops(input_shape, size, **words),
        (0,) * len(size),
        group,
    )


def _by_name(weights: Weights) -> Mapping[str, Any]:
    if isinstance(weights, Mapping):
        return weights
    tensors: Iterable[Any] = weights
    return {tensor.name: tensor for tensor in tensors}


def _array(tensors: Mapping[str, Any], node: Any, name: str) -> np.ndarray:
    if name not in tensors:
        raise ValueError(
            f"node {node.name!r}: weights has no {name!r}. W and B must be initializers, or come "
            "from Constant nodes, to become parameters of a layer."
        )
    tensor = tensors[name]
    if isinstance(tensor, np.ndarray):
        return tensor
    return load("onnx").numpy_helper.to_array(tensor)


def _columns(layer: Layer) -> Iterable[tuple[Any, ...]]:
    return zip(range(layer.rank), layer.crops, layer.stride, layer.dilation, strict=True)


def _words(axis: int, pair: tuple[int, int], stride: int, dilation: int) -> Any:
    said = to_onnx(pair, stride, dilation)
    if said is None:
        raise ValueError(
            f"padding: the crops {pair} of spatial axis {axis} have no words in ONNX, which crops "
            "nothing less than 0 in front and adds less than a stride or dilation behind."
        )
    return said
