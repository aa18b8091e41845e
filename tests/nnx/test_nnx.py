"""jtconv.nnx against flax.nnx: the same layer, faster and with more arguments."""

from __future__ import annotations

import copy
import functools
import inspect
import pickle
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import orbax.checkpoint as ocp
import pytest
from flax import linen, nnx
from jax.sharding import Mesh, NamedSharding, PartitionSpec

import jtconv
from bench.unet import UNet
from jtconv.nnx import ConvTranspose, ResizeConv, SubPixelConv, accelerate, report
from tests.compare import assert_close
from tests.flax_table import (
    ROUNDED_AGAIN,
    TABLE,
    Configuration,
    close_leaves,
    drawn,
    every_configuration,
    every_configuration_and_dtype,
    same_leaves,
)

# Compiling takes nearly all of the time, and is faster when LLVM does not optimize.
UNOPTIMIZED: dict[str, Any] = {"xla_backend_optimization_level": "0"}


def made(cls: Any, c: Configuration, dtype: Any = None) -> Any:
    return cls(*c.features, c.kernel_size, **c.keywords(), dtype=dtype, rngs=nnx.Rngs(params=7))


def test_its_arguments_are_those_of_flax_and_three_more():
    theirs, ours = (
        inspect.signature(cls.__init__).parameters for cls in (nnx.ConvTranspose, ConvTranspose)
    )
    assert {name: p.replace(annotation=None) for name, p in theirs.items()} == {
        name: ours[name].replace(annotation=None) for name in theirs
    }
    assert set(ours) - set(theirs) == {"feature_group_count", "output_padding", "method"}


def test_the_table_is_large_and_uses_every_argument():
    assert len(TABLE) >= 100
    for name in TABLE[0].arguments:
        values = {str(c.arguments[name]) for c in TABLE}
        assert len(values) > 1 or name.endswith("_init")


@every_configuration
def test_same_parameters(c):
    theirs, ours = (nnx.state(made(cls, c)) for cls in (nnx.ConvTranspose, ConvTranspose))
    same_leaves(theirs, ours)


@pytest.mark.parametrize("transpose_kernel", [False, True])
def test_same_parameters_by_default(transpose_kernel):
    """Flax's own initializers, whose variance depends on how the kernel lies; and metadata."""
    layers = [
        cls(
            2,
            6,
            (3, 2),
            transpose_kernel=transpose_kernel,
            kernel_metadata={
                "out_sharding": (None, None, None, "model"),
                "eager_sharding": False,
            },
            bias_metadata={"note": "kept"},
            rngs=nnx.Rngs(0),
        )
        for cls in (nnx.ConvTranspose, ConvTranspose)
    ]
    same_leaves(*map(nnx.state, layers))
    theirs, ours = (layer.kernel.get_metadata() for layer in layers)
    assert theirs == ours and ours["out_sharding"][-1] == "model"
    assert layers[1].bias.note == "kept"


def values_and_gradients(layer: Any, x: jax.Array, dtype: Any) -> Any:
    """Of a layer at ``x``, in one program: the result, and its pull-back of a fixed cotangent."""
    graph, state = nnx.split(layer)

    @functools.partial(jax.jit, compiler_options=UNOPTIMIZED)
    def run(state, x):
        y, pull = jax.vjp(lambda state, x: nnx.merge(graph, state)(x), state, x)
        return y, pull(jnp.cos(jnp.arange(y.size)).reshape(y.shape).astype(y.dtype))

    return run(state, x)


@every_configuration_and_dtype
def test_same_numbers(c, dtype):
    x = c.inputs(dtype)
    theirs, ours = (
        values_and_gradients(made(cls, c, dtype), x, dtype)
        for cls in (nnx.ConvTranspose, ConvTranspose)
    )
    close_leaves(ours, theirs, dtype)


