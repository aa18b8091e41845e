"""Conv of flax.nnx and of Linen: the convolution is accelerated, and the rest is Flax's own."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen, nnx
from jax import lax

import jtconv
from jtconv.interop.lax import conv_general_dilated
from tests.compare import assert_close
from tests.flax_table import ROUNDED_AGAIN, close_leaves, drawn
from tests.programs import convolutions
from tests.selection import exhaustive, rows

# Arguments of Conv and the shape of its input. With groups all convolutions are replaced, whatever
# else they are.
LAYERS: dict[str, tuple[dict[str, Any], tuple[int, ...]]] = {
    "same": ({}, (2, 6, 4)),
    "circular": ({"padding": "CIRCULAR", "strides": 2}, (2, 6, 4)),
    "reflect": ({"padding": "REFLECT", "kernel_dilation": 2}, (2, 6, 4)),
    "causal": ({"padding": "CAUSAL"}, (2, 6, 4)),
    "numbers": ({"padding": [(3, 0)], "strides": 2}, (2, 6, 4)),
    "input dilation": ({"input_dilation": 2, "padding": [(1, 2)]}, (2, 6, 4)),
    "two batch axes": ({"use_bias": False}, (2, 3, 6, 4)),
    "no batch axis": ({}, (6, 4)),
    "precision": ({"precision": lax.Precision.HIGHEST}, (2, 6, 4)),
    "mask": ({"mask": jnp.asarray([[[1, 0, 1, 1]] * 2] * 3, jnp.float32)}, (2, 6, 4)),
    "bfloat16": ({"dtype": jnp.bfloat16}, (2, 6, 4)),
}
UNOPTIMIZED: dict[str, Any] = {"xla_backend_optimization_level": "0"}
EVERY: dict[str, Any] = {"kernel_init": drawn, "bias_init": drawn, "feature_group_count": 2}
every_layer = pytest.mark.parametrize("name", rows(list(LAYERS), default=()))


def numbered(shape: tuple[int, ...]) -> jax.Array:
    return jnp.asarray(np.random.default_rng(3).normal(size=shape), jnp.float32)


def gradients(f: Any, *args: Any) -> tuple[Any, int]:
    """Value and gradients of a layer, and how many convolutions XLA does by itself."""

    def loss(*args: Any) -> Any:
        y = f(*args)
        return jnp.sum(jnp.sin(y.astype(jnp.float32))), y

    lowered = jax.jit(jax.value_and_grad(loss, (0, 1), has_aux=True)).lower(*args)
    return lowered.compile(UNOPTIMIZED)(*args), convolutions(lowered.as_text())


@every_layer
def test_nnx(name):
    keywords, shape = LAYERS[name]
    x, results = numbered(shape), []
    for cls in (nnx.Conv, jtconv.nnx.Conv):
        layer = cls(4, 4, (3,), rngs=nnx.Rngs(0), **EVERY, **keywords)
        graph, state = nnx.split(layer)
        results.append(gradients(lambda state, x, g=graph: nnx.merge(g, state)(x), state, x))
    (theirs, left), (ours, left_by_ours) = results
    assert (left, left_by_ours) == (3, 0)
    close_leaves(ours, theirs, keywords.get("dtype", jnp.float32), ROUNDED_AGAIN)


@every_layer
def test_linen(name):
    keywords, shape = LAYERS[name]
    x, layer = numbered(shape), linen.Conv(4, (3,), **EVERY, **keywords)
    variables = layer.init(jax.random.key(0), x)
    theirs, left = gradients(layer.apply, variables, x)
    with jtconv.linen.accelerate():
        ours, left_by_ours = gradients(layer.apply, variables, x)
        again = layer.init(jax.random.key(0), x)
    assert (left, left_by_ours) == (3, 0)
    close_leaves(ours, theirs, keywords.get("dtype", jnp.float32), ROUNDED_AGAIN)
    assert jax.tree.all(jax.tree.map(jnp.array_equal, variables, again))


def conv(cls: Any = nnx.Conv, **keywords: Any) -> Any:
    return cls(4, 4, (3,), rngs=nnx.Rngs(1), **{**EVERY, **keywords})


class Doubling(nnx.Conv):
    """A user's own layer, which computes by Flax's."""

    def __call__(self, x: jax.Array) -> jax.Array:
        return 2 * super().__call__(x)


class Other(nnx.Conv):
    """A user's own layer, which computes otherwise."""

    def __call__(self, x: jax.Array) -> jax.Array:
        return lax.conv_general_dilated(
            x, -self.kernel[...], (1,), "SAME", feature_group_count=2,
            dimension_numbers=("NWC", "WIO", "NWC"),
        )  # fmt: skip


