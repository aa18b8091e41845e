"""ConvTranspose nodes of ONNX with their weights, both ways."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jtconv.interop import layer as hub
from jtconv.interop.framework import load
from jtconv.interop.layer import Layer
from jtconv.interop.onnx.attributes import ATTRIBUTES, crops, each
from jtconv.interop.parameters import expect
from jtconv.nnx import ConvTranspose
from jtconv.problem import arguments
from jtconv.problem.padding import to_onnx

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
        ValueError, TypeError: for weights that are missing or do not fit the attributes, naming
            the node and them.
        ImportError: where onnx is not installed.
    """
    onnx = load("onnx")
    if not isinstance(node, onnx.NodeProto):
        raise TypeError(f"node must be an onnx.NodeProto, got {type(node).__name__}.")
    if node.op_type != "ConvTranspose":
        raise ValueError(f"node must be a ConvTranspose, got {node.op_type}.")
    try:
        words = _attributes(onnx, node)
        return hub.to_nnx(_layer(*_arrays(onnx, node, weights), words, input_shape))
    except (TypeError, ValueError) as error:
        raise type(error)(f"node {node.name!r}: {error}") from None


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
    if kernel.ndim < 3:
        raise ValueError(f"W must have shape (C_in, C_out // group, *kernel), got {kernel.shape}.")
    size, group = kernel.shape[2:], arguments.integer("group", words.pop("group", 1), least=1)
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


def _attributes(onnx: Any, node: Any) -> dict[str, Any]:
    words = {item.name: onnx.helper.get_attribute_value(item) for item in node.attribute}
    for name in words:
        if name not in ATTRIBUTES:
            raise ValueError(
                f"has an attribute {name!r}; ConvTranspose has {', '.join(ATTRIBUTES)}."
            )
    words["auto_pad"] = words.get("auto_pad", b"NOTSET").decode()
    return words


def _arrays(onnx: Any, node: Any, weights: Any) -> tuple[np.ndarray, np.ndarray | None]:
    """W and B."""
    names = [name for name in node.input if name]
    if len(names) not in (2, 3):
        raise ValueError(f"must have two inputs or three, X, W and B, got {list(node.input)}.")
    if not isinstance(weights, Mapping):
        weights = {tensor.name: tensor for tensor in weights}
    for name in names[1:]:
        if name not in weights:
            raise ValueError(
                f"weights has no {name!r}. W and B must be initializers, or come from Constant "
                "nodes, to become parameters of a layer."
            )
    kernel, bias = (weights.get(name) for name in (*names[1:], None)[:2])
    return _array(onnx, kernel), None if bias is None else _array(onnx, bias)


def _array(onnx: Any, held: Any) -> np.ndarray:
    is_tensor = isinstance(held, onnx.TensorProto)
    return onnx.numpy_helper.to_array(held) if is_tensor else np.asarray(held)


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
