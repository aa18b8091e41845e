"""ONNX: the operator on JAX arrays, as onnxruntime computes it, and nodes with their weights.

ConvTranspose nodes move both ways, and all those of a model at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from os import PathLike, fspath
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpy as np
from jax.typing import ArrayLike

from jtconv.conventions.onnx import ATTRIBUTES, AutoPad, Ints, crops, from_crops, per_axis
from jtconv.interop import call, numpy_layer
from jtconv.interop.numpy_layer import NumpyLayer, expect, load
from jtconv.interop.onnx_constants import NotConstant, Scope
from jtconv.interop.onnx_rearranging import depth_to_space, space_to_depth
from jtconv.nnx import ConvTranspose
from jtconv.problem import arguments

if TYPE_CHECKING:
    import onnx

__all__ = [
    "conv_transpose",
    "crops",
    "depth_to_space",
    "from_nnx",
    "layers",
    "space_to_depth",
    "to_nnx",
]
Weights = Mapping[str, Any] | Iterable[Any]
_NAMES = call.Names("X", "W", "B", "group")


@arguments.suggests
def conv_transpose(
    X: ArrayLike,
    W: ArrayLike,
    B: ArrayLike | None = None,
    *,
    auto_pad: AutoPad = "NOTSET",
    dilations: Ints | None = None,
    group: int = 1,
    kernel_shape: Ints | None = None,
    output_padding: Ints | None = None,
    output_shape: Ints | None = None,
    pads: Ints | None = None,
    strides: Ints | None = None,
) -> jax.Array:
    """ONNX's ``ConvTranspose``, attribute for attribute, deciding as onnxruntime does.

    Args:
        X: ``(N, C_in, *spatial)``, 1 to 4 spatial axes.
        W: ``(C_in, C_out // group, *kernel)``.
        B: ``(C_out,)``.
        auto_pad, output_padding, output_shape, pads: see :func:`crops`.
        dilations, strides: one int per axis; 1 if None.
        group: groups of channels.
        kernel_shape: the kernel's sizes; checked against ``W``.

    Raises:
        ValueError, TypeError: naming the attribute.

    >>> import jax.numpy as jnp
    >>> x, w = jnp.ones((1, 2, 4)), jnp.ones((2, 3, 3))
    >>> conv_transpose(x, w, strides=[2], auto_pad="SAME_UPPER").shape
    (1, 3, 8)
    """
    given = call.arrays(_NAMES, X, W, B, unbatched=False)
    kernel = given.w.shape[2:]
    if kernel_shape is not None and per_axis("kernel_shape", kernel_shape, given.rank) != kernel:
        raise ValueError(f"kernel_shape must be {kernel}, as W has it, got {kernel_shape!r}.")
    spec = f"NC{'TDHW'[-given.rank :]}"
    return call.transposed(
        given,
        (spec, spec.replace("NC", "IO"), spec),
        group,
        crops(
            given.x.shape[2:],
            kernel,
            auto_pad=auto_pad,
            dilations=dilations,
            output_padding=output_padding,
            output_shape=output_shape,
            pads=pads,
            strides=strides,
        ),
        stride=per_axis("strides", strides, given.rank),
        dilation=per_axis("dilations", dilations, given.rank),
    )


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
        attributes = _attributes(onnx, node)
        return numpy_layer.to_nnx(_layer(*_arrays(onnx, node, weights), attributes, input_shape))
    except (TypeError, ValueError) as error:
        raise type(error)(f"{_called(node)}: {error}") from None


def _called(node: Any, place: str = "") -> str:
    """Which node: by its name, or by where it is and what it reads and writes."""
    if node.name:
        return f"node {node.name!r}"
    reads = node.input[0] if node.input else ""
    writes = node.output[0] if node.output else ""
    return f"node without a name{place}, which makes {writes!r} of {reads!r}"


def from_nnx(
    layer: ConvTranspose, name: str = "conv_transpose"
) -> tuple[onnx.NodeProto, list[onnx.TensorProto]]:
    """One of our layers, or of Flax's, as a node and its initializers: the way back.

    The node reads ``{name}.X`` and writes ``{name}.Y``; its initializers are ``{name}.W`` and,
    where the layer has a bias, ``{name}.B``.

    Raises:
        ValueError: for crops that ONNX has no pads for.
        ImportError: where onnx is not installed.
    """
    onnx, known = load("onnx"), numpy_layer.from_nnx(layer)
    pads = known.padding_as(from_crops)
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
        **pads,
    )
    return node, initializers


def _layer(
    kernel: np.ndarray, bias: np.ndarray | None, attributes: dict[str, Any], input_shape: Any
) -> NumpyLayer:
    if kernel.ndim < 3:
        raise ValueError(f"W must have shape (C_in, C_out // group, *kernel), got {kernel.shape}.")
    size, group = kernel.shape[2:], arguments.integer("group", attributes.pop("group", 1), least=1)
    expect("W", kernel, (*kernel.shape[:2], *attributes.pop("kernel_shape", size)))
    if kernel.shape[0] % group:
        raise ValueError(f"group must divide the {kernel.shape[0]} channels into W, got {group}.")
    if bias is not None:
        expect("B", bias, (kernel.shape[1] * group,))
    return NumpyLayer(
        kernel.transpose(*range(2, kernel.ndim), 1, 0),
        bias,
        per_axis("strides", attributes.get("strides"), len(size)),
        per_axis("dilations", attributes.get("dilations"), len(size)),
        crops(input_shape, size, **attributes),
        (0,) * len(size),
        group,
    )


def _attributes(onnx: Any, node: Any) -> dict[str, Any]:
    attributes = {item.name: onnx.helper.get_attribute_value(item) for item in node.attribute}
    for name in attributes:
        if name not in ATTRIBUTES:
            raise ValueError(
                f"has an attribute {name!r}; ConvTranspose has {', '.join(ATTRIBUTES)}."
            )
    attributes["auto_pad"] = attributes.get("auto_pad", b"NOTSET").decode()
    return attributes


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
                f"weights has no {name!r}. W and B must be initializers, to become parameters of "
                "a layer; layers(model) finds them where the model computes them of constants."
            )
    kernel, bias = (weights.get(name) for name in (*names[1:], None)[:2])
    return _array(onnx, kernel), None if bias is None else _array(onnx, bias)


def _array(onnx: Any, held: Any) -> np.ndarray:
    is_tensor = isinstance(held, onnx.TensorProto)
    return onnx.numpy_helper.to_array(held) if is_tensor else np.asarray(held)


class Found(NamedTuple):
    """A node of the model and the layer it became; ``node.input[0]`` names what it reads."""

    node: onnx.NodeProto
    layer: ConvTranspose


def layers(model: str | PathLike[str] | onnx.ModelProto) -> list[Found]:
    """The ConvTranspose nodes of a model as layers with its weights, in the model's order.

    Those inside branches, loops and functions too; functions are written out first. Weights that
    the model makes of constants alone (dequantized, cast, transposed, normalized) are computed,
    by onnx's reference evaluator.

    Each layer is channels last and computes what onnxruntime computes for its node; see
    :func:`to_nnx`.

    Args:
        model: the path of an ``.onnx`` file, or a model that ``onnx.load`` gave.

    Raises:
        ValueError: for weights that depend on an input of the model, and for an ``output_shape``
            where the size of the input is unknown, naming the node.
        ImportError: where onnx is not installed.
    """
    onnx = load("onnx")
    if not isinstance(model, str | PathLike | onnx.ModelProto):
        raise TypeError(f"model must be a path or an onnx.ModelProto, got {type(model).__name__}.")
    loaded = onnx.load(fspath(model)) if isinstance(model, str | PathLike) else model
    if loaded.functions:
        from onnx import inliner

        loaded = inliner.inline_local_functions(loaded)
    nodes = list(_nodes(Scope(onnx, loaded, loaded.graph)))
    sizes = _sizes(onnx, loaded, [node for node, *_ in nodes])
    return [_found(*node, sizes) for node in nodes]


def _nodes(scope: Scope) -> Iterator[tuple[Any, str, Scope]]:
    """The nodes of a graph and of the branches and loops in it, where they are, what they see."""
    for number, node in enumerate(scope.graph.node):
        if node.op_type == "ConvTranspose" and node.domain in ("", "ai.onnx"):
            yield node, f", number {number} of graph {scope.graph.name!r}", scope
        for inner in scope.inside(node):
            yield from _nodes(inner)


def _found(node: Any, place: str, scope: Scope, sizes: dict[str, tuple[int, ...]]) -> Found:
    held = {}
    for role, name in zip("WB", node.input[1:], strict=False):
        if not name:
            continue
        try:
            held[name] = scope.constant(name)
        except NotConstant as why:
            raise ValueError(
                f"{_called(node, place)}: {role} is no constant, to become a parameter of a "
                f"layer: it is {why}."
            ) from None
    return Found(node, to_nnx(node, held, sizes.get(node.input[0])))


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
