"""ONNX: its own cases, onnxruntime by chance, nodes there and back, layers of a trained model."""

from __future__ import annotations

import importlib.util
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
import pytest

import jtconv
from jtconv.interop import onnx as interop
from tests.compare import assert_close
from tests.interop.chance import Chance, rows, table
from tests.interop.compiled import compiled, moved, parameters

pytestmark = pytest.mark.peer("onnx")


def model_of(node, x, initializers, opset: int = 11):
    """A model of one node, whose weights it holds."""
    import onnx

    kind = onnx.helper.np_dtype_to_tensor_dtype(x.dtype)
    given = onnx.helper.make_tensor_value_info(node.input[0], kind, x.shape)
    made = onnx.helper.make_tensor_value_info(node.output[0], kind, None)
    graph = onnx.helper.make_graph([node], "one", [given], [made], initializers)
    sets = [onnx.helper.make_opsetid("", opset)]
    return onnx.helper.make_model(graph, opset_imports=sets, ir_version=8)


def by_onnxruntime(model, **inputs):
    """What onnxruntime computes, or None where it refuses."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    try:
        session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        return session.run(None, inputs)
    except Exception as error:
        if type(error).__module__.startswith("onnxruntime"):
            return None
        raise


def node_of(attributes: dict[str, Any], bias: bool = False):
    import onnx

    names = ["X", "W", "B"] if bias else ["X", "W"]
    return onnx.helper.make_node("ConvTranspose", names, ["Y"], "n", **attributes)


def tensors(**arrays):
    import onnx

    return [onnx.numpy_helper.from_array(array, name) for name, array in arrays.items()]


def collected():
    """Importing the module of one operator collects its cases; of all, thousands."""
    importlib.import_module("onnx.backend.test.case.node.convtranspose")
    from onnx.backend.test.case import node

    return [case for case in node._NodeTestCases if case.name.startswith("test_convtranspose")]


@pytest.mark.usefixtures("in_numpy")
def test_onnxs_own_cases():
    """Those that ship inside onnx, by the function, and by the layer the node becomes."""
    cases = collected()
    assert len(cases) > 9
    for case in cases:
        check_own_case(case)


def check_own_case(case):
    import onnx

    (node,) = case.model.graph.node
    ((inputs, (want,)),) = case.data_sets
    attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    if "auto_pad" in attributes:
        attributes["auto_pad"] = attributes["auto_pad"].decode()
    assert_close(interop.conv_transpose(*inputs, **attributes), want)
    x, *rest = inputs
    weights = dict(zip(node.input[1:], rest, strict=True))
    layer = interop.to_nnx(node, weights, x.shape[2:])
    assert_close(moved(layer, x), want)


def test_onnx_has_cases_of_every_attribute():
    found = {a.name for case in collected() for a in case.model.graph.node[0].attribute}
    assert len(collected()) >= 10
    assert found >= {"auto_pad", "dilations", "group", "output_padding", "output_shape", "pads"}


class Call(NamedTuple):
    """Shapes and attributes of one node."""

    x: tuple[int, ...]
    w: tuple[int, ...]
    attributes: dict[str, Any]
    bias: bool


def drawn(chance: Chance) -> Call:
    rank, each = chance.axes(), chance.each
    kernel, stride, dilation = each(), each(4), each(3)
    group, channels, features = chance.choice((1, 1, 2)), chance.randint(1, 2), chance.randint(1, 3)
    size = each()
    full = [
        (n - 1) * s + d * (k - 1) + 1
        for n, k, s, d in zip(size, kernel, stride, dilation, strict=True)
    ]
    auto_pad = chance.choice(("NOTSET", "NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"))
    attributes: dict[str, Any] = {"strides": stride, "dilations": dilation, "group": group}
    if chance.random() < 0.5:
        attributes["kernel_shape"] = kernel
    if auto_pad != "NOTSET" or chance.random() < 0.5:
        attributes["auto_pad"] = auto_pad
    if auto_pad == "NOTSET" and chance.random() < 0.6:
        attributes["pads"] = [chance.randint(0, 2) for _ in range(2 * rank)]
    if chance.random() < 0.4:
        attributes["output_padding"] = [chance.randint(0, s - 1) for s in stride]
    if chance.random() < 0.3:
        attributes["output_shape"] = [
            max(1, most + chance.randint(-3, s)) for most, s in zip(full, stride, strict=True)
        ]
    shapes = (2, channels * group, *size), (channels * group, features, *kernel)
    return Call(*shapes, attributes, chance.random() < 0.5)


@pytest.mark.peer("onnxruntime")
@pytest.mark.usefixtures("in_numpy")
@pytest.mark.parametrize("call", table(drawn, few=30, many=250))
def test_sweep(call: Call, rng):
    """The same values; where onnxruntime refuses, a clear error or the law."""
    arrays = {
        "W": rng.normal(size=call.w).astype("float32"),
        "B": rng.normal(size=call.w[1] * call.attributes["group"]).astype("float32"),
    }
    if not call.bias:
        del arrays["B"]
    x = rng.normal(size=call.x).astype("float32")
    node = node_of(call.attributes, call.bias)
    answer = by_onnxruntime(model_of(node, x, tensors(**arrays)), X=x)
    if answer is None:
        pytest.skip("onnxruntime refuses this node")
    bias = arrays.get("B")
    got = interop.conv_transpose(x, arrays["W"], bias, **call.attributes)
    assert_close(got, answer[0])


@pytest.mark.peer("onnxruntime")
def test_onnxruntime_takes_most_of_the_sweep(rng):
    taken = 0
    for param in rows(drawn, 30, "few"):
        call = param.values[0]
        x, w = np.ones(call.x, "float32"), np.ones(call.w, "float32")
        node = node_of(call.attributes)
        taken += by_onnxruntime(model_of(node, x, tensors(W=w)), X=x) is not None
    assert taken >= 20


@pytest.mark.peer("onnxruntime")
@pytest.mark.usefixtures("in_numpy")
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("bias", [True, False])
def test_a_layer_as_a_node_and_back(groups, bias, rng):
    layer = jtconv.nnx.ConvTranspose(
        4, 6, (3, 2), (2, 3), padding=[(1, 0), (0, 1)], kernel_dilation=(2, 1), use_bias=bias,
        feature_group_count=groups, output_padding=(1, 2), **parameters(rng),
    )  # fmt: skip
    x = rng.normal(size=(2, 4, 3, 5)).astype("float32")
    node, initializers = interop.from_nnx(layer, "up")
    (want,) = by_onnxruntime(model_of(node, x, initializers), **{"up.X": x})
    assert_close(moved(layer, x), want)
    again, same = interop.from_nnx(interop.to_nnx(node, initializers), "up")
    assert again == node
    assert same == initializers


def test_masked_weights_go_as_zeros(rng):
    import onnx

    mask = jnp.asarray(rng.integers(0, 2, (3, 2, 2)))
    layer = jtconv.nnx.ConvTranspose(2, 2, 3, mask=mask, transpose_kernel=True, **parameters(rng))
    _, (weight, _) = interop.from_nnx(layer)
    want = (layer.kernel[...] * mask).T
    np.testing.assert_array_equal(onnx.numpy_helper.to_array(weight), want)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_dtypes_are_kept(dtype, rng):
    import onnx

    w = np.asarray(jnp.asarray(rng.normal(size=(2, 3, 3)), dtype))
    layer = interop.to_nnx(node_of({}), tensors(W=w))
    assert layer.kernel[...].dtype == dtype
    _, (weight,) = interop.from_nnx(layer)
    np.testing.assert_array_equal(onnx.numpy_helper.to_array(weight), w)


def test_weights_that_do_not_fit_are_named(rng):
    w, b = np.ones((4, 3, 2), "float32"), np.ones(5, "float32")
    with pytest.raises(ValueError, match=r"W must have shape \(4, 3, 5\), got \(4, 3, 2\)"):
        interop.to_nnx(node_of({"kernel_shape": [5]}), {"W": w})
    with pytest.raises(ValueError, match=r"B must have shape \(6,\), got \(5,\)"):
        interop.to_nnx(node_of({"group": 2}, bias=True), {"W": w, "B": b})
    with pytest.raises(ValueError, match="node 'n': weights has no 'B'"):
        interop.to_nnx(node_of({}, bias=True), {"W": w})
    with pytest.raises(ValueError, match="node 'n': group must divide the 4 channels into W"):
        interop.to_nnx(node_of({"group": 3}), {"W": w})
    with pytest.raises(ValueError, match="node 'n': group must be an int >= 1, got 0"):
        interop.to_nnx(node_of({"group": 0}), {"W": w})
    with pytest.raises(ValueError, match=r"W must have shape \(C_in, C_out // group, \*kernel\)"):
        interop.to_nnx(node_of({}), {"W": np.ones((4, 3), "float32")})
    with pytest.raises(ValueError, match="node must be a ConvTranspose, got Conv"):
        interop.to_nnx(onnx_node("Conv", ["X", "W"]), {"W": w})
    with pytest.raises(TypeError, match=r"node must be an onnx\.NodeProto, got int"):
        interop.to_nnx(3, {"W": w})
    with pytest.raises(ValueError, match="node 'n': must have two inputs or three, X, W and B"):
        interop.to_nnx(onnx_node("ConvTranspose", ["X"]), {"W": w})
    with pytest.raises(ValueError, match="node 'n': has an attribute 'dilation'"):
        interop.to_nnx(node_of({"dilation": [2]}), {"W": w})


def onnx_node(operator, inputs):
    import onnx

    return onnx.helper.make_node(operator, inputs, ["Y"], "n")


def test_weights_may_be_arrays_of_jax(rng):
    w = rng.normal(size=(2, 3, 4)).astype("float32")
    layer = interop.to_nnx(node_of({}), {"W": jnp.asarray(w)})
    np.testing.assert_array_equal(layer.kernel[...].T, w)


@pytest.mark.parametrize("padding", [[(3, 1)], "CIRCULAR"])
def test_what_onnx_cannot_express(padding, rng):
    layer = jtconv.nnx.ConvTranspose(2, 2, (3,), (2,), padding=padding, **parameters(rng))
    with pytest.raises(
        ValueError, match=r"padding.*(ONNX's pads are >= 0.* crops \(-1, 1\)|no crops do)"
    ):
        interop.from_nnx(layer)


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"auto_pad": "SAME"}, "auto_pad must be one of NOTSET, SAME_UPPER"),
        ({"auto_pad": "VALID", "pads": [1, 1]}, "pads must be left out where auto_pad is 'VALID'"),
        ({"pads": [1]}, r"pads must be a list of 2 ints, got \[1\]"),
        ({"pads": [-1, 0]}, r"pads\[0\] must be an int >= 0"),
        ({"strides": 2}, "strides must be a list of 1 ints, got 2"),
        ({"output_padding": [1]}, r"output_padding\[0\] must be smaller than stride or dilation"),
        ({"output_shape": [0]}, r"output_shape\[0\] must be an int >= 1"),
        ({"output_shape": [9]}, r"output_shape\[0\] must be at most 7"),
        ({"kernel_shape": [4]}, r"kernel_shape must be \(3,\), as W has it"),
        ({"kernel_shape": 3}, "kernel_shape must be a list of 1 ints, got 3"),
        ({"group": 2}, "group must divide the 3 channels of X"),
    ],
)
def test_errors_name_the_attributes_of_onnx(attributes, message):
    with pytest.raises((ValueError, TypeError), match=message):
        interop.conv_transpose(jnp.ones((1, 3, 5)), jnp.ones((3, 2, 3)), **attributes)


@pytest.mark.usefixtures("in_numpy")
def test_layers_of_a_model_with_an_output_shape(rng):
    """Sizes come from shape inference; weights from a Constant node behind an Identity."""
    import onnx

    w = rng.normal(size=(2, 3, 4)).astype("float32")
    x = rng.normal(size=(1, 2, 5)).astype("float32")
    (weight,) = tensors(held=w)
    model = model_of(node_of({"strides": [2], "output_shape": [9]}), x, [])
    for node in (
        onnx.helper.make_node("Identity", ["constant"], ["W"]),
        onnx.helper.make_node("Constant", [], ["constant"], value=weight),
    ):
        model.graph.node.insert(0, node)
    ((node, layer),) = interop.layers(model)
    assert node.name == "n"
    want = interop.conv_transpose(x, w, strides=[2], output_shape=[9])
    assert_close(moved(layer, x), want)
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_param = "length"
    with pytest.raises(ValueError, match="node 'n': input_shape, the input's spatial sizes, must"):
        interop.layers(model)


@pytest.mark.usefixtures("in_numpy")
def test_layers_inside_a_branch(rng):
    """A subgraph sees the weights around it; a bias may be a Constant of floats."""
    import onnx

    w = rng.normal(size=(2, 3, 4)).astype("float32")
    inner = onnx.helper.make_graph(
        [
            onnx.helper.make_node("Constant", [], ["B"], value_floats=[1.0, 2.0, 3.0]),
            node_of({"strides": [2]}, bias=True),
        ],
        "branch", [], [onnx.helper.make_tensor_value_info("Y", 1, None)],
    )  # fmt: skip
    branches = {"then_branch": inner, "else_branch": inner}
    x = rng.normal(size=(1, 2, 5)).astype("float32")
    model = model_of(onnx.helper.make_node("If", ["C"], ["Y"], **branches), x, tensors(W=w))
    found = interop.layers(model)
    assert len(found) == 2
    want = interop.conv_transpose(x, w, np.array([1, 2, 3], "float32"), strides=[2])
    for _, layer in found:
        assert_close(moved(layer, x), want)


class Chain(NamedTuple):
    """Nodes that make W, or B, of the constants in ``held``."""

    nodes: list[tuple[str, list[str], list[str], dict[str, Any]]]
    held: dict[str, Any]
    opset: int = 21


def negated(name: str) -> Any:
    """A branch that reads a value of the graph around it."""
    import onnx

    made = onnx.helper.make_tensor_value_info(f"-{name}", 1, None)
    node = onnx.helper.make_node("Neg", [name], [f"-{name}"])
    return onnx.helper.make_graph([node], f"negated {name}", [], [made])


def chains() -> dict[str, Chain]:
    """Every way to keep a kernel of shape (2, 3, 4) that people use."""
    rng = np.random.default_rng(0)
    w = rng.normal(size=(2, 3, 4)).astype("float32")
    q = rng.integers(-128, 127, (2, 3, 4)).astype("int8")
    g = rng.random((2, 1, 1)).astype("float32") + 1
    dequantize = "DequantizeLinear", ["q", "s", "z"], ["W"]
    one: dict[str, Any] = {"s": np.float32(0.025), "z": np.int8(3)}
    two: dict[str, Any] = {"s": rng.random(2).astype("float32"), "z": np.array([1, -2], "int8")}
    three: dict[str, Any] = {
        "s": rng.random(3).astype("float32"),
        "z": np.array([1, -2, 7], "int8"),
    }
    blocks: dict[str, Any] = {
        "s": rng.random((2, 3, 2)).astype("float32"),
        "z": np.ones((2, 3, 2), "int8"),
    }
    unsigned: dict[str, Any] = {"q": q.view("uint8"), "s": np.float32(0.1), "z": np.uint8(128)}
    norm: list[tuple[str, list[str], list[str], dict[str, Any]]] = [
        ("Div", ["w", "n"], ["u"], {}), ("Mul", ["g", "u"], ["W"], {}),
    ]  # fmt: skip
    return {
        "quantized": Chain([(*dequantize, {})], {"q": q, **one}),
        "quantized, opset 10": Chain([(*dequantize, {})], {"q": q, **one}, 10),
        "quantized, opset 13": Chain([(*dequantize, {})], unsigned, 13),
        "quantized, no zero": Chain(
            [("DequantizeLinear", ["q", "s"], ["W"], {})], {"q": q, "s": one["s"]}
        ),
        "quantized by axis 0": Chain([(*dequantize, {"axis": 0})], {"q": q, **two}),
        "quantized by axis 1": Chain([(*dequantize, {"axis": -2})], {"q": q, **three}),
        "quantized by blocks": Chain(
            [(*dequantize, {"axis": 2, "block_size": 2})], {"q": q, **blocks}
        ),
        "halves": Chain([("Cast", ["h"], ["W"], {"to": 1})], {"h": w.astype("float16")}),
        "integers": Chain([("Cast", ["q"], ["W"], {"to": 1})], {"q": q}),
        "transposed": Chain(
            [("Transpose", ["w"], ["W"], {"perm": [1, 0, 2]})], {"w": w.swapaxes(0, 1)}
        ),
        "arithmetic": Chain(
            [
                ("Constant", [], ["shape"], {"value_ints": [2, 3, -1]}),
                ("Reshape", ["w", "shape"], ["r"], {}),
                ("Constant", [], ["two"], {"value_float": 2.0}),
                ("Mul", ["r", "two"], ["m"], {}),
                ("Div", ["m", "d"], ["v"], {}),
                ("Identity", ["v"], ["W"], {}),
            ],
            {"w": w.ravel(), "d": np.array([3, 4, 5, 6], "float32")},
        ),
        "weight norm": Chain(
            [("ReduceL2", ["w"], ["n"], {"axes": [1, 2]}), *norm], {"w": w, "g": g}, 13
        ),
        "weight norm in steps": Chain(
            [
                ("Pow", ["w", "two"], ["p"], {}), ("ReduceSum", ["p", "axes"], ["s"], {}),
                ("Sqrt", ["s"], ["n"], {}), *norm,
            ],
            {"w": w, "g": g, "two": np.float32(2), "axes": np.array([1, 2])},
        ),
        "one of several outputs": Chain(
            [("Split", ["w"], ["first", "W"], {"axis": 0, "num_outputs": 2})],
            {"w": np.concatenate([w, 2 * w])},
        ),
        "a branch of constants": Chain(
            [("If", ["c"], ["W"], {"then_branch": "w", "else_branch": "v"})],
            {"c": np.array(False), "w": w, "v": 3 * w},
        ),
        "a shape filled": Chain(
            [("ConstantOfShape", ["shape"], ["W"], {})], {"shape": np.array([2, 3, 4])}
        ),
    }  # fmt: skip


def nodes_of(chain: Chain) -> list[Any]:
    """Branches are given by the name of what they negate."""
    import onnx

    made = []
    for *node, attributes in chain.nodes:
        branches = {k: negated(v) for k, v in attributes.items() if k.endswith("_branch")}
        made.append(onnx.helper.make_node(*node, **{**attributes, **branches}))
    return made


@pytest.mark.peer("onnxruntime")
@pytest.mark.usefixtures("in_numpy")
@pytest.mark.parametrize("where", ["model", "branch"])
@pytest.mark.parametrize("name", chains())
def test_weights_that_a_model_makes_of_constants(name, where, rng):
    """The numbers of onnxruntime, which folds them or computes them on every run."""
    import onnx

    chain, x = chains()[name], rng.normal(size=(1, 2, 5)).astype("float32")
    nodes, node = nodes_of(chain), node_of({"strides": [2]})
    if where == "branch":
        y = [onnx.helper.make_tensor_value_info("Y", 1, None)]
        inner = onnx.helper.make_graph([*nodes, node], "branch", [], y)
        branches = {"then_branch": inner, "else_branch": inner}
        condition = onnx.helper.make_node("Constant", [], ["C"], value=tensors(c=np.array(True))[0])
        nodes, node = [condition], onnx.helper.make_node("If", ["C"], ["Y"], **branches)
    held = tensors(**{key: np.asarray(array) for key, array in chain.held.items()})
    model = model_of(node_of({}), x, held, chain.opset)
    model.ir_version = 10
    del model.graph.node[:]
    model.graph.node.extend([*nodes, node])
    found = interop.layers(model)
    answer = by_onnxruntime(model, X=x)
    assert answer is not None
    assert len(found) == (2 if where == "branch" else 1)
    for _, layer in found:
        assert_close(moved(layer, x), answer[0])


@pytest.mark.peer("onnxruntime")
@pytest.mark.usefixtures("in_numpy")
def test_a_bias_and_a_loop_and_a_function_with_weights_of_constants(rng):
    """A loop sees what is around it, and a function's attributes are those of its call."""
    from onnx import parser

    text = """<ir_version: 9, opset_import: ["" : 18, "own" : 1]>
    main (float[1,2,5] X) => (float[1,3,K] Y)
    <int8[2,3,1] q = {1, -2, 3, 4, 5, -6}, float s = {0.5}, int32[3] b = {3, 4, 5}, int64 n = {1},
     bool c = {1}> {
        X2 = Loop (n, c, X) <body = one (int64 i, bool go, float[1,2,5] state)
            => (bool on, float[1,2,5] next) {
            K = DequantizeLinear (q, s)
            wide = ConvTranspose <pads: ints = [0, 0]> (state, K)
            from = Constant <value_ints: ints = [0]> ()
            to = Constant <value_ints: ints = [2]> ()
            axes = Constant <value_ints: ints = [1]> ()
            next = Slice (wide, from, to, axes)
            on = Identity (go)
        }>
        Y = own.up <steps: ints = [2]> (X2, q, s, b)
    }
    <domain: "own", opset_import: ["" : 18]> up <steps> (a, k, t, d) => (y) {
        w = DequantizeLinear (k, t)
        e = DequantizeLinear (d, t)
        y = ConvTranspose <strides: ints = @steps> (a, w, e)
    }"""
    model, x = parser.parse_model(text), rng.normal(size=(1, 2, 5)).astype("float32")
    (want,) = by_onnxruntime(model, X=x)
    (_, inner), (_, outer) = interop.layers(model)
    assert_close(moved(outer, moved(inner, x)[:, :2]), want)


