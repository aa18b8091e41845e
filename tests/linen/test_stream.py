"""Models of Linen piece by piece: the pieces are the whole, and the state is a collection."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from jax import lax

from jtconv.linen import ConvTranspose, stream
from tests.compare import assert_close
from tests.selection import exhaustive, rows
from tests.streaming.models import FEATURES, UNIT, Linen, pieces, sound


def made(model: Any, x: Any) -> Any:
    """Variables that differ from each other, by the model itself."""
    variables = jax.eval_shape(model.init, jax.random.key(0), x)
    leaves, tree = jax.tree.flatten(variables)
    rng = np.random.default_rng(0)
    drawn = [jnp.asarray(rng.uniform(0.1, 0.6, leaf.shape), leaf.dtype) for leaf in leaves]
    return jax.tree.unflatten(tree, drawn)


@pytest.mark.parametrize("dtype", rows(["float32", "bfloat16"], default=["float32"]))
def test_pieces_are_the_whole(dtype):
    model, x = Linen(dtype=jnp.dtype(dtype)), sound(2, dtype=dtype)
    variables, piecewise, got = made(model, x), stream(model), []
    state: dict[str, Any] = {}
    apply = jax.jit(lambda variables, x: piecewise.apply(variables, x, mutable="stream"))
    for piece in pieces(x, [1, 4]):
        y, state = apply({**variables, **state}, piece)
        got.append(y)
    want = jax.jit(model.apply)(variables, x)
    assert_close(jnp.concatenate(got, 1), want, want.dtype, slack=64)


class Stacked(nn.Module):
    """Layers by a scan over their parameters."""

    @nn.compact
    def __call__(self, x: Any) -> Any:
        def body(layer: Any, x: Any) -> Any:
            return nn.tanh(layer(x)), None

        axes = {"params": 0, "stream": 0}
        scanned = nn.scan(body, variable_axes=axes, split_rngs={"params": True}, length=3)
        return scanned(nn.Conv(FEATURES, (3,), padding="CAUSAL"), x)[0]


@exhaustive
def test_a_scan_over_pieces_and_one_over_layers():
    model, x = Stacked(), sound(2)
    piecewise, variables = stream(model), made(model, x)
    cut = jnp.moveaxis(x.reshape(2, -1, UNIT, FEATURES), 1, 0)
    state = piecewise.begin(variables, jax.ShapeDtypeStruct(cut.shape[1:], cut.dtype))
    assert jax.tree.map(jnp.shape, jax.tree.leaves(state)) == [(3, 2, 2, FEATURES)]

    @jax.jit
    def run(variables, cut):
        def step(state, piece):
            given = {**variables, "stream": state}
            y, after = piecewise.apply(given, piece, mutable="stream")
            return after["stream"], y

        return lax.scan(step, state, cut)[1]

    y = jnp.moveaxis(run(variables, cut), 0, 1).reshape(x.shape)
    assert_close(y, model.apply(variables, x), slack=64)


def test_init_is_that_of_the_model_and_a_state_before_the_first_piece():
    model, x = Linen(), sound(1)
    key, piecewise = jax.random.key(0), stream(model)
    params = jax.eval_shape(model.init, key, x)
    state = jax.eval_shape(piecewise.init, key, x)
    assert {**params, "stream": state["stream"]} == state
    layer = nn.Conv(2, (3,), padding="CAUSAL")
    begun = stream(layer).init(key, x)
    theirs = layer.init(key, x)["params"]
    assert str(jax.tree.structure(begun["params"])) == str(jax.tree.structure(theirs))
    np.testing.assert_array_equal(begun["stream"]["state"], 0)


class Twice(nn.Module):
    """One layer called twice."""

    @nn.compact
    def __call__(self, x: Any) -> Any:
        layer = nn.Conv(FEATURES, (3,), padding="CAUSAL", name="same")
        return layer(layer(x))


class Around(nn.Module):
    """A layer inside another one."""

    layer: Any

    @nn.compact
    def __call__(self, x: Any, **keywords: Any) -> Any:
        return self.layer(x, **keywords)


X = jnp.ones((1, 4, FEATURES), "float32")


def once(layer: Any, x: Any = X, **keywords: Any) -> Any:
    model = Around(layer)
    variables = jax.eval_shape(lambda: model.init(jax.random.key(0), X, **keywords))
    zeros = jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), variables)
    return jax.eval_shape(lambda: stream(model).apply(zeros, x, mutable="stream", **keywords))


def conv(**keywords: Any) -> Any:
    return nn.Conv(FEATURES, (3,), **{"padding": "CAUSAL", **keywords})


def own(*args: Any, **keywords: Any) -> Any:
    return lax.conv_general_dilated(*args, **keywords)


def after(layer: Any, x: Any) -> Any:
    """A piece, and then this one."""
    variables = layer.init(jax.random.key(0), X)
    _, state = stream(layer).apply(variables, X, mutable="stream")
    return stream(layer).apply({**variables, **state}, x, mutable="stream")


MADE_WRONG: dict[str, tuple[Any, str]] = {
    "same": (lambda: once(conv(padding="SAME")), r"^model.layer: its.* latency of 1:"),
    "tail": (lambda: once(nn.ConvTranspose(2, (4,), padding="VALID")), "a tail of 3 cells behind"),
    "circular": (lambda: once(conv(padding="CIRCULAR")), "no latency that is enough"),
    "local": (lambda: once(nn.ConvLocal(2, (3,))), "ConvLocal .* has other weights at every"),
    "own": (lambda: once(conv(conv_general_dilated_cls=lambda: own)), "must be that of jax.lax"),
    "group_norm": (lambda: once(nn.GroupNorm(1)), "layer: GroupNorm cannot .* over all cells"),
    "batch_norm": (lambda: once(nn.BatchNorm(), use_running_average=False), "model.eval"),
    "layer_norm": (lambda: once(nn.LayerNorm(reduction_axes=(1, 2))), "normalizes over the axes"),
    "rnn": (lambda: once(nn.RNN(nn.SimpleCell(2))), "RNN cannot be fed piece by piece"),
    "twice": (
        lambda: stream(Twice()).apply(Twice().init(jax.random.key(0), X), X, mutable="stream"),
        "^same: it is called twice with each piece",
    ),
    "immutable": (
        lambda: stream(conv()).apply(conv().init(jax.random.key(0), X), X),
        "the collection 'stream' must be mutable here",
    ),
    "batch": (lambda: after(conv(), X[:0]), "inputs .0, 4, 3. .* is .1, 2, 3. of float32"),
    "output_size": (
        lambda: once(ConvTranspose(2, (4,), (2,), padding="CAUSAL"), output_size=8),
        "output_size cannot be met piece by piece, got 8",
    ),
    "length": (lambda: once(conv(strides=3)), "a multiple of the stride, 3, .* feed 3 or 6"),
    "no_model": (lambda: stream(X), "model must be a module of flax.linen, got"),
}  # fmt: skip


@pytest.mark.parametrize("name", MADE_WRONG)
def test_what_no_stream_can_be(name):
    call, message = MADE_WRONG[name]
    with pytest.raises((ValueError, TypeError), match=message):
        call()


def test_a_batch_normalization_told_at_its_call():
    assert once(nn.BatchNorm(), use_running_average=True)[0].shape == X.shape