@pytest.mark.parametrize("padding", ["SAME", "CIRCULAR"])
def test_inputs_of_other_dtypes_are_promoted(padding):
    x: Any
    for x in (np.arange(8).reshape(1, 4, 2), np.ones((1, 4, 2), np.float16)):
        theirs, ours = (
            cls(2, 3, 3, 2, padding=padding, kernel_init=drawn, rngs=nnx.Rngs(0))(x)
            for cls in (nnx.ConvTranspose, ConvTranspose)
        )
        assert_close(ours, theirs)


def numbered(shape: tuple[int, ...]) -> jax.Array:
    return jnp.asarray(np.random.default_rng(3).normal(size=shape), jnp.float32)


@pytest.mark.parametrize("transpose_kernel", [False, True])
@pytest.mark.parametrize("padding", ["CAUSAL", "same_lower", "FULL"])
def test_more_arguments(padding, transpose_kernel):
    """Groups, output_padding and names of ours, as the function has them."""
    layer = ConvTranspose(
        4,
        6,
        (3,),
        (2,),
        padding=padding,
        feature_group_count=2,
        output_padding=1,
        method="gemm",
        transpose_kernel=transpose_kernel,
        kernel_init=drawn,
        rngs=nnx.Rngs(0),
    )
    assert layer.kernel.shape == ((3, 3, 4) if transpose_kernel else (3, 2, 6))
    x = numbered((2, 5, 4))
    want = jtconv.conv_transpose(
        x,
        layer.kernel[...],
        stride=2,
        padding=padding,
        groups=2,
        output_padding=1,
        flip_kernel=not transpose_kernel,
        dimension_numbers=("NWC", "WOI" if transpose_kernel else "WIO", "NWC"),
        method="scatter",
    )
    assert_close(layer(x), want)


@pytest.mark.parametrize("size", [(9, 4), (10, 5), (9, 6)])
def test_output_size_at_call_time(size):
    layer = ConvTranspose(2, 3, (3, 3), (2, 3), kernel_init=drawn, rngs=nnx.Rngs(0))
    x = numbered((1, 5, 2, 2))
    assert_close(layer(x, output_size=size), layer(x)[:, : size[0], : size[1]])


def test_four_axes_and_a_period():
    layer = ConvTranspose(1, 2, (2, 1, 2, 3), 2, kernel_init=drawn, rngs=nnx.Rngs(0))
    assert layer(numbered((2, 2, 1, 2, 1))).shape == (4, 4, 2, 4, 2)
    around = ConvTranspose(1, 2, 3, 2, padding="circular", rngs=nnx.Rngs(0))
    assert around(numbered((4, 1)), output_size=8).shape == (8, 2)
    with pytest.raises(ValueError, match=r"output_size must be \(8,\)"):
        around(numbered((4, 1)), output_size=7)


WRONG: dict[str, list[Any]] = {
    "strides": [(2, 2), 0, 1.5],
    "padding": ["SMAE", (1, 2), None],
    "kernel_dilation": [0, "two"],
    "feature_group_count": [3, 0, 1.0, True],
    "output_padding": [(1, 1), -1],
    "method": ["fast"],
    "kernel_size": [(), (3,) * 5, 0, "3"],
    "in_features": [0, 2.0],
}


@pytest.mark.parametrize(("name", "value"), [(n, v) for n, vs in WRONG.items() for v in vs])
def test_a_wrong_argument_is_named_when_the_layer_is_made(name, value):
    keywords = {"in_features": 2, "kernel_size": 3, "strides": 2, "rngs": nnx.Rngs(0), name: value}
    with pytest.raises((ValueError, TypeError), match=name):
        ConvTranspose(out_features=4, **keywords)


def test_wrong_arrays_are_named():
    layer = ConvTranspose(2, 3, (3, 3), rngs=nnx.Rngs(0))
    for shape in ((1, 4, 4, 3), (4, 2), (2,)):
        with pytest.raises(ValueError, match=r"inputs must have shape .* 2 channels"):
            layer(jnp.ones(shape))
    mask = jnp.ones((3, 3, 3, 2))
    with pytest.raises(ValueError, match="mask must have the shape of the kernel"):
        ConvTranspose(2, 3, (3, 3), mask=mask, rngs=nnx.Rngs(0))(jnp.ones((4, 4, 2)))
    around = ConvTranspose(2, 3, 3, 2, padding="CIRCULAR", output_padding=1, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match="output_padding must be 0"):
        around(jnp.ones((4, 2)))