def test_weights_that_depend_on_an_input_are_told_with_their_node(rng):
    """By its number, its input and its output where it has no name."""
    import onnx

    def because(*before: Any, name: str = "", inputs: Any = ("X", "W")) -> str:
        node = onnx.helper.make_node("ConvTranspose", list(inputs), ["Y"], name)
        model = model_of(
            node, np.ones((1, 2, 5), "float32"), tensors(w=np.ones((2, 3, 4), "float32"))
        )
        model.graph.input.append(onnx.helper.make_tensor_value_info("given", 1, (2, 3, 4)))
        for made in reversed(before):
            model.graph.node.insert(0, made)
        with pytest.raises(ValueError, match=r"^node ") as caught:
            interop.layers(model)
        return str(caught.value)

    node = onnx.helper.make_node
    told = because(node("Relu", ["given"], ["W"]))
    assert told.startswith(
        "node without a name, number 1 of graph 'one', which makes 'Y' of 'X': W is no constant"
    )
    assert "'W', which Relu makes of 'given', which is an input of one" in told
    assert because(inputs=("X", "given"), name="up").startswith("node 'up': W is no constant")
    assert "B is no constant" in because(inputs=("X", "w", "given"))
    by_chance = because(node("RandomNormal", [], ["W"], shape=[2, 3, 4]))
    assert "'W', which RandomNormal makes by chance" in by_chance
    unknown = because(node("Fold", ["w"], ["W"], domain="own"))
    assert "onnx's reference evaluator cannot make by Fold" in unknown
    assert "'nowhere'" in because(inputs=("X", "nowhere"))


