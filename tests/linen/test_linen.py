"""jtconv.linen against flax.linen: the same layer; numbers are those of jtconv.nnx's."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import orbax.checkpoint as ocp
import pytest
from flax import linen, nnx
from flax.training.train_state import TrainState

import jtconv.nnx
from jtconv.linen import ConvTranspose, accelerate
from tests.compare import assert_close
from tests.flax_table import (
    GEOMETRIES,
    ROUNDED_AGAIN,
    Configuration,
    drawn,
    every_configuration,
    every_configuration_and_dtype,
    same_leaves,
)


def made(cls: Any, c: Configuration, dtype: Any) -> Any:
    return cls(c.features[1], c.kernel_size, **c.keywords(), dtype=dtype)


def same_structure(one: Any, other: Any) -> None:
    here, there = (str(jax.tree.structure(tree)) for tree in (one, other))
    assert here == there


def test_its_fields_are_those_of_flax_and_three_more():
    theirs, ours = (
        {f.name: f.default for f in dataclasses.fields(cls)}
        for cls in (linen.ConvTranspose, ConvTranspose)
    )
    added = {"feature_group_count": 1, "output_padding": 0, "method": "auto"}
    assert ours == {**theirs, **added}


@every_configuration
def test_same_parameters(c):
    """Their tree always, and their values once for each geometry."""
    x, key = c.inputs(jnp.float32), jax.random.key(7)
    inits = [made(cls, c, None).init for cls in (linen.ConvTranspose, ConvTranspose)]
    theirs, ours = (jax.eval_shape(init, key, x) for init in inits)
    assert theirs == ours
    if c.number < len(GEOMETRIES):
        same_leaves(*(jax.jit(lambda key, f=f: f(key, x)["params"])(key) for f in inits))


@pytest.mark.parametrize("transpose_kernel", [False, True])
def test_same_initial_values(transpose_kernel):
    """Flax's own initializers, and a partition."""
    kernel_init = linen.with_partitioning(linen.initializers.lecun_normal(), (None, None, "model"))
    for keywords in ({}, {"kernel_init": kernel_init}):
        theirs, ours = (
            cls(4, 3, transpose_kernel=transpose_kernel, **keywords).init(
                jax.random.key(0), jnp.ones((1, 4, 2))
            )
            for cls in (linen.ConvTranspose, ConvTranspose)
        )
        same_structure(theirs, ours)
        same_leaves(theirs, ours)


def programs(linen_class: Any, nnx_class: Any, c: Configuration, dtype: Any) -> tuple[str, str]:
    """What a Linen layer and an nnx layer of the same parameters do, as text."""
    x = c.inputs(dtype)
    keywords = {**c.keywords(), "dtype": dtype}
    module = nnx_class(*c.features, c.kernel_size, **keywords, rngs=nnx.Rngs(0))
    params = {"kernel": module.kernel[...]}
    if module.bias is not None:
        params["bias"] = module.bias[...]

    def called(variables, x):
        layer = nnx.clone(module)
        for name, value in variables["params"].items():
            setattr(layer, name, nnx.Param(value))
        return layer(x)

    layer = linen_class(c.features[1], c.kernel_size, **keywords)
    one, other = (str(jax.make_jaxpr(f)({"params": params}, x)) for f in (layer.apply, called))
    return one, other


@every_configuration_and_dtype
def test_the_program_is_that_of_nnx(c, dtype):
    """Flax's two layers are one program and ours are one, so their numbers are equal too.

    tests/nnx/test_nnx.py compares the numbers of ours with Flax's.
    """
    flax_linen, flax_nnx = programs(linen.ConvTranspose, nnx.ConvTranspose, c, dtype)
    ours_linen, ours_nnx = programs(ConvTranspose, jtconv.nnx.ConvTranspose, c, dtype)
    assert flax_linen == flax_nnx
    assert ours_linen == ours_nnx
    assert "jtconv_dgrad" in ours_linen and "jtconv_dgrad" not in flax_linen
    with accelerate():
        accelerated, _ = programs(linen.ConvTranspose, nnx.ConvTranspose, c, dtype)
    assert accelerated == ours_linen


def test_accelerate_leaves_names_that_flax_lets_pass():
    """At stride 1 lax reads them as a plain convolution's padding, and the numbers must stay."""
    layer, x = linen.ConvTranspose(3, (4,), padding="same"), numbered((1, 5, 2))
    before, variables = layer.init_with_output(jax.random.key(0), x)
    with accelerate():
        np.testing.assert_array_equal(layer.apply(variables, x), before)


def numbered(shape: tuple[int, ...]) -> jax.Array:
    return jnp.asarray(np.random.default_rng(3).normal(size=shape), jnp.float32)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