def flax_layer(features: tuple[int, int] = (2, 2), **keywords: Any) -> nnx.ConvTranspose:
    return nnx.ConvTranspose(*features, 3, 2, kernel_init=drawn, rngs=nnx.Rngs(1), **keywords)


class Doubling(nnx.ConvTranspose):
    """A user's own layer."""

    def __call__(self, x: jax.Array) -> jax.Array:
        return 2 * super().__call__(x)


class Tree(nnx.Module):
    """Layers in every place a module can keep them, one of them twice."""

    def __init__(self) -> None:
        self.plain = flax_layer(mask=jnp.asarray([[[1.0, 0], [1, 1]]] * 3))
        self.again = self.plain
        self.list = nnx.List([flax_layer(), nnx.Linear(2, 2, rngs=nnx.Rngs(0))])
        self.dict = nnx.Dict(one=flax_layer())
        self.data = nnx.data({"deep": [flax_layer()]})
        self.pair = nnx.data((flax_layer(), Doubling(2, 2, 3, 2, rngs=nnx.Rngs(1))))
        self.chain = nnx.Sequential(flax_layer(), nnx.relu, nnx.Sequential(flax_layer()))

    def layers(self) -> list[Any]:
        inner = self.chain.layers[2].layers
        found = [self.plain, self.list[0], self.dict["one"], self.data["deep"][0], *self.pair]
        return [*found, self.chain.layers[0], inner[0]]


def test_accelerate_reaches_every_layer_and_keeps_it():
    tree = Tree()
    before, parameters = tree.layers(), jax.tree.leaves(nnx.state(tree))
    doubled = tree.pair[1](numbered((4, 2)))
    assert accelerate(tree) is tree and accelerate(tree) is tree
    assert all(a is b for a, b in zip(before, tree.layers(), strict=True))
    assert all(isinstance(layer, ConvTranspose) for layer in tree.layers())
    assert all(a is b for a, b in zip(parameters, jax.tree.leaves(nnx.state(tree)), strict=True))
    assert tree.again is tree.plain and "mask" in nnx.state(tree.plain)
    assert isinstance(tree.pair[1], Doubling)
    assert "dgrad" in str(jax.make_jaxpr(tree.pair[1])(jnp.ones((4, 2))))
    assert_close(tree.pair[1](numbered((4, 2))), doubled)
    assert type(nnx.merge(*nnx.split(tree)).plain) is ConvTranspose


def test_accelerate_takes_a_layer_or_a_list():
    layer = flax_layer()
    assert type(accelerate(layer)) is ConvTranspose
    pair = [flax_layer(), flax_layer()]
    assert accelerate(pair) is pair and type(pair[1]) is ConvTranspose


@pytest.mark.parametrize("model", [3, None, nnx.ConvTranspose, linen.ConvTranspose(3, (2, 2))])
def test_accelerate_refuses_what_holds_no_module_of_nnx(model):
    with pytest.raises(TypeError, match=r"(?s)model must be a module.*got.*linen"):
        accelerate(model)


def test_what_was_replaced_is_told():
    model = {"a": flax_layer(), "b": [nnx.Conv(2, 2, (3,), rngs=nnx.Rngs(0))]}
    model["c"] = nnx.ConvTranspose(2, 3, (4,), padding="same", rngs=nnx.Rngs(0))
    before = report(model)
    assert type(model["a"]) is nnx.ConvTranspose, "nothing is changed"
    assert [(row.path, row.is_left) for row in before.rows] == [
        ("a", False), ("b/0", False), ("c", True),
    ]  # fmt: skip
    assert str(before).startswith("2 of 3 convolutions of the model computed by jtconv\n")
    assert "padding 'same' has a name" in before.rows[2].reason
    assert report(accelerate(model)) == before
    assert repr(before) == str(before)
    for row, layer in zip(before.rows, (model["a"], model["b"][0], model["c"]), strict=True):
        assert type(layer).__module__.startswith("jtconv") != row.is_left
    with pytest.raises(TypeError, match="model must be a module"):
        report(3)