class Model(nnx.Module):
    """Layers in several places, one of them twice."""

    def __init__(self) -> None:
        self.first = conv()
        self.again = self.first
        self.rest = nnx.List([conv(Doubling), conv(Other), nnx.Linear(4, 4, rngs=nnx.Rngs(0))])

    def __call__(self, x: jax.Array) -> jax.Array:
        x = self.again(self.first(x))
        for layer in self.rest:
            x = layer(x)
        return x


def left(f: Any, *args: Any) -> int:
    """How many convolutions XLA does by itself, of a function traced anew."""
    return convolutions(jax.jit(lambda *args: f(*args)).lower(*args).as_text())


def test_nnx_accelerate():
    model, x = Model(), numbered((2, 6, 4))
    before, leaves = model(x), jax.tree.leaves(nnx.state(model))
    layers = [model.first, *model.rest]
    assert left(model, x) == 4
    assert jtconv.nnx.accelerate(model) is model
    assert jtconv.nnx.accelerate(model).first is model.again
    assert all(a is b for a, b in zip(layers, [model.first, *model.rest], strict=True))
    assert all(a is b for a, b in zip(leaves, jax.tree.leaves(nnx.state(model)), strict=True))
    assert type(model.first) is jtconv.nnx.Conv and isinstance(model.rest[0], Doubling)
    assert left(model, x) == 1, "the layer that computes otherwise, alone"
    assert_close(model(x), before, slack=16.0)
    assert type(nnx.merge(*nnx.split(model)).first) is jtconv.nnx.Conv
    whole = jtconv.accelerate(lambda model, x: model(x))
    assert left(lambda x: whole(model, x), x) == 0


@exhaustive
def test_layers_of_ours_that_are_made_of_conv():
    """They are subclasses of Flax's, and computed through it."""
    layer = jtconv.nnx.SubPixelConv(4, 4, (3,), 2, feature_group_count=2, rngs=nnx.Rngs(0))
    x = numbered((2, 6, 4))
    before = layer(x)
    assert (left(layer, x), left(jtconv.nnx.accelerate(layer), x)) == (1, 0)
    assert_close(layer(x), before)


class Linen(linen.Module):
    """A subclass by super() and a function of the user's own."""

    @linen.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        x = linen.Conv(4, (3,), feature_group_count=2)(x)
        return linen.ConvLocal(4, (3,))(x)


def test_linen_accelerate():
    """ConvLocal has the same method as Conv, and is none."""
    model, x = Linen(), numbered((2, 6, 4))
    before, variables = model.init_with_output(jax.random.key(0), x)
    plain = left(model.apply, variables, x)
    with jtconv.linen.accelerate():
        assert left(model.apply, variables, x) == plain - 1
        assert_close(model.apply(variables, x), before, slack=ROUNDED_AGAIN)
    assert left(model.apply, variables, x) == plain


def test_given_to_a_layer():
    x = numbered((2, 6, 4))
    theirs, ours = conv(), conv(conv_general_dilated=conv_general_dilated)
    assert (left(theirs, x), left(ours, x)) == (1, 0)
    assert_close(ours(x), theirs(x))
    layer = linen.Conv(4, (3,), feature_group_count=2, conv_general_dilated=conv_general_dilated)
    variables = layer.init(jax.random.key(0), x)
    assert left(layer.apply, variables, x) == 0