@pytest.mark.parametrize("padding", ["SAME", "CIRCULAR", 1])
def test_same_numbers(padding, dtype):
    x = numbered((2, 5, 2))
    results = []
    for cls in (linen.ConvTranspose, ConvTranspose):
        layer = cls(3, 4, 2, padding=padding, dtype=dtype, kernel_init=drawn, bias_init=drawn)
        variables = layer.init(jax.random.key(0), x)
        y, pull = jax.vjp(layer.apply, variables, x)
        results.append((y, pull(jnp.cos(jnp.arange(y.size)).reshape(y.shape).astype(dtype))))
    for a, b in zip(*map(jax.tree.leaves, results), strict=True):
        assert a.dtype == b.dtype
        assert_close(b, a, dtype, ROUNDED_AGAIN)


def test_more_arguments():
    keywords = {
        "feature_group_count": 2,
        "output_padding": 1,
        "method": "gemm",
        "kernel_init": drawn,
    }
    layer = ConvTranspose(6, (3, 3), (2, 2), padding="FULL", **keywords)
    x = numbered((3, 1, 4, 4, 4))
    y, variables = layer.init_with_output(jax.random.key(0), x)
    kernel = variables["params"]["kernel"]
    assert kernel.shape == (3, 3, 2, 6) and y.shape == (3, 1, 10, 10, 6)
    same: dict[str, Any] = {"stride": 2, "groups": 2, "method": "scatter", "flip_kernel": True}
    assert_close(y[:, 0], jtconv.conv_transpose(x[:, 0], kernel, output_padding=1, **same))
    plain = layer.clone(output_padding=0).apply(variables, x, output_size=(9, 10))
    assert_close(plain, y[..., :9, :10, :])
    with pytest.raises(ValueError, match="feature_group_count must divide"):
        layer.clone(feature_group_count=4).init(jax.random.key(0), x)


class Doubling(linen.ConvTranspose):
    """A user's own layer."""

    @linen.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        return 2 * super().__call__(x)


class UNet(linen.Module):
    """A small one, in the ways Linen modules are written; its last layer is used twice."""

    def setup(self) -> None:
        self.down = [linen.Conv(width, (3,)) for width in (4, 8)]
        self.up = linen.Sequential([linen.ConvTranspose(4, (2,), (2,)), linen.relu])
        self.last = Doubling(8, (3,))

    def __call__(self, x: jax.Array) -> jax.Array:
        skip = linen.relu(self.down[0](x))
        x = linen.relu(self.down[1](linen.max_pool(skip, (2,), (2,))))
        return self.last(self.last(jnp.concatenate([skip, self.up(x)], -1)))


def unet_trained(x: jax.Array) -> Any:
    """Scores of the untrained net, and the state of training after two steps."""
    model = UNet()
    scores, variables = model.init_with_output(jax.random.key(0), x)
    state = TrainState.create(apply_fn=model.apply, params=variables["params"], tx=optax.adam(1e-2))

    @jax.jit
    def step(state):
        def loss(params):
            return jnp.mean((state.apply_fn({"params": params}, x) - 1) ** 2)

        return state.apply_gradients(grads=jax.grad(loss)(state.params))

    state = step(step(state))
    return scores, state.params, state.opt_state


@pytest.mark.exhaustive
def test_an_accelerated_unet_trains_alike():
    x = numbered((2, 8, 3))
    theirs = unet_trained(x)
    with accelerate():
        ours = unet_trained(x)
        assert "jtconv_dgrad" in str(jax.make_jaxpr(UNet().apply)({"params": ours[1]}, x))
    assert "jtconv_dgrad" not in str(jax.make_jaxpr(UNet().apply)({"params": ours[1]}, x))
    same_structure(theirs, ours)
    # Adam divides by the size of each gradient: the smallest weigh as much as the largest.
    for a, b in zip(*map(jax.tree.leaves, (theirs, ours)), strict=True):
        assert_close(b, a, slack=4000.0)


def test_other_interceptors_still_run():
    seen = []

    def watch(next_method, args, kwargs, context):
        seen.append(type(context.module).__name__)
        return next_method(*args, **kwargs)

    layer, x = linen.ConvTranspose(3, 3), numbered((4, 2))
    with linen.intercept_methods(watch), accelerate(), linen.intercept_methods(watch):
        layer.init(jax.random.key(0), x)
    assert "ConvTranspose" in seen


def test_a_checkpoint_of_flax_loads(tmp_path):
    x = numbered((4, 2))
    theirs, ours = (
        cls(3, (3,), (2,), kernel_init=drawn) for cls in (linen.ConvTranspose, ConvTranspose)
    )
    variables = theirs.init(jax.random.key(0), x)
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(tmp_path / "layer", variables)
        checkpointer.wait_until_finished()
        restored = checkpointer.restore(tmp_path / "layer", ours.init(jax.random.key(5), x))
    same_leaves(variables, restored)
    assert_close(ours.apply(restored, x), theirs.apply(variables, x))