def test_accelerated_layers_are_pickled_and_copied():
    layer = Doubling(2, 2, (3,), rngs=nnx.Rngs(0))
    x = numbered((4, 2))
    before = layer(x)
    accelerate(layer)
    for again in (pickle.loads(pickle.dumps(layer)), copy.deepcopy(layer)):
        assert type(again) is type(layer)
        assert isinstance(again, Doubling) and isinstance(again, ConvTranspose)
        assert_close(again(x), before)


@pytest.mark.peer("equinox")
def test_a_module_of_equinox_is_told_where_to_go():
    import equinox

    layer = equinox.nn.ConvTranspose1d(2, 3, 3, key=jax.random.key(0))
    with pytest.raises(TypeError, match=r"jtconv\.accelerate\(model\), or .*interop\.equinox"):
        accelerate(layer)
    x = jnp.ones((2, 5))
    assert_close(jtconv.accelerate(layer)(x), layer(x))


@pytest.mark.parametrize("name", ["same", "valid", "SAME_LOWER"])
def test_accelerate_leaves_names_that_flax_lets_pass(name, rng):
    """At stride 1 lax reads them as a plain convolution's padding, and the numbers must stay."""
    layer = nnx.ConvTranspose(2, 3, (4,), padding=name, rngs=nnx.Rngs(0))
    x = jnp.asarray(rng.normal(size=(1, 5, 2)), jnp.float32)
    before = layer(x)
    np.testing.assert_array_equal(accelerate(layer)(x), before)


def unet_trained(fast: bool, widths: tuple[int, ...], size: int) -> Any:
    """A U-Net's scores, then its state and its optimizer's after two steps of Adam."""
    model = UNet(widths, 4, rngs=nnx.Rngs(0))
    optimizer = nnx.Optimizer(model, optax.adam(1e-2, eps=1e-2), wrt=nnx.Param)
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=(2, size, size, 3)), jnp.float32)
    labels = jnp.asarray(rng.integers(0, 4, (2, size, size)))
    if fast:
        state = jax.tree.leaves(nnx.state((model, optimizer)))
        accelerate(model)
        after = jax.tree.leaves(nnx.state((model, optimizer)))
        assert all(a is b for a, b in zip(state, after, strict=True))

    @nnx.jit
    def step(model, optimizer):
        def loss(model):
            scores = model(x)
            errors = optax.softmax_cross_entropy_with_integer_labels(scores, labels)
            return errors.mean(), scores

        gradient, scores = nnx.grad(loss, has_aux=True)(model)
        optimizer.update(model, gradient)
        return scores

    compiled = step.lower(model, optimizer).compile(UNOPTIMIZED)
    scores = [compiled(model, optimizer) for _ in range(2)]
    return scores, nnx.state(model), nnx.state(optimizer)


@pytest.mark.parametrize(
    ("widths", "size"),
    [
        ((2, 4), 4),
        pytest.param((64, 128, 256, 512, 1024), 64, marks=pytest.mark.exhaustive, id="true"),
    ],
)
def test_an_accelerated_unet_trains_alike(widths, size):
    theirs, ours = (unet_trained(fast, widths, size) for fast in (False, True))
    assert str(jax.tree.structure(theirs)) == str(jax.tree.structure(ours))
    # Adam divides by the size of each gradient: but for the large eps, rounding in the smallest
    # of them would weigh as much as the largest.
    close_leaves(ours, theirs, jnp.float32, slack=200.0)


