"""Haiku: parameters of its layers there and back, by chance."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jtconv
from jtconv.interop import haiku as interop
from tests.compare import assert_close
from tests.interop.chance import Chance, table
from tests.interop.compiled import compiled, parameters

pytestmark = pytest.mark.peer("haiku")


def drawn(chance: Chance) -> dict[str, Any]:
    """The arguments of one layer, and the ``size`` and ``channels`` of its input."""
    rank, each = chance.axes(), chance.each
    size, kernel, stride = each(least=2), each(), each(3)
    named = chance.choice(("SAME", "VALID"))
    pairs = tuple((chance.randint(1, 3), chance.randint(1, 3)) for _ in range(rank))
    arguments: dict[str, Any] = {
        "num_spatial_dims": rank,
        "output_channels": chance.randint(1, 3),
        "kernel_shape": kernel,
        "stride": stride,
        "padding": chance.choice((named, pairs)),
        "with_bias": chance.random() < 0.5,
        "data_format": chance.choice(("channels_last", "channels_first", "NHWC", "NCHW", "BTD")),
        "size": size,
        "channels": chance.randint(1, 3),
    }
    if isinstance(arguments["padding"], str) and chance.random() < 0.5:
        columns = list(zip(size, stride, kernel, strict=True))
        least = [(n - 1) * s + (1 if named == "SAME" else k) for n, s, k in columns]
        shape = tuple(m + chance.randint(0, s - 1) for m, s in zip(least, stride, strict=True))
        arguments["output_shape"] = shape
    return arguments


def by_haiku(arguments: dict[str, Any], x, params=None):
    """Parameters, made where there are none, and what Haiku computes with them."""
    import haiku as hk

    model = hk.without_apply_rng(
        hk.transform(
            lambda x: hk.ConvNDTranspose(
                **arguments, name="up", b_init=hk.initializers.RandomNormal()
            )(x)
        )
    )
    params = jax.jit(model.init)(jax.random.key(2), x) if params is None else {"up": params}
    return params["up"], jax.jit(model.apply)(params, x)


@pytest.mark.usefixtures("in_numpy")
@pytest.mark.parametrize("arguments", table(drawn, few=8, many=75))
def test_parameters_there_and_back(arguments, rng):
    arguments = dict(arguments)
    x = rng.normal(size=(2, *arguments.pop("size"), arguments.pop("channels")))
    last = arguments["data_format"] in ("channels_last", "NHWC", "BTD")
    params, want = by_haiku(arguments, x if last else jnp.moveaxis(x, -1, 1))
    want = want if last else jnp.moveaxis(want, 1, -1)
    moved = interop.to_nnx(params, **arguments)
    if want.size == 0:
        with pytest.raises(ValueError, match="padding leaves no output"):
            moved(x)
        return
    assert_close(moved(x), want)
    again, keywords = interop.from_nnx(moved)
    assert set(again) == set(params)
    for name, array in params.items():
        assert again[name].dtype == array.dtype
        np.testing.assert_array_equal(again[name].reshape(array.shape), array)
    assert_close(by_haiku(keywords, x, again)[1], want)


def test_a_mask_stays_one(rng):
    mask = jnp.asarray(rng.integers(0, 2, (3, 2, 4)), "float64")
    arguments: dict[str, Any] = {
        "num_spatial_dims": 1,
        "output_channels": 2,
        "kernel_shape": 3,
        "mask": mask,
    }
    x = rng.normal(size=(2, 5, 4))
    params, want = by_haiku(arguments, x)
    moved = interop.to_nnx(params, **arguments)
    assert_close(compiled(moved, x), want)
    assert_close(
        jax.grad(lambda x: moved(x).sum())(x),
        jax.grad(lambda x: by_haiku(arguments, x, params)[1].sum())(x),
    )
    again, keywords = interop.from_nnx(moved)
    np.testing.assert_array_equal(keywords["mask"], mask)
    np.testing.assert_array_equal(again["w"], params["w"])


def test_a_mismatch_says_which_parameter():
    params = {"w": jnp.ones((3, 2, 4)), "b": jnp.ones(2)}
    arguments: dict[str, Any] = {"num_spatial_dims": 1, "output_channels": 2, "kernel_shape": 3}
    with pytest.raises(ValueError, match=r"w must have shape \(5, 2, 4\), got \(3, 2, 4\)"):
        interop.to_nnx(params, **{**arguments, "kernel_shape": 5})
    with pytest.raises(ValueError, match=r"b must have shape \(2, 1\), got \(2,\)"):
        interop.to_nnx(params, **arguments, data_format="channels_first")
    with pytest.raises(ValueError, match=r"mask must have shape \(3, 2, 4\), got \(3, 4\)"):
        interop.to_nnx(params, **arguments, mask=jnp.ones((3, 4)))
    with pytest.raises(ValueError, match="params has no 'b', but 'w'"):
        interop.to_nnx({"w": params["w"]}, **arguments)
    with pytest.raises(ValueError, match="params has no 'w', but 'up'"):
        interop.to_nnx({"up": params}, **arguments)


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"data_format": "NXC3"}, "data_format must be 'channels_last', 'channels_first' or"),
        ({"data_format": 1}, "data_format must be 'channels_last', 'channels_first' or"),
        ({"num_spatial_dims": 0}, "num_spatial_dims must be an int >= 1"),
        ({"num_spatial_dims": "1"}, "num_spatial_dims must be an int >= 1"),
        ({"padding": np.array([[1, 1], [1, 1]])}, "padding must be 'SAME', 'VALID' or one"),
        ({"padding": [(1, 1)], "output_shape": 5}, "padding must be one of SAME, VALID"),
    ],
)
def test_errors_name_the_arguments_of_haiku(keywords, message):
    params = {"w": jnp.ones((3, 2, 4)), "b": jnp.ones(2)}
    given = {"num_spatial_dims": 1, "output_channels": 2, "kernel_shape": 3, **keywords}
    with pytest.raises((TypeError, ValueError), match=message):
        interop.to_nnx(params, **given)


def test_what_haiku_has_not(rng):
    layer = jtconv.nnx.ConvTranspose(2, 2, (3,), feature_group_count=2, **parameters(rng))
    with pytest.raises(ValueError, match=r"feature_group_count=2.*Haiku has neither"):
        interop.from_nnx(layer)


def test_output_padding_goes_as_numbers(rng):
    layer = jtconv.nnx.ConvTranspose(2, 3, (4,), (2,), output_padding=1, **parameters(rng))
    params, keywords = interop.from_nnx(layer)
    x = jnp.asarray(rng.normal(size=(1, 5, 2)), "float32")
    assert keywords["padding"] == ((2, 3),)
    assert_close(by_haiku(keywords, x, params)[1], layer(x))
