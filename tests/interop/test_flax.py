"""Flax: layers of both its APIs as ours and back."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen, nnx

import jtconv
from jtconv.conventions import flax
from jtconv.interop import flax as interop
from tests.compare import assert_close
from tests.interop.compiled import compiled, parameters

ARGUMENTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "transposed": {"transpose_kernel": True, "padding": "VALID", "use_bias": False},
    "numbers": {"padding": [(1, 2), (0, 3)], "kernel_dilation": (2, 1)},
    "circular": {"padding": "CIRCULAR", "transpose_kernel": True},
    "half": {"param_dtype": jnp.bfloat16, "dtype": jnp.float32},
    "masked": {"mask": np.arange(72).reshape(4, 3, 3, 2) % 3 > 0},
}


def assert_same_parameters(got, want) -> None:
    for name in ("kernel", "bias"):
        mine, theirs = getattr(got, name), getattr(want, name)
        assert (mine is None) == (theirs is None)
        if theirs is not None:
            assert mine[...].dtype == theirs[...].dtype
            np.testing.assert_array_equal(mine[...], theirs[...])


def by_linen(layer, rng, channels: int):
    """Variables for a layer."""
    shape = flax.kernel_shape(
        layer.kernel_size, channels, layer.features, 1, layer.transpose_kernel
    )
    shapes = {"kernel": shape, **({"bias": (layer.features,)} if layer.use_bias else {})}
    draw = parameters(rng)["kernel_init"]
    return {"params": {n: draw(None, of, layer.param_dtype) for n, of in shapes.items()}}


@pytest.mark.usefixtures("in_numpy")
@pytest.mark.parametrize("name", ARGUMENTS)
def test_nnx_there_and_back(name, rng):
    theirs = nnx.ConvTranspose(3, 2, (4, 3), (2, 3), **ARGUMENTS[name], **parameters(rng))
    x = rng.normal(size=(2, 5, 4, 3)).astype("float32")
    ours = interop.to_nnx(theirs)
    assert type(ours) is jtconv.nnx.ConvTranspose
    assert_close(ours(x), compiled(theirs, x), slack=2)
    back = interop.from_nnx(ours)
    assert type(back) is nnx.ConvTranspose
    assert_same_parameters(back, theirs)
    assert back.padding == theirs.padding


@pytest.mark.usefixtures("in_numpy")
@pytest.mark.parametrize("name", ARGUMENTS)
def test_linen_there_and_back(name, rng):
    theirs = linen.ConvTranspose(2, (4, 3), (2, 3), **ARGUMENTS[name])
    x = rng.normal(size=(2, 5, 4, 3)).astype("float32")
    variables = by_linen(theirs, rng, channels=3)
    want = compiled(theirs.apply, variables, x)
    ours = interop.to_nnx(theirs, variables["params"])
    assert_close(ours(x), want, slack=2)
    module, again = interop.to_linen(ours, transpose_kernel=theirs.transpose_kernel)
    assert type(module) is jtconv.linen.ConvTranspose
    jax.tree.map(np.testing.assert_array_equal, again, variables)
    assert_close(module.apply(again, x), want, slack=2)


SQUARE: dict[str, dict[str, Any]] = {
    "plain": {},
    "grouped": {"feature_group_count": 2},
    "masked": {"mask": np.arange(192).reshape(4, 3, 4, 4) % 3 > 0},
    "circular": {"padding": "CIRCULAR"},
    "numbers": {"padding": [(1, 2), (0, 3)], "use_bias": False},
}


@pytest.mark.usefixtures("in_numpy")
@pytest.mark.parametrize("kept", [False, True])
@pytest.mark.parametrize("name", SQUARE)
def test_variables_of_linen_mean_what_they_fit(name, kept, rng):
    """As many channels in as out: a kernel of the other order would fit, and be wrong."""
    given = {"transpose_kernel": kept, **SQUARE[name]}
    layer = jtconv.nnx.ConvTranspose(4, 4, (4, 3), (2, 3), **given, **parameters(rng))
    x = rng.normal(size=(2, 5, 4, 4)).astype("float32")
    want = np.asarray(layer(x))
    mine = {name: value for name, value in SQUARE[name].items() if name != "mask"}
    module, variables = interop.to_linen(layer)
    assert not module.transpose_kernel
    if "mask" not in SQUARE[name]:
        default = jtconv.linen.ConvTranspose(4, (4, 3), (2, 3), **mine)
        assert_close(default.apply(variables, x), want, slack=2)
    assert_close(module.apply(variables, x), want, slack=2)
    for other in (False, True):
        turned = interop.to_nnx(layer, transpose_kernel=other)
        assert turned.transpose_kernel == other
        assert_close(turned(x), want, slack=2)
        mask = turned.mask
        target = jtconv.linen.ConvTranspose(
            4, (4, 3), (2, 3), transpose_kernel=other, **{**mine, "mask": mask}
        )
        again, held = interop.to_linen(layer, target)
        assert again is target
        assert_close(target.apply(held, x), want, slack=2)
        there = interop.to_nnx(target, held["params"], transpose_kernel=kept)
        np.testing.assert_array_equal(there.kernel[...], layer.kernel[...])


@pytest.mark.peer("torch")
def test_from_torch_into_a_layer_of_ones_own(rng):
    import torch

    module = torch.nn.ConvTranspose2d(3, 3, 4, 2, 1)
    layer = jtconv.interop.torch.to_nnx(module)
    x = rng.normal(size=(1, 5, 4, 3)).astype("float32")
    mine = linen.ConvTranspose(3, (4, 4), (2, 2), padding=[(2, 2), (2, 2)])
    for variables in (interop.to_linen(layer)[1], interop.to_linen(layer, mine)[1]):
        assert_close(mine.apply(variables, x), np.asarray(layer(x)), slack=2)


WRONG_TARGETS: dict[str, dict[str, Any]] = {
    "strides": {"strides": (3,)},
    "padding": {"padding": "VALID"},
    "kernel_dilation": {"kernel_dilation": (2,)},
    "kernel_size": {"kernel_size": (5,)},
    "features": {"features": 2},
    "use_bias": {"use_bias": False},
    "mask": {"mask": np.ones((4, 3, 3))},
}


@pytest.mark.parametrize("name", WRONG_TARGETS)
def test_a_target_that_computes_something_else(name, rng):
    layer = nnx.ConvTranspose(3, 3, (4,), (2,), **parameters(rng))
    given: dict[str, Any] = {"features": 3, "kernel_size": (4,), "strides": (2,)}
    interop.to_linen(layer, linen.ConvTranspose(**given, padding=[(2, 2)]))
    with pytest.raises(ValueError, match=f"target computes something else: its {name} "):
        interop.to_linen(layer, linen.ConvTranspose(**given | WRONG_TARGETS[name]))


def test_targets_that_are_none(rng):
    layer = nnx.ConvTranspose(3, 3, (4,), (2,), **parameters(rng))
    with pytest.raises(TypeError, match=r"target must be a ConvTranspose of flax\.linen, got Conv"):
        interop.to_linen(layer, linen.Conv(3, (4,)))
    target = linen.ConvTranspose(3, (4,), (2,))
    with pytest.raises(ValueError, match="left out beside a target, whose own is False; got True"):
        interop.to_linen(layer, target, transpose_kernel=True)
    odd: dict[str, Any] = {"padding": "CIRCULAR", "transpose_kernel": True}
    circular = jtconv.nnx.ConvTranspose(3, 3, (5,), (2,), **odd, **parameters(rng))
    with pytest.raises(ValueError, match=r"spans 5 cells with stride 2 .* keep it True"):
        interop.to_linen(circular)


def test_every_argument_is_kept(rng):
    given = {
        "strides": (2,), "padding": "VALID", "kernel_dilation": (2,), "use_bias": False,
        "dtype": jnp.bfloat16, "param_dtype": jnp.float32, "precision": "highest",
        "transpose_kernel": True, "preferred_element_type": jnp.float32,
        "feature_group_count": 2, "output_padding": 1, "method": "gemm",
    }  # fmt: skip
    layer = jtconv.nnx.ConvTranspose(4, 2, (3,), **given, **parameters(rng))
    module, variables = interop.to_linen(layer, transpose_kernel=True)
    for again in (interop.to_nnx(layer), module, interop.to_nnx(module, variables["params"])):
        assert {name: getattr(again, name) for name in given} == given


@pytest.mark.usefixtures("in_numpy")
@pytest.mark.parametrize("padding", ["same", "valid", "SAME_LOWER"])
def test_names_that_flax_hands_to_a_plain_convolution(padding, rng):
    """As lax does with a name it does not know, where it knows what to do at all: at stride 1."""
    theirs = nnx.ConvTranspose(3, 2, (4,), padding=padding, **parameters(rng))
    x = rng.normal(size=(2, 5, 3)).astype("float32")
    assert_close(interop.to_nnx(theirs)(x), compiled(theirs, x))
    theirs.strides = (2,)
    with pytest.raises(ValueError, match=f"padding must be 'SAME', 'VALID' .* got '{padding}'"):
        interop.to_nnx(theirs)


@pytest.mark.usefixtures("in_numpy")
@pytest.mark.parametrize(
    "arguments",
    [{"padding": "SAME_LOWER"}, {"padding": "VALID", "output_padding": 1}, {"padding": "same"}],
)
def test_what_flax_has_no_name_for_goes_as_numbers(arguments, rng):
    ours = jtconv.nnx.ConvTranspose(3, 2, (3, 5), (2, 3), **arguments, **parameters(rng))
    x = rng.normal(size=(1, 4, 3, 3)).astype("float32")
    assert_close(compiled(interop.from_nnx(ours), x), np.asarray(ours(x)))


@pytest.mark.usefixtures("in_numpy")
def test_what_flax_has_not(rng):
    layer = jtconv.nnx.ConvTranspose(2, 2, (3,), feature_group_count=2, **parameters(rng))
    with pytest.raises(ValueError, match="feature_group_count=2, Flax has no groups"):
        interop.from_nnx(layer)
    module, variables = interop.to_linen(layer)
    assert module.feature_group_count == 2
    x = rng.normal(size=(1, 4, 2))
    assert_close(module.apply(variables, x), layer(x))


def test_a_mismatch_says_which_parameter(rng):
    layer = linen.ConvTranspose(2, (3,))
    with pytest.raises(ValueError, match=r"kernel must have shape \(3, 4, 2\), got \(3, 4, 5\)"):
        interop.to_nnx(layer, {"kernel": jnp.ones((3, 4, 5)), "bias": jnp.ones(2)})
    with pytest.raises(ValueError, match=r"bias must have shape \(2,\), got \(5,\)"):
        interop.to_nnx(layer, {"kernel": jnp.ones((3, 4, 2)), "bias": jnp.ones(5)})
    with pytest.raises(ValueError, match="params has no 'bias'"):
        interop.to_nnx(layer, {"kernel": jnp.ones((3, 4, 2))})
    with pytest.raises(TypeError, match="params must be given"):
        interop.to_nnx(layer)
    with pytest.raises(TypeError, match=r"ConvTranspose of flax\.nnx or flax\.linen, got Conv"):
        interop.to_nnx(linen.Conv(2, (3,)))
    with pytest.raises(ValueError, match="params has no 'kernel', but 'params': pass"):
        interop.to_nnx(layer, {"params": {"kernel": jnp.ones((3, 4, 2))}})
    with pytest.raises(ValueError, match=r"kernel must have shape \(3, C_in, 2\), got \(3,\)"):
        interop.to_nnx(layer, {"kernel": jnp.ones(3), "bias": jnp.ones(2)})
    held = nnx.ConvTranspose(4, 2, (3,), **parameters(rng))
    with pytest.raises(TypeError, match="params must be None beside an nnx layer"):
        interop.to_nnx(held, {"kernel": jnp.ones((3, 4, 2)), "bias": jnp.ones(2)})
    with pytest.raises(TypeError, match=r"layer must be a jtconv\.nnx\.ConvTranspose.* got Conv"):
        interop.to_linen(linen.Conv(2, (3,)))


def test_partitioned_parameters(rng):
    """Linen keeps those in boxes, with the names of their axes."""
    kernel_init = linen.with_partitioning(nnx.initializers.normal(), (None, None, "model"))
    layer = linen.ConvTranspose(2, (3,), kernel_init=kernel_init)
    variables = jax.eval_shape(layer.init, jax.random.key(0), jnp.ones((1, 4, 3)))
    draw = parameters(rng)["kernel_init"]
    variables = jax.tree.map(lambda like: draw(None, like.shape, like.dtype), variables)
    kernel = interop.to_nnx(layer, variables["params"]).kernel[...]
    np.testing.assert_array_equal(kernel, variables["params"]["kernel"].value)


def test_doubles_are_not_rounded_in_silence():
    params = {"kernel": np.ones((3, 4, 2)), "bias": np.ones(2)}
    with jax.enable_x64(False), pytest.raises(TypeError, match="kernel is float64, which JAX"):
        interop.to_nnx(linen.ConvTranspose(2, (3,)), params)


def test_four_axes_are_more_than_flax_has(rng):
    layer = jtconv.nnx.ConvTranspose(2, 2, (1,) * 4, **parameters(rng))
    with pytest.raises(ValueError, match="4 spatial axes, Flax's have 1 to 3"):
        interop.from_nnx(layer)
