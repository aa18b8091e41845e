"""Wrong calls: every argument of every public function, and the words that help.

Each row is a call with something wrong in it, the exception, and what its message must say:
the argument, what it got, and what it may be.  Nothing may come from an assert or from XLA.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import jtconv


class Wrong(NamedTuple):
    """A wrong call: what is changed in a right one, and what must be heard."""

    changes: dict[str, Any]
    error: Any
    words: tuple[str, ...]


HOME = Path(jtconv.__file__).parent
X = np.linspace(-1, 1, 2 * 5 * 6 * 4).reshape(2, 5, 6, 4).astype(np.float32)
W = np.linspace(-2, 1, 3 * 2 * 4 * 6).reshape(3, 2, 4, 6).astype(np.float32)
LAYOUT = ("NHWC", "HWIO", "NHWC")


def wrong(error: Any, *words: str, **changes: Any) -> Wrong:
    return Wrong(changes, error, words)


# What conv_transpose and conv share, apart from arrays.
KEYWORDS = [
    wrong(TypeError, "stride", "True", "int", stride=True),
    wrong(TypeError, "stride", "2.0", "float", stride=2.0),
    wrong(TypeError, "stride", "None", stride=None),
    wrong(TypeError, "stride", "'2'", stride="2"),
    wrong(ValueError, "stride", ">= 1", "got 0", stride=0),
    wrong(ValueError, "stride", ">= 1", "got -2", stride=-2),
    wrong(ValueError, "stride", "2 ints", "got 3", stride=(1, 2, 3)),
    wrong(ValueError, "stride", "2 ints", "got 1", stride=(2,)),
    wrong(ValueError, "stride", "2 ints", "got 0", stride=()),
    wrong(ValueError, "stride[1]", ">= 1", "got 0", stride=(1, 0)),
    wrong(TypeError, "stride[0]", "1.5", stride=(1.5, 1)),
    wrong(TypeError, "stride[1]", "True", stride=[1, True]),
    wrong(TypeError, "stride", "1.5", stride=np.float32(1.5)),
    wrong(TypeError, "stride", "dict", stride={"H": 1}),
    wrong(ValueError, "dilation", ">= 1", "got 0", dilation=0),
    wrong(ValueError, "dilation[0]", ">= 1", "got -1", dilation=(-1, 1)),
    wrong(ValueError, "dilation", "2 ints", "got 3", dilation=(1, 1, 1)),
    wrong(TypeError, "dilation", "1.0", dilation=1.0),
    wrong(TypeError, "dilation", "False", dilation=False),
    wrong(ValueError, "groups", ">= 1", "got 0", groups=0),
    wrong(ValueError, "groups", ">= 1", "got -1", groups=-1),
    wrong(TypeError, "groups", "2.0", groups=2.0),
    wrong(TypeError, "groups", "True", groups=True),
    wrong(TypeError, "groups", "int", groups=(2, 2)),
    wrong(ValueError, "groups", "divide", "4 channels", "got 3", groups=3),
    wrong(ValueError, "w", "4 // 2 = 2", "got 4", "own slice", groups=2),
    wrong(ValueError, "padding", "SAME", "VALID", "CAUSAL", "'SMAE'", "Did you mean 'SAME'",
          padding="SMAE"),
    wrong(ValueError, "padding", "SAME_LOWER", "FULL", "EDGE", "'mirror'", padding="mirror"),
    wrong(TypeError, "padding", "1.0", padding=1.0),
    wrong(TypeError, "padding", "True", padding=True),
    wrong(TypeError, "padding", "None", padding=None),
    wrong(ValueError, "padding", "2 in all", "got 3", padding=(1, 1, 1)),
    wrong(ValueError, "padding", "pair", "2 in all", "got 1", padding=[(1, 1)]),
    wrong(ValueError, "padding", "pair", "2 in all", "got 3", padding=[(1, 1)] * 3),
    wrong(ValueError, "padding[0]", "got 3", padding=[(1, 1, 1), (0, 0)]),
    wrong(TypeError, "padding[1]", "0.5", padding=[(1, 1), (0, 0.5)]),
    wrong(TypeError, "padding[1]", "'SAME'", padding=[(1, 1), "SAME"]),
    wrong(TypeError, "padding", "'SAME'", padding=["SAME", "SAME"]),
    wrong(TypeError, "dimension_numbers", "three strings", "'NHWC'", dimension_numbers="NHWC"),
    wrong(TypeError, "dimension_numbers", "three strings", dimension_numbers=("NHWC", "HWIO")),
    wrong(TypeError, "dimension_numbers", "three strings", dimension_numbers=(0, 1, 2)),
    wrong(TypeError, "dimension_numbers", "three strings", "7", dimension_numbers=7),
    wrong(ValueError, "dimension_numbers[0]", "'NHHC'", "once",
          dimension_numbers=("NHHC", "HWIO", "NHWC")),
    wrong(ValueError, "dimension_numbers[1]", "'HHIO'", dimension_numbers=("NHWC", "HHIO", "NHWC")),
    wrong(ValueError, "dimension_numbers[1]", "2 spatial", "'WIO'",
          dimension_numbers=("NWC", "WIO", "NWC")),
    wrong(ValueError, "dimension_numbers[2]", "'NHWO'", dimension_numbers=("NHWC", "HWIO", "NHWO")),
    wrong(ValueError, "dimension_numbers[", "got 'HWNC'",
          dimension_numbers=("NHWC", "HWNC", "NHWC")),
    wrong(ValueError, "dimension_numbers", "'nhwc'", dimension_numbers=("nhwc", "HWIO", "NHWC")),
    wrong(TypeError, "flip_kernel", "True or False", "got 1", flip_kernel=1),
    wrong(TypeError, "flip_kernel", "'yes'", flip_kernel="yes"),
    wrong(TypeError, "flip_kernel", "None", flip_kernel=None),
    wrong(ValueError, "method", "auto", "dilated", "matrix", "'gem'", "Did you mean 'gemm'",
          method="gem"),
    wrong(ValueError, "method", "gemm", "'winograd'", method="winograd"),
    wrong(ValueError, "method", "sequence of names", "()", method=()),
    wrong(ValueError, "method", "''", method=""),
    wrong(ValueError, "method", "None", method=None),
    wrong(ValueError, "method", "3", method=3),
    wrong(ValueError, "method", "'taper'", "'taps'", method=("gemm", "taper")),
    wrong(ValueError, "method", "['gemm']", method=[["gemm"]]),
    wrong(ValueError, "precision", "'highest'", "'best'", precision="best"),
    wrong(ValueError, "precision", "got 3.5", precision=3.5),
    wrong(ValueError, "precision", "'worst'", precision=("highest", "worst")),
    wrong(ValueError, "precision", "pair", precision=("high",) * 3),
    wrong(TypeError, "preferred_element_type", "float32", "got int32",
          preferred_element_type="int32"),
    wrong(TypeError, "preferred_element_type", "complex64", preferred_element_type=jnp.complex64),
    wrong(TypeError, "preferred_element_type", "bool", preferred_element_type=bool),
    wrong(TypeError, "preferred_element_type", "'float33'", preferred_element_type="float33"),
    wrong(TypeError, "preferred_element_type", "dtype", preferred_element_type=1.5),
]  # fmt: skip

ARRAYS = [
    wrong(TypeError, "x", "array", "list", "jnp.asarray(x)", x=[[[1.0]]]),
    wrong(TypeError, "x", "array", "NoneType", x=None),
    wrong(TypeError, "x", "array", "float", x=1.0),
    wrong(TypeError, "x", "array", "str", x="picture.png"),
    wrong(TypeError, "x", "array", "object", x=object()),
    wrong(TypeError, "w", "array", "list", "jnp.asarray(w)", w=[[[1.0]]]),
    wrong(TypeError, "w", "array", "tuple", w=(1.0, 2.0)),
    wrong(TypeError, "bias", "array", "list", bias=[0.0] * 6),
    wrong(TypeError, "bias", "array", "float", bias=0.5),
    wrong(TypeError, "x", "bool", "astype", x=X > 0, w=W > 0),
    wrong(TypeError, "w", "bool", "astype", w=W > 0),
    wrong(TypeError, "x", "uint8", "astype", x=X.astype(np.uint8), w=W.astype(np.uint8)),
    wrong(TypeError, "w", "float16", "float32", "astype", w=W.astype(np.float16)),
    wrong(TypeError, "w", "float32", "int8", "astype", x=X.astype(np.int8)),
    wrong(TypeError, "bias", "float64", "float32", bias=np.zeros(6)),
    wrong(TypeError, "bias", "int", "float32", bias=np.zeros(6, int)),
    wrong(ValueError, "bias", "(C_out,) = (6,)", "(5,)", bias=np.zeros(5, np.float32)),
    wrong(ValueError, "bias", "(6,)", "(1, 6)", bias=np.zeros((1, 6), np.float32)),
    wrong(ValueError, "bias", "(6,)", "()", bias=np.float32(3)),
]

SHAPES = [
    wrong(ValueError, "x", "4 axes", "or 3", "got 2", x=X[0, 0]),
    wrong(ValueError, "x", "4 axes", "got 5", x=X[None]),
    wrong(ValueError, "w", "1 to 4 spatial", "got 2", w=W[0, 0]),
    wrong(ValueError, "w", "1 to 4 spatial", "got 1", w=W[0, 0, 0]),
    wrong(ValueError, "w", "1 to 4 spatial", "got 7", w=W.reshape(3, 2, 4, 6, 1, 1, 1)),
    wrong(ValueError, "x", "3 axes", "or 2", "got 4", w=W[0]),
    wrong(ValueError, "w", "input channels", "4", "got 3", w=W[:, :, :3]),
    wrong(ValueError, "w", "swapped", "HWOI", w=np.swapaxes(W, 2, 3)),
    wrong(ValueError, "x", "'H'", "size 0", x=X[:, :0]),
    wrong(ValueError, "x", "'W'", "size 0", x=X[:, :, :0]),
    wrong(ValueError, "w", "'H'", "size 0", w=W[:0]),
    wrong(ValueError, "channels", ">= 1", "0 in x", x=X[..., :0], w=W[:, :, :0]),
    wrong(ValueError, "channels", ">= 1", "0 out of w", w=W[..., :0]),
    wrong(ValueError, "groups", "divide", "5 output", "got 2", w=W[:, :, :2, :5], groups=2),
]

TRANSPOSED = [
    wrong(ValueError, "output_padding[0]", "< 2", "got 2", "padding", stride=2, output_padding=2),
    wrong(ValueError, "output_padding[1]", "< 3", "got 7", dilation=3, output_padding=(0, 7)),
    wrong(ValueError, "output_padding", ">= 0", "got -1", stride=2, output_padding=-1),
    wrong(ValueError, "output_padding", "2 ints", "got 1", stride=2, output_padding=(1,)),
    wrong(TypeError, "output_padding", "0.5", stride=2, output_padding=0.5),
    wrong(TypeError, "output_padding", "True", stride=2, output_padding=True),
    wrong(TypeError, "output_padding", "None", output_padding=None),
    wrong(ValueError, "output_size[0]", "11 to 12", "input of 5", "got 13", stride=2,
          output_size=(13, 12)),
    wrong(ValueError, "output_size[1]", "10 to 12", "got 9", stride=(2, 2), dilation=(1, 3),
          padding=(0, 2), output_size=(11, 9)),
    wrong(ValueError, "output_size[0]", "9 to 10", "'SAME'", "got 11", stride=2, padding="same",
          output_size=(11, 12)),
    wrong(ValueError, "output_size[0]", "got 0", output_size=0),
    wrong(ValueError, "output_size[0]", "got -3", output_size=-3),
    wrong(ValueError, "output_size", "2 ints", "got 3", output_size=(7, 7, 7)),
    wrong(ValueError, "output_size", "2 ints", "got 4", output_size=(2, 7, 7, 6)),
    wrong(TypeError, "output_size", "7.0", output_size=7.0),
    wrong(TypeError, "output_size", "'same'", output_size="same"),
    wrong(ValueError, "output_size", "output_padding", "got 1", stride=2, output_padding=1,
          output_size=(12, 13)),
    wrong(ValueError, "padding", "axis 0", "7", "leave -1", padding=4),
    wrong(ValueError, "padding", "axis 1", "leave 0", padding=[(0, 0), (3, 4)]),
]  # fmt: skip

CONVOLVED = [
    wrong(ValueError, "axis 0", "5 cells", "spanning 9", dilation=(4, 1)),
    wrong(ValueError, "axis 1", "6 cells", "0 with padding (-3, -3)", padding=[(0, 0), (-3, -3)]),
    wrong(ValueError, "axis 0", "2 cells", "Pad more", x=X[:, :2]),
    wrong(TypeError, "output_padding", output_padding=1),
    wrong(TypeError, "output_size", output_size=7),
]

ROWS = {
    "conv_transpose": ARRAYS + SHAPES + KEYWORDS + TRANSPOSED,
    "conv": ARRAYS + SHAPES + KEYWORDS + CONVOLVED,
    # Of shapes, not arrays: see OF_SHAPES for what those themselves may not be.
    "output_shape": SHAPES + KEYWORDS[:-5] + TRANSPOSED,
    "explain": SHAPES + KEYWORDS + TRANSPOSED,
}
CALLS = [
    pytest.param(name, row, id=f"{name}-{'-'.join(row.changes)}-{number}")
    for name, rows in ROWS.items()
    for number, row in enumerate(rows)
]


def call(name: str, changes: dict[str, Any]) -> Any:
    """A right call of one of the four, with these changes."""
    arguments = {"x": X, "w": W, **changes}
    x, w = arguments.pop("x"), arguments.pop("w")
    if name == "output_shape":
        x, w = x.shape, w.shape
    return getattr(jtconv, name)(x, w, **arguments)


def assert_heard(caught: pytest.ExceptionInfo, row: Wrong) -> None:
    message = str(caught.value)
    assert type(caught.value) is row.error
    for word in row.words:
        assert word in message, f"{word!r} is not in: {message}"
    assert len(message) < 500 and "\n" not in message
    last = caught.traceback[-1].path
    assert HOME in Path(last).parents, f"raised in {last}, not by the package"


@pytest.mark.parametrize("name", ROWS)
def test_the_right_call_is_right(name):
    assert call(name, {}) is not None


@pytest.mark.parametrize(("name", "row"), CALLS)
def test_wrong_calls(name, row):
    if name == "conv" and {"output_padding", "output_size"} & row.changes.keys():
        # Python itself says that there is no such argument.
        with pytest.raises(TypeError, match="unexpected keyword argument"):
            call(name, row.changes)
        return
    with pytest.raises(Exception) as caught:
        call(name, row.changes)
    assert_heard(caught, row)


def test_the_table_is_long_enough():
    rows = ARRAYS + SHAPES + KEYWORDS + TRANSPOSED + CONVOLVED
    assert len({(row.error, row.words) for row in rows}) >= 100


@pytest.mark.parametrize("name", ["conv_transpose", "conv"])
def test_the_same_errors_under_jit(name):
    """Raised while tracing, by us, before any work."""
    for row in SHAPES + KEYWORDS[:20]:
        arguments = {"x": X, "w": W, **row.changes}
        x, w = arguments.pop("x"), arguments.pop("w")
        with pytest.raises(row.error) as caught:
            jax.jit(lambda x, w: getattr(jtconv, name)(x, w, **arguments))(x, w)  # noqa: B023
        for word in row.words:
            assert word in str(caught.value)


@pytest.mark.parametrize(
    "argument", ["stride", "padding", "dilation", "groups", "output_padding", "output_size"]
)
def test_a_traced_number_is_no_number(argument):
    with pytest.raises(TypeError, match=f"{argument}.*before tracing.*static"):
        jax.jit(lambda n: jtconv.conv_transpose(X, W, **{argument: n}))(1)


OF_SHAPES = [
    wrong(TypeError, "x_shape", "tuple of ints", "got 5", x_shape=5),
    wrong(TypeError, "x_shape", "'NHWC'", x_shape="NHWC"),
    wrong(TypeError, "x_shape[1]", "5.0", x_shape=(2, 5.0, 6, 4)),
    wrong(TypeError, "x_shape[0]", "None", x_shape=(None, 5, 6, 4)),
    wrong(TypeError, "w_shape", "None", w_shape=None),
    wrong(TypeError, "w_shape[0]", "True", w_shape=(True, 2, 4, 6)),
    wrong(ValueError, "x_shape", "-1", x_shape=(-1, 5, 6, 4)),
    wrong(TypeError, "colour", "stride", "padding", colour="red"),
]


@pytest.mark.parametrize("row", OF_SHAPES, ids=lambda row: "-".join(map(str, row.words[:2])))
def test_wrong_shapes(row):
    arguments = {"x_shape": X.shape, "w_shape": W.shape, **row.changes}
    with pytest.raises(row.error) as caught:
        jtconv.output_shape(**arguments)
    assert_heard(caught, row)


def test_output_shape_takes_an_array_for_no_shape():
    with pytest.raises((TypeError, ValueError), match="x_shape"):
        jtconv.output_shape(X, W.shape)  # type: ignore[arg-type]


OF_MATRICES = [
    wrong(TypeError, "w", "array", "list", w=[[1.0]]),
    wrong(TypeError, "w", "bool", w=W > 0),
    wrong(TypeError, "input_shape", "tuple of ints", "got 6", input_shape=6),
    wrong(TypeError, "input_shape[0]", "5.0", input_shape=(5.0, 6, 4)),
    wrong(ValueError, "input_shape", "3 entries", "without batch", input_shape=(1, 5, 6, 4)),
    wrong(ValueError, "input_shape", "3 entries", input_shape=(5, 4)),
    wrong(ValueError, "'H'", "size 0", input_shape=(0, 6, 4)),
    wrong(ValueError, "w", "input channels", "got 4", input_shape=(5, 6, 3)),
    wrong(ValueError, "axis 0", "2 cells", "spanning 3", input_shape=(2, 6, 4)),
    wrong(TypeError, "sparse", "True or False", "'yes'", sparse="yes"),
    wrong(TypeError, "sparse", "got 1", sparse=1),
    *[row for row in KEYWORDS if row.changes.keys() <= {
        "stride", "dilation", "padding", "groups", "dimension_numbers", "flip_kernel"
    }],
]  # fmt: skip


@pytest.mark.parametrize(
    "row", [pytest.param(r, id=f"{'-'.join(r.changes)}-{n}") for n, r in enumerate(OF_MATRICES)]
)
def test_wrong_matrices(row):
    arguments = {"w": W, "input_shape": X.shape[1:], **row.changes}
    with pytest.raises(row.error) as caught:
        jtconv.conv_matrix(**arguments)
    assert_heard(caught, row)


OF_PLANS = [
    wrong(ValueError, "op", "'conv_transpose' or 'conv'", "'convolve'", op="convolve"),
    wrong(ValueError, "op", "None", op=None),
    wrong(ValueError, "op", "['conv']", op=["conv"]),
    wrong(TypeError, "x", "jax.ShapeDtypeStruct", "float", x=2.5),
    wrong(TypeError, "w", "jax.ShapeDtypeStruct", "list", w=[1.0]),
    wrong(TypeError, "x", "bool", x=X > 0),
    wrong(TypeError, "w", "float16", "float32", w=W.astype(np.float16)),
    wrong(TypeError, "colour", "stride", colour="red"),
    wrong(TypeError, "output_size", "stride", op="conv", output_size=7),
]


@pytest.mark.parametrize(
    "row", [pytest.param(r, id=f"{'-'.join(r.changes)}-{n}") for n, r in enumerate(OF_PLANS)]
)
def test_wrong_plans(row):
    arguments = {"x": X, "w": W, **row.changes}
    x, w = arguments.pop("x"), arguments.pop("w")
    with pytest.raises(row.error) as caught:
        jtconv.explain(x, w, **arguments)
    assert_heard(caught, row)


def test_a_refusal_is_no_end_of_the_road():
    """Integers cannot go through ``vjp``; the message names what can."""
    x, w = X.astype(np.int8), W.astype(np.int8)
    with pytest.raises(jtconv.Unsupported, match=r"'vjp'.*int8.*method='auto'.*gemm"):
        jtconv.conv_transpose(x, w, method="vjp")


MEANT = {
    "stride": (lambda **k: jtconv.conv_transpose(X, W, **k), "strides", "stride"),
    "dilation": (lambda **k: jtconv.conv(X, W, **k), "rhs_dilation", "dilation"),
    "groups": (lambda **k: jtconv.conv_transpose(X, W, **k), "feature_group_count", "groups"),
    "array": (lambda **k: jtconv.conv_transpose(w=W, **k), "input", "x"),
    "shape": (lambda **k: jtconv.output_shape(X.shape, W.shape, **k), "strides", "stride"),
    "plan": (lambda **k: jtconv.explain(X, W, **k), "output_shape", "output_size"),
    "matrix": (lambda **k: jtconv.conv_matrix(W, X.shape[1:], **k), "strides", "stride"),
    "pool": (lambda **k: jtconv.max_pool_with_indices(X, 2, **k), "strides", "stride"),
    "stream": (lambda **k: jtconv.streaming.conv(W, **k), "strides", "stride"),
    "torch": (lambda **k: jtconv.interop.torch.conv_transpose2d(X, W, **k), "strides", "stride"),
    "keras": (lambda **k: jtconv.interop.keras.conv_transpose(X, W, **k), "stride", "strides"),
    "lax": (
        lambda **k: jtconv.interop.lax.conv_transpose(X, W, (1, 1), "SAME", **k),
        *("dilation", "rhs_dilation"),
    ),
    "onnx": (lambda **k: jtconv.interop.onnx.conv_transpose(X, W, **k), "groups", "group"),
    "nnx": (lambda **k: jtconv.nnx.ConvTranspose(2, 3, (3, 3), **k), "stride", "strides"),
    "linen": (lambda **k: jtconv.linen.ConvTranspose(3, (3, 3), **k), "stride", "strides"),
    "drawing": (lambda **k: jtconv.draw.draw((2,), (2,), **k), "strides", "stride"),
}


@pytest.mark.parametrize("name", MEANT)
def test_an_argument_of_another_name(name):
    function, said, meant = MEANT[name]
    with pytest.raises(TypeError, match=f"argument '{said}': did you mean '{meant}'"):
        function(**{said: 1})


def test_an_argument_that_nothing_is_like():
    with pytest.raises(TypeError, match="argument 'colour'; it has x, w, bias, stride, padding"):
        jtconv.conv(X, W, colour=1)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'w'"):
        jtconv.conv(X)  # type: ignore[call-arg]


def test_a_wrong_argument_of_a_right_name_is_told_as_ever():
    """Also where it is a function given by the user that knows an argument not."""

    def init(key, shape, dtype, strides):
        raise AssertionError

    with pytest.raises(TypeError, match=r"init.* missing 1 required positional argument"):
        jtconv.nnx.ConvTranspose(2, 3, (3, 3), kernel_init=init, rngs=nnx.Rngs(0))