def test_operators_of_other_domains_are_not_taken():
    import onnx

    node = onnx.helper.make_node("ConvTranspose", ["X", "W"], ["Y"], "n", domain="own")
    model = model_of(node, np.ones((1, 2, 5), "float32"), tensors(W=np.ones((2, 3, 4), "float32")))
    assert interop.layers(model) == []


def test_sparse_weights():
    import onnx

    values, at = tensors(W=np.array([1.5, -2.0], "float32"), at=np.array([[0, 2, 1], [1, 0, 3]]))
    flat = tensors(at=np.array([9, 15]))[0]
    want = np.zeros((2, 3, 4), "float32")
    want[0, 2, 1], want[1, 0, 3] = 1.5, -2
    for indices in (at, flat):
        model = model_of(node_of({}), np.ones((1, 2, 5), "float32"), [])
        sparse = onnx.helper.make_sparse_tensor(values, indices, [2, 3, 4])
        model.graph.sparse_initializer.append(sparse)
        ((_, layer),) = interop.layers(model)
        np.testing.assert_array_equal(layer.kernel[...].T, want)


def test_layers_of_no_model():
    with pytest.raises(TypeError, match=r"model must be a path or an onnx\.ModelProto, got int"):
        interop.layers(3)


def text_detector() -> Path:
    """A trained model that ships inside a package: text detection, with two transposed layers."""
    spec = importlib.util.find_spec("rapidocr_onnxruntime")
    assert spec is not None
    assert spec.submodule_search_locations
    (path,) = Path(spec.submodule_search_locations[0]).glob("models/*det*.onnx")
    return path


@pytest.mark.peer("onnxruntime")
@pytest.mark.peer("rapidocr_onnxruntime")
def test_layers_of_a_trained_model_on_a_photograph():
    """Every layer agrees with onnxruntime on what really flows into it."""
    import onnx
    from sklearn.datasets import load_sample_image

    model = onnx.load(text_detector())
    found = interop.layers(text_detector())
    assert [layer.kernel.shape for _, layer in found] == [(2, 2, 24, 24), (2, 2, 1, 24)]
    names = [name for node, _ in found for name in (node.input[0], node.output[0])]
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    photograph = load_sample_image("china.jpg")[:96, :128].astype("float32") / 127.5 - 1
    x = photograph.transpose(2, 0, 1)[None]
    answers = by_onnxruntime(model, **{model.graph.input[0].name: x})[-len(names) :]
    for (_, layer), seen, want in zip(found, answers[::2], answers[1::2], strict=True):
        assert np.std(seen) > 0
        assert_close(moved(partial(compiled, layer), seen), want)