def test_a_checkpoint_of_flax_loads(tmp_path):
    keywords: dict[str, Any] = {
        "strides": 2,
        "kernel_init": drawn,
        "mask": jnp.asarray([[[1.0, 0, 1]] * 2] * 3),
    }
    theirs = nnx.ConvTranspose(2, 3, (3,), rngs=nnx.Rngs(0), **keywords)
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(tmp_path / "layer", nnx.state(theirs))
        checkpointer.wait_until_finished()
        ours = ConvTranspose(2, 3, (3,), rngs=nnx.Rngs(5), **keywords)
        nnx.update(ours, checkpointer.restore(tmp_path / "layer", nnx.state(ours)))
    same_leaves(nnx.state(theirs), nnx.state(ours))
    assert_close(ours(numbered((4, 2))), theirs(numbered((4, 2))))


def scanned(cls: Any) -> Any:
    """Three layers one after the other, their parameters stacked: nnx.vmap and nnx.scan."""

    @nnx.split_rngs(splits=3)
    @nnx.vmap(in_axes=0, out_axes=0)
    def stacked(rngs):
        return cls(2, 2, 3, use_bias=False, kernel_init=nnx.initializers.normal(), rngs=rngs)

    @nnx.scan(in_axes=(0, nnx.Carry), out_axes=nnx.Carry)
    def through(layer, x):
        return layer(x)

    return through(stacked(nnx.Rngs(0)), numbered((2, 4, 2)))


def test_inside_vmap_and_scan():
    assert_close(scanned(ConvTranspose), scanned(nnx.ConvTranspose), slack=ROUNDED_AGAIN)


def test_data_parallel_on_four_devices():
    layer = ConvTranspose(2, 3, 3, 2, kernel_init=drawn, rngs=nnx.Rngs(0))
    x = numbered((8, 4, 2))

    def gradient(layer, x):
        return nnx.grad(lambda layer, x: jnp.sum(jnp.sin(layer(x))))(layer, x)

    alone = nnx.jit(gradient)(layer, x)
    mesh = Mesh(np.asarray(jax.devices("cpu")[:4]), ("data",))
    nnx.update(layer, jax.device_put(nnx.state(layer), NamedSharding(mesh, PartitionSpec())))
    spread = jax.device_put(x, NamedSharding(mesh, PartitionSpec("data")))
    close_leaves(nnx.jit(gradient)(layer, spread), alone, jnp.float32)


@pytest.mark.parametrize("interpolation", ["nearest", "linear"])
def test_resize_conv(interpolation):
    layer = ResizeConv(
        2, 3, (3, 2), (2, 3), interpolation=interpolation, kernel_init=drawn, rngs=nnx.Rngs(0)
    )
    x = numbered((2, 1, 3, 2, 2))
    larger = jax.image.resize(x, (2, 1, 6, 6, 2), interpolation)[..., :5, :4, :]
    plain = nnx.Conv(2, 3, (3, 2), kernel_init=drawn, rngs=nnx.Rngs(0))
    assert_close(layer(x, output_size=(5, 4)), plain(larger), slack=ROUNDED_AGAIN)
    assert layer(x[0, 0]).shape == (6, 6, 3)


def test_sub_pixel_conv():
    """Output pixel (2i+a, 3j+b) of channel c is channel (c, a, b) of the convolution at (i, j)."""
    layer = SubPixelConv(2, 3, (3, 3), (2, 3), kernel_init=drawn, rngs=nnx.Rngs(0))
    plain = nnx.Conv(2, 18, (3, 3), kernel_init=drawn, rngs=nnx.Rngs(0))
    x = numbered((2, 3, 2, 2))
    y, wide = np.asarray(layer(x)), np.asarray(plain(x)).reshape(2, 3, 2, 3, 2, 3)
    assert y.shape == (2, 6, 6, 3)
    for a in range(2):
        for b in range(3):
            assert_close(y[:, a::2, b::3], wide[..., a, b])
    assert_close(layer(x, output_size=(5, 6)), y[:, :5])
