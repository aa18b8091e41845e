"""What a call does once: its integers by equal arguments, its program by equal calls."""

from __future__ import annotations

import gc

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jtconv
from jtconv import api
from jtconv.problem import arguments

X, W = jnp.ones((1, 4, 4, 2), jnp.float32), jnp.ones((3, 3, 2, 2), jnp.float32)
NUMBERS = jax.lax.conv_dimension_numbers(X.shape, W.shape, ("NHWC", "HWIO", "NHWC"))


@pytest.mark.parametrize(
    "keywords",
    [
        {"stride": 2},
        {"stride": [2, 2]},
        {"stride": np.int64(2)},
        {"stride": np.array([2, 2])},
        {"stride": 2, "dimension_numbers": NUMBERS},
    ],
    ids=["int", "list", "NumPy int", "array", "lax numbers"],
)
def test_equal_calls_are_one_program(keywords):
    first = jtconv.conv_transpose(X, W, **keywords)
    before = api._compiled.cache_info().misses
    assert (jtconv.conv_transpose(X, W, **keywords) == first).all()
    assert api._compiled.cache_info().misses == before


@pytest.mark.parametrize("wrong", [True, 1.0, np.float32(1), None, "1"])
@pytest.mark.parametrize("nested", [False, True])
def test_what_equals_an_int_is_none(wrong, nested):
    jtconv.conv_transpose(X, W, stride=(1, 1) if nested else 1)
    with pytest.raises((TypeError, ValueError)) as caught:
        jtconv.conv_transpose(X, W, stride=(1, wrong) if nested else wrong)
    assert caught.value.__context__ is None, "nothing internal before the message"


def test_messages_quote_what_was_given():
    for wrong in ([1, 2, 3], (1, 2, 3)):
        with pytest.raises(ValueError) as caught:
            jtconv.conv_transpose(X, W, stride=wrong)
        assert repr(wrong) in str(caught.value)
    round_and_round: list = [1]
    round_and_round.append(round_and_round)
    with pytest.raises(TypeError, match="stride"):
        jtconv.conv_transpose(X, W, stride=round_and_round)


def test_no_more_is_kept_than_a_thousand():
    kept = arguments.parsed_once(lambda *args: object())
    first = kept(0)
    assert kept(0) is first
    for number in range(arguments.MOST_KEPT):
        kept(number)
    kept("one more")
    gc.collect()
    assert kept(0) is not first


def test_arrays_wider_than_the_mode_are_narrowed():
    """An array of 64 bits, made in 64-bit mode, outside of it: what JAX makes of it anywhere."""
    x, w = jnp.ones((1, 4, 1), jnp.float64), jnp.ones((2, 1, 1), jnp.float64)
    with jax.enable_x64(False), pytest.warns(UserWarning, match="float64"):
        y = jtconv.conv_transpose(x, w)
        assert (y.dtype, y.ravel().tolist()) == (jnp.float32, [1, 2, 2, 2, 1])
        assert jax.grad(lambda x: jtconv.conv_transpose(x, w).sum())(x).ravel().tolist() == [2] * 4


def test_programs_bear_the_name_of_the_operation():
    """As in what JAX says of arrays that are on two devices."""
    x, w = (jax.device_put(a, device) for a, device in zip((X, W), jax.devices(), strict=False))
    with pytest.raises(ValueError, match="x of conv_transpose"):
        jtconv.conv_transpose(x, w)
