"""How frameworks write a layer: run there it computes what ours computes, and is read back."""

from __future__ import annotations

from typing import Any

import flax.nnx
import jax
import numpy as np
import pytest

import jtconv
from jtconv import conventions
from jtconv.conventions.text import parse, signature
from jtconv.problem.call import Call
from tests.compare import assert_close
from tests.layers import Case, cases

CASES = cases(18, seed=5)
each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def text_of(case: Case, framework: str) -> conventions.LayerText:
    return next(t for t in case.plan.conventions if t.framework == framework)


def first(array: np.ndarray) -> np.ndarray:
    """Channels last to channels first."""
    return np.moveaxis(array, -1, 1)


def theirs(case: Case, order: str) -> np.ndarray:
    """Our kernel, flipped where it is to be, as IO*, OI*, *OI or *IO with groups."""
    w, g, rank = case.numbers()[1], case.keywords["groups"], case.rank
    if case.keywords.get("flip_kernel"):
        w = np.flip(w, tuple(range(rank)))
    if order in ("IO*", "*OI"):  # (C_in, C_out // g): the group index changes sides
        *kernel, c_in, c_out = w.shape
        w = w.reshape(*kernel, c_in, g, c_out // g)
        w = np.moveaxis(w, -2, -3).reshape(*kernel, g * c_in, c_out // g)
    if order in ("*OI", "OI*"):
        w = np.swapaxes(w, -1, -2)
    return np.moveaxis(w, (-2, -1), (0, 1)) if order.endswith("*") else w


def test_the_cases_have_every_answer():
    """Every framework both has and lacks some of these layers, but for those that lack none."""
    for framework in ("torch", "keras", "onnx", "flax", "lax"):
        answers = {bool(text_of(case, framework).why_not) for case in CASES}
        assert answers == {True, False}, framework
    for op in ("conv", "conv_transpose"):
        for framework in ("torch", "keras", "onnx"):
            texts = [text_of(case, framework) for case in CASES if case.op == op]
            assert {bool(text.why_not) for text in texts} == {True, False}


@pytest.mark.peer("torch")
@each_case
def test_torch(case):
    torch = pytest.importorskip("torch")
    text = text_of(case, "torch")
    if text.call is None:
        assert text.why_not
        pytest.skip("torch cannot write this")
    x, _, bias = case.numbers()
    kernel = theirs(case, "IO*" if case.op == "conv_transpose" else "OI*")
    assert text.kernel.startswith(str(kernel.shape))
    made: list[Any] = []

    def loaded(kind: Any) -> Any:
        def build(*arguments: Any, **keywords: Any) -> Any:
            module = kind(*arguments, **keywords).double()
            module.weight.data = torch.from_numpy(np.ascontiguousarray(kernel))
            assert (module.bias is not None) == case.bias
            if bias is not None:
                module.bias.data = torch.from_numpy(bias)
            made.append(module)
            return module

        return build

    class Torch:
        class nn:
            functional = torch.nn.functional

    kind = text.call.split("torch.nn.Conv")[1].split("(")[0]
    setattr(Torch.nn, f"Conv{kind}", loaded(getattr(torch.nn, f"Conv{kind}")))
    x = torch.from_numpy(first(x).copy())
    result = eval(text.call, {"torch": Torch, "x": x})
    y = result(x) if text.why_not is None else result
    assert len(made) == 1
    assert_close(np.moveaxis(y.detach().numpy(), 1, -1), case.value)


@each_case
def test_lax(case):
    text = text_of(case, "lax")
    x, w, bias = case.numbers()
    assert text.call is not None
    if text.kernel.endswith(", flipped"):
        w = np.flip(w, tuple(range(case.rank)))
    assert text.kernel.startswith(str(w.shape))
    y = eval(text.call, {"jax": jax, "x": x, "w": w})
    assert_close(np.asarray(y) + (0 if bias is None else bias), case.value)


@each_case
def test_flax(case):
    text = text_of(case, "flax")
    assert text.call is not None
    x, w, bias = case.numbers()
    rngs = flax.nnx.Rngs(0)
    layer = eval(text.call, {"flax": flax, "jtconv": jtconv, "rngs": rngs})
    if "transpose_kernel=True" in text.call:
        # flax flips the kernel of a transposed layer itself
        w = theirs(case, "*OI")
    assert layer.kernel.get_value().shape == w.shape
    assert text.kernel.startswith(str(w.shape))
    layer.kernel.set_value(jax.numpy.asarray(w))
    assert (layer.bias is not None and layer.bias.get_value() is not None) == case.bias
    if bias is not None:
        layer.bias.set_value(jax.numpy.asarray(bias))
    layer.dtype = layer.param_dtype = jax.numpy.float64
    assert_close(layer(jax.numpy.asarray(x)), case.value)


@pytest.mark.peer("onnxruntime")
@each_case
def test_onnx(case):
    onnx, runtime = pytest.importorskip("onnx"), pytest.importorskip("onnxruntime")
    text = text_of(case, "onnx")
    if text.call is None:
        assert text.why_not
        pytest.skip("ONNX cannot write this")
    kernel = theirs(case, "IO*" if case.op == "conv_transpose" else "OI*")
    assert text.kernel.startswith(str(kernel.shape))
    x, _, bias = case.numbers()
    feeds = {"X": first(x), "W": kernel} | ({} if bias is None else {"B": bias})
    single = {name: np.ascontiguousarray(a, np.float32) for name, a in feeds.items()}
    kind = onnx.TensorProto.FLOAT
    inputs = [onnx.helper.make_tensor_value_info(n, kind, a.shape) for n, a in single.items()]
    output = onnx.helper.make_tensor_value_info("Y", kind, None)
    node = eval(text.call, {"onnx": onnx})
    graph = onnx.helper.make_graph([node], "layer", inputs, [output])
    opset = [onnx.helper.make_opsetid("", 17)]
    model = onnx.helper.make_model(graph, opset_imports=opset, ir_version=9)
    session = runtime.InferenceSession(model.SerializeToString())
    (y,) = session.run(None, single)
    np.testing.assert_allclose(np.moveaxis(y, 1, -1), case.value, rtol=1e-4, atol=1e-4)


@pytest.mark.peer("keras")
@each_case
def test_keras(case, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    keras = pytest.importorskip("keras")
    text = text_of(case, "keras")
    if text.call is None:
        assert text.why_not
        pytest.skip("Keras cannot write this")
    x, _, bias = case.numbers()
    layer = eval(text.call, {"keras": keras})
    layer.build(x.shape)
    kernel = theirs(case, "*OI" if case.op == "conv_transpose" else "*IO")
    assert text.kernel.startswith(str(kernel.shape))
    layer.set_weights([kernel] if bias is None else [kernel, bias])
    y = np.asarray(layer(x.astype("float32")))
    np.testing.assert_allclose(y, case.value, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("framework", conventions.FROM_TEXT)
@each_case
def test_what_is_written_is_read_back(framework, case):
    text = text_of(case, framework)
    if text.call is None or text.why_not:
        pytest.skip(f"{framework} cannot write this")
    reading = conventions.FROM_TEXT[framework](text.call)
    assert reading.op == case.op
    assert reading.kernel == case.w[:-2]
    assert reading.bias == case.bias
    assert reading.out_channels == case.w[-1]
    assert reading.in_channels in (None, case.x[-1])
    keywords = dict(reading.keywords)
    keywords.pop("flip_kernel", None)
    again = Call.of_shapes(case.op, case.x, case.w, keywords)
    mine = case.plan.call
    assert again.geometry == mine.geometry
    assert again.output_shape == mine.output_shape


def test_a_layer_as_people_write_it():
    """Positions, prefixes and Conv's own order of arguments."""
    plain = conventions.FROM_TEXT["torch"]("nn.Conv2d(4, 8, (3, 5), 2, 1, 2, 4, False)")
    assert plain.keywords == {"stride": 2, "padding": 1, "dilation": 2, "groups": 4}
    assert (plain.kernel, plain.bias) == ((3, 5), False)
    transposed = conventions.FROM_TEXT["torch"](
        "torch.nn.ConvTranspose2d(4, 8, 3, 2, 1, 1, 4, True, 2)"
    )
    assert transposed.keywords["output_padding"] == 1
    assert transposed.keywords["groups"] == 4
    assert transposed.keywords["dilation"] == 2
    keras = conventions.FROM_TEXT["keras"](
        "Conv2DTranspose(33, 3, strides=2, padding='same', name='up')"
    )
    assert (keras.in_channels, keras.out_channels) == (None, 33)
    flax = conventions.FROM_TEXT["flax"](
        "nnx.ConvTranspose(1, 2, (4,), strides=2, rngs=nnx.Rngs(0))"
    )
    assert flax.keywords["flip_kernel"]


ARITHMETIC = {
    "9 // 2": 4, "2 * 3 - 1": 5, "-(-3) % 2": 1, "2**3": 8, "(9 - 1) // 2 // 2": 2, "+4": 4,
    "1 - 3": -2, "7 / 2": 3.5, "8 / 2": 4.0, "(1, 9 // 2)": (1, 4), "[3 - 1, 2 * 2]": [2, 4],
    "(3,) * 2": (3, 3), "2 * [1]": [1, 1], "(1,) + (2,)": (1, 2),
    "((0, 2 - 1),) * 2": ((0, 1),) * 2, "2**-1": 0.5, "'sa' 'me'": "same", "True": True,
    "None": None, "n": "n", "jnp.ones(3)": "jnp.ones(3)",
}  # fmt: skip


@pytest.mark.parametrize("text", ARITHMETIC)
def test_arithmetic_of_literals(text):
    _, found = parse(f"f({text})", {"f": signature("a")})
    assert found["a"] == ARITHMETIC[text]
    assert type(found["a"]) is type(ARITHMETIC[text]) or text in ("n", "jnp.ones(3)")


@pytest.mark.parametrize(
    ("text", "because"),
    [
        ("9**9**9", "powers may be up to 64"),
        ("2**64 * 2", "number is too large"),
        ("10**64", "number is too large"),
        ("(1,) * 10**9", "tuples may have up to 64 entries"),
        ("((1,) * 60) + ((1,) * 60)", "tuples may have up to 64 entries"),
        ("9 // 0", "zero"),
        ("9 % 0", "zero"),
        ("0 ** -1", "0"),
        ("(-8) ** 0.5", "got '(-8) ** 0.5'"),
        ("'a' * 9", "must be a number"),
        ("'a' + 'b'", "must be a number"),
        ("True + 1", "must be a number"),
        ("(1,) * (2,)", "must be a number"),
        ("(1,) * 1.5", "must be a number"),
        ("(1,) - (1,)", "must be a number"),
        ("(1,) + [1]", "must be a number"),
        ("-(1,)", "must be a number"),
        ("~1", "must be a number"),
        ("1 << 3", "must be a number"),
        ("k // 2", "got 'k // 2'"),
        ("(k, 2)", "got '(k, 2)'"),
        ("1 if 2 else 3", "must be a number"),
        ("[i for i in (1, 2)]", "must be a number"),
        ("lambda: 1", "must be a number"),
        ("-" * 5000 + "1", "nested too deeply"),
        ("+".join("1" * 9000), "nested too deeply"),
        ("**kw", "without * and **"),
        ("*kw", "without * and **"),
    ],
)
def test_what_is_no_arithmetic_of_literals(text, because):
    with pytest.raises(ValueError, match=r"f: |nested") as caught:
        parse(f"f({text})", {"f": signature("a")})
    assert because in str(caught.value)


LINEN = {
    "ConvTranspose(features=33, kernel_size=(3, 3), strides=(2, 2))": (16, 16, 33),
    "nn.ConvTranspose(33, (3, 3), (2, 2))": (16, 16, 33),
    "nn.ConvTranspose(33, kernel_size=[3, 3], strides=2, padding='VALID')": (17, 17, 33),
    "linen.ConvTranspose(33, (4, 4), (2, 2), 'SAME', None, False)": (16, 16, 33),
    "flax.linen.ConvTranspose(33, (3,) * 2, (2, 2), ((1, 1), (2, 2)))": (15, 17, 33),
    "nn.ConvTranspose(33, (3, 3), transpose_kernel=True, name='up', parent=None)": (8, 8, 33),
    "nn.Conv(features=2 * 16, kernel_size=(3, 3), strides=2)": (4, 4, 32),
    "nn.Conv(32, (3, 3), 2, 'SAME', 1, 1, 4)": (4, 4, 32),
}


@pytest.mark.parametrize("source", LINEN)
def test_linens_signature(source):
    """As Linen itself computes it, with the channels that its input has."""
    from flax import linen

    layer = conventions.FROM_TEXT["flax"](source)
    assert layer.in_channels is None
    x = jax.ShapeDtypeStruct((1, 8, 8, 16), "float32")
    made = eval(source, {**vars(linen), "nn": linen, "linen": linen, "flax": flax})
    want, params = jax.eval_shape(lambda x: made.init_with_output(jax.random.key(0), x), x)
    assert want.shape[1:] == LINEN[source]
    groups = layer.keywords["groups"]
    w = jax.ShapeDtypeStruct((*layer.kernel, 16 // groups, layer.out_channels), "float32")
    assert jtconv.explain(x, w, op=layer.op, **layer.keywords).output_shape == want.shape
    assert layer.bias == ("bias" in params["params"])


@pytest.mark.parametrize(
    "source",
    [
        "nnx.ConvTranspose(16, 33, (3, 3))",
        "ConvTranspose(16, out_features=33, kernel_size=(3, 3))",
        "nn.ConvTranspose(in_features=16, out_features=33, kernel_size=(3, 3))",
        "ConvTranspose(16, 33, kernel_size=(3, 3), rngs=rngs)",
    ],
)
def test_nnxs_signature_is_still_its_own(source):
    layer = conventions.FROM_TEXT["flax"](source)
    assert (layer.in_channels, layer.out_channels, layer.kernel) == (16, 33, (3, 3))


@pytest.mark.parametrize(
    ("framework", "source", "because"),
    [
        ("torch", "__import__('os').system('true')", "not known here"),
        ("torch", "ConvTranspose2d", "constructor call"),
        ("torch", "ConvTranspose2d(16, 33", "constructor call"),
        ("torch", "ConvTranspose2d(16, 33)", "kernel_size"),
        ("torch", "ConvTranspose2d(16, 33, 3, strides=2)", "strides"),
        ("torch", "ConvTranspose2d(16, 33, 3 + n)", "argument 3 must be a number"),
        ("torch", "ConvTranspose2d(16, 33, 3, padding='same')", "padding must be numbers"),
        ("torch", "ConvTranspose2d(16, 33, 3, padding_mode='circular')", "padding_mode"),
        ("torch", "ConvTranspose2d(16, 33, (3, 3, 3))", "kernel_size"),
        ("torch", "ConvTranspose2d(0, 33, 3)", "in_channels"),
        ("torch", "Conv2d(16, 33, 3, 2, 'same')", "needs stride 1"),
        ("torch", "ConvTranspose2d(*sizes)", "without *"),
        ("torch", "LazyConv2d(3, 3)", "'LazyConv2d' is not known here"),
        ("keras", "Conv2DTranspose(33, 3, padding='full')", "padding"),
        ("keras", "Conv2DTranspose(33, 3, strides=2, dilation_rate=2)", "not both"),
        ("keras", "Conv2DTranspose(33, 3, strides=2, output_padding=2)", "output_padding"),
        ("flax", "ConvTranspose(1, 2, 3)", "kernel_size"),
        ("flax", "ConvTranspose()", "in_features"),
        ("flax", "ConvTranspose(features=3)", "kernel_size"),
        ("flax", "ConvTranspose(3, (2, 2), rngs=rngs)", "rngs"),
        ("flax", "ConvTranspose(features=0, kernel_size=(3,))", "features"),
        ("flax", "ConvTranspose(1, 2, (3,), padding='CIRCULAR')", "padding"),
        ("flax", "Conv(1, 2, (3,), input_dilation=2)", "input_dilation"),
    ],
)
def test_what_cannot_be_read_is_told(framework, source, because):
    with pytest.raises((ValueError, TypeError)) as caught:
        conventions.FROM_TEXT[framework](source)
    assert because in str(caught.value)
