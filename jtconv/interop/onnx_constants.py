"""The constants of an ONNX graph: initializers, and what nodes make of nothing but constants.

A node's value is computed by onnx's own reference evaluator, where somebody asks for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

# Operators that may give other numbers on every run.
RANDOM = {
    *("RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"),
    *("Bernoulli", "Multinomial", "Dropout"),
}
# The reference evaluator has this operator from here on only; what older models and onnxruntime's
# own domain call so is the same.
DEQUANTIZE, ITS_OPSET = "DequantizeLinear", 21


class NotConstant(ValueError):
    """A value that the model computes from what it is given, or that cannot be computed here."""


@dataclass
class Scope:
    """What the nodes of a graph see: its own values, and those of the graphs around it."""

    onnx: Any
    model: Any
    graph: Any
    around: Scope | None = None
    _makers: dict[str, Any] = field(init=False)
    _values: dict[str, np.ndarray] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self._makers = {name: node for node in self.graph.node for name in node.output if name}
        self._makers |= {tensor.name: tensor for tensor in self.graph.initializer}
        self._makers |= {held.values.name: held for held in self.graph.sparse_initializer}

    def inside(self, node: Any) -> Iterator[Scope]:
        """Those of the branches and loops in a node."""
        for graph in _subgraphs(node):
            yield Scope(self.onnx, self.model, graph, self)

    def constant(self, name: str) -> np.ndarray:
        """The value of this name, computed if need be.

        Raises:
            NotConstant: where it depends on an input, saying which.
        """
        scope = self._home(name)
        if name not in scope._values:
            scope._values[name] = scope._computed(name)
        return scope._values[name]

    def _home(self, name: str) -> Scope:
        """The graph that has this name, from within outwards."""
        if name in self._makers:
            return self
        if self.around is not None and name not in (value.name for value in self.graph.input):
            return self.around._home(name)
        where = self.graph.name or "the model"
        raise NotConstant(f"{name!r}, which is an input of {where}")

    def _computed(self, name: str) -> np.ndarray:
        maker = self._makers[name]
        if not isinstance(maker, self.onnx.NodeProto):
            return self._array(maker)
        if maker.op_type == "Constant" and len(maker.attribute) == 1:
            return self._array(self.onnx.helper.get_attribute_value(maker.attribute[0]))
        by = f"{name!r}, which {maker.op_type} makes"
        if maker.op_type in RANDOM:
            raise NotConstant(f"{by} by chance")
        try:
            given = {read: self.constant(read) for read in _reads(maker)}
        except NotConstant as why:
            raise NotConstant(f"{by} of {why}") from None
        return self._evaluated(maker, name, given)

    def _array(self, held: Any) -> np.ndarray:
        """What an initializer holds, or an attribute of a Constant: a tensor, numbers, ..."""
        to_array = self.onnx.numpy_helper.to_array
        if isinstance(held, self.onnx.TensorProto):
            return np.asarray(to_array(held))
        if isinstance(held, self.onnx.SparseTensorProto):
            values, at = to_array(held.values), to_array(held.indices)
            dense = np.zeros(tuple(held.dims), values.dtype)
            # Indices are flat, or have a column for every axis.
            dense[tuple(at.T) if at.ndim == 2 else np.unravel_index(at, dense.shape)] = values
            return dense
        array = np.asarray(held)
        return array.astype(np.float32) if array.dtype.kind == "f" else array

    def _evaluated(self, node: Any, name: str, given: dict[str, np.ndarray]) -> np.ndarray:
        """By the reference evaluator, on a model of this one node."""
        from onnx import reference

        def typed(value: str) -> Any:
            return self.onnx.helper.make_empty_tensor_value_info(value)

        opsets = {opset.domain: opset.version for opset in self.model.opset_import}
        if node.op_type == DEQUANTIZE and node.domain in ("", "com.microsoft"):
            node = self.onnx.NodeProto.FromString(node.SerializeToString())
            node.domain, opsets[""] = "", max(opsets.get("", 0), ITS_OPSET)
        graph = self.onnx.helper.make_graph(
            [node], "constant", list(map(typed, given)), [typed(name)]
        )
        imports = [self.onnx.helper.make_opsetid(*opset) for opset in opsets.items()]
        alone = self.onnx.helper.make_model(graph, opset_imports=imports)
        try:
            (value,) = reference.ReferenceEvaluator(alone).run(None, given)
        except Exception as error:  # each operator has its own ways to fail on wrong attributes
            reason = str(error).split("\n")[0]
            raise NotConstant(
                f"{name!r}, which onnx's reference evaluator cannot make by {node.op_type}: "
                f"{type(error).__name__}: {reason}"
            ) from None
        return np.asarray(value)


def _subgraphs(node: Any) -> Iterator[Any]:
    for item in node.attribute:
        if item.HasField("g"):
            yield item.g
        yield from item.graphs


def _reads(node: Any) -> list[str]:
    """What a node reads: its inputs, and what its branches see of the graph around them."""
    names = [name for name in node.input if name]
    for graph in _subgraphs(node):
        own = {value.name for value in (*graph.input, *graph.initializer)}
        for inner in graph.node:
            names += [name for name in _reads(inner) if name not in own]
            own.update(inner.output)
        names += [value.name for value in graph.output if value.name not in own]
    return list(dict.fromkeys(names))
