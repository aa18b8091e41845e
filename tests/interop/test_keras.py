"""Keras on its JAX backend: the operation by chance, the layers there and back."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

import jtconv
from jtconv.interop import keras as interop
from jtconv.interop.keras import ACTIVATIONS
from tests.compare import assert_close
from tests.interop.chance import Call, Chance, table
from tests.interop.compiled import compiled, parameters
from tests.selection import rows

pytestmark = pytest.mark.peer("keras")


def drawn(chance: Chance) -> Call:
    chance.axes()
    each = chance.each
    channels, features = chance.randint(1, 3), chance.randint(1, 3)
    keywords = {
        "strides": chance.choice((2, each(4))),
        "padding": chance.choice(("same", "valid", "SAME")),
        "output_padding": chance.choice((None, 1, each(3, 0))),
        "data_format": chance.choice((None, "channels_last", "channels_first")),
        "dilation_rate": chance.choice((1, 1, each(3))),
    }
    kernel = each()
    # XLA:CPU aborts the process on some inputs that are smaller than the kernel: Keras does too.
    size = [max(pair) for pair in zip(each(), kernel, strict=True)]
    return Call((2, *size, channels), (*kernel, features, channels), keywords)


@pytest.mark.usefixtures("in_numpy")
@pytest.mark.parametrize("call", table(drawn, few=20, many=250))
def test_sweep(call: Call, rng):
    """The same values, or an error where Keras gives one or an array without cells."""
    import keras

    x, w = rng.normal(size=call.x), rng.normal(size=call.w)
    if call.keywords["data_format"] == "channels_first":
        x = np.moveaxis(x, -1, 1)
    try:
        want = compiled(keras.ops.conv_transpose, x, w, **call.keywords)
    except ValueError:
        want = None
    if want is None or want.size == 0:
        with pytest.raises(ValueError, match="padding leaves no output"):
            interop.conv_transpose(x, w, **call.keywords)
    else:
        assert_close(interop.conv_transpose(x, w, **call.keywords), want)


def test_the_data_format_keras_is_set_to(rng):
    import keras

    x, w = rng.normal(size=(1, 2, 7)), rng.normal(size=(3, 4, 2))
    keras.config.set_image_data_format("channels_first")
    try:
        assert interop.conv_transpose(x, w).shape == keras.ops.conv_transpose(x, w).shape
    finally:
        keras.config.set_image_data_format("channels_last")


LAYERS: dict[str, tuple[tuple, dict[str, Any]]] = {
    "same": ((1, 3, 4), {"strides": 2, "padding": "same"}),
    "same, some more": ((2, 3, 4), {"strides": 3, "padding": "same", "output_padding": (1, 2)}),
    "valid": ((2, 3, (2, 5)), {"strides": (3, 2), "use_bias": False}),
    "valid, some more": ((1, 2, 2), {"strides": 4, "output_padding": 1}),
    "dilated": ((2, 2, 3), {"dilation_rate": (2, 1), "padding": "same"}),
    "channels first": ((1, 3, 3), {"strides": 2, "data_format": "channels_first"}),
    "3d": ((3, 2, 2), {"strides": (2, 1, 2), "padding": "same", "activation": "tanh"}),
}


def layer_of(name: str, dtype="float32"):
    import keras

    keras.utils.set_random_seed(len(name))
    (rank, *rest), keywords = LAYERS[name]
    made = getattr(keras.layers, f"Conv{rank}DTranspose")(
        *rest, **keywords, bias_initializer="uniform", dtype=dtype
    )
    first = keywords.get("data_format") == "channels_first"
    made.build((None, 2, *(None,) * rank) if first else (None, *(None,) * rank, 2))
    return made


def assert_same_weights(got, want) -> None:
    for mine, theirs in zip(got.weights, want.weights, strict=True):
        assert mine.dtype == theirs.dtype
        np.testing.assert_array_equal(mine.value, theirs.value)


@pytest.mark.usefixtures("in_numpy")
@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_there_and_back(name, rng):
    made = layer_of(name)
    moved = interop.to_nnx(made)
    x = rng.normal(size=(2, *range(3, 3 + made.rank), 2)).astype("float32")
    if made.data_format == "channels_first":
        want = np.moveaxis(made(np.moveaxis(x, -1, 1)), 1, -1)
    else:
        want = np.asarray(made(x))
    assert_close(moved(x), want)
    back = interop.from_nnx(moved)
    assert_same_weights(back, made)
    mine, theirs = back.get_config(), made.get_config()
    for name in ("filters", "kernel_size", "strides", "dilation_rate", "use_bias", "activation"):
        assert mine[name] == theirs[name]
    assert_close(jnp.asarray(back(x)), want)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32"])
def test_dtypes_are_kept(dtype):
    made = layer_of("same", dtype)
    moved = interop.to_nnx(made)
    assert moved.kernel[...].dtype == dtype
    assert_same_weights(interop.from_nnx(moved), made)


POLICIES = ("bfloat16", "float16", "float32", "float64", "mixed_bfloat16", "mixed_float16")


DTYPED = {
    f"{name}, {given}, {policy}": (name, given, policy)
    for name in ("same", "valid", "3d")
    for given in ("float32", "bfloat16", "float64")
    for policy in POLICIES
    if (name, policy) != ("3d", "float64")  # Keras rounds its tanh to float32
}


@pytest.mark.usefixtures("in_numpy")
@pytest.mark.parametrize(
    ("name", "given", "policy"), rows(DTYPED, {f"same, float32, {policy}" for policy in POLICIES})
)
def test_the_result_has_the_dtype_that_keras_computes_in(name, given, policy):
    """Whatever the parameters are kept in, and whatever comes in."""
    made = layer_of(name, policy)
    x = jnp.ones((1, *range(3, 3 + made.rank), 2), given)
    want = made(x)
    moved = interop.to_nnx(made)
    got = moved(x)
    assert want.dtype == made.compute_dtype
    assert got.dtype == want.dtype
    assert_close(got, want, slack=2)
    back = interop.from_nnx(moved)
    assert back.dtype_policy.name == made.dtype_policy.name


@pytest.mark.usefixtures("in_numpy")
def test_the_issues_line():
    import keras

    for dtype in ("bfloat16", "float16"):
        layer = keras.layers.Conv2DTranspose(4, 3, strides=2, dtype=dtype)
        layer.build((None, 5, 5, 3))
        assert interop.to_nnx(layer)(jnp.ones((1, 5, 5, 3))).dtype == dtype


def test_mixed_precision_there_and_back(rng):
    """Parameters in one dtype, sums in another."""
    made = layer_of("same", "mixed_bfloat16")
    moved = interop.to_nnx(made)
    x = rng.normal(size=(1, 4, 2)).astype("float32")
    want = made(x)
    assert moved.kernel[...].dtype == "float32"
    assert want.dtype == "bfloat16"
    assert_close(moved(x), want)
    assert moved(x).dtype == want.dtype
    back = interop.from_nnx(moved)
    assert back.dtype_policy.name == "mixed_bfloat16"
    assert_same_weights(back, made)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_are_the_same_in_both(name, rng):
    import keras

    x = rng.normal(size=(40, 3)) * 5
    want = keras.activations.get(name)(x)
    assert_close(ACTIVATIONS[name](x), want, dtype=want.dtype)  # Keras rounds its tanh


def test_what_cannot_move_is_named():
    import keras

    with pytest.raises(TypeError, match="Conv3DTranspose, got Dense"):
        interop.to_nnx(keras.layers.Dense(3))
    with pytest.raises(ValueError, match="no weights yet"):
        interop.to_nnx(keras.layers.Conv1DTranspose(2, 3))
    for activation, name in (("gelu", "gelu"), (keras.layers.ReLU(), "ReLU")):
        layer = keras.layers.Conv1DTranspose(2, 3, activation=activation)
        layer.build((None, 5, 2))
        with pytest.raises(TypeError, match=f"activation='{name}'; those with a counterpart are"):
            interop.to_nnx(layer)


def test_softmax_runs_along_the_last_axis():
    """Which is that of the channels on one side, and of space on the other."""
    import keras

    layer = keras.layers.Conv1DTranspose(2, 3, activation="softmax", data_format="channels_first")
    layer.build((None, 2, 5))
    with pytest.raises(TypeError, match="activation='softmax' along a spatial axis"):
        interop.to_nnx(layer)


def test_a_class_that_computes_in_a_way_of_its_own():
    import keras

    class Twice(keras.layers.Conv1DTranspose):
        def call(self, inputs):
            return 2 * super().call(inputs)

    layer = Twice(2, 3)
    layer.build((None, 5, 2))
    with pytest.raises(TypeError, match="Twice is a Conv1DTranspose with a call of its own"):
        interop.to_nnx(layer)


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"feature_group_count": 2}, "feature_group_count=2 and 1 spatial axes: Keras has no"),
        ({"padding": [(1, 3)]}, r"padding: no padding name of Keras crops \(2, 0\)\. Crop less"),
        ({"param_dtype": "complex64"}, "kernel is complex64, and Keras's layers are real"),
    ],
)
def test_what_keras_cannot_express(keywords, message, rng):
    layer = jtconv.nnx.ConvTranspose(2, 2, (4,), (2,), **keywords, **parameters(rng))
    with pytest.raises((TypeError, ValueError), match=message):
        interop.from_nnx(layer)


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"padding": "causal"}, "padding must be one of VALID, SAME"),
        ({"strides": 0}, "strides must be an int >= 1"),
        ({"output_padding": -1}, "output_padding must be an int >= 0"),
        ({"data_format": "NCHW"}, "data_format must be one of channels_last, channels_first"),
        ({"data_format": ""}, "data_format must be one of channels_last, channels_first"),
        ({"dilation_rate": (1, 2)}, "dilation_rate must be one int or 1 ints"),
        ({"kernel": jnp.ones((3, 2, 4))}, "kernel must have the 3 channels of inputs"),
    ],
)
def test_errors_name_the_arguments_of_keras(keywords, message):
    given = {"inputs": jnp.ones((1, 5, 3)), "kernel": jnp.ones((3, 2, 3)), **keywords}
    with pytest.raises((ValueError, TypeError), match=message):
        interop.conv_transpose(**given)
