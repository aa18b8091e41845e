"""The models: sizes of any kind, gradients that reach every parameter, and plain formulas."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jtconv import models
from jtconv.models.blocks import frozen, interleave
from tests.compare import assert_close
from tests.selection import exhaustive, rows

RNGS = 3


def noise(rng, *shape):
    return jnp.asarray(rng.normal(size=shape), jnp.float32)


def run(net, x):
    """What a net makes of ``x``, compiled: quicker than operation by operation."""
    return nnx.jit(lambda net, x: net(x))(net, x)


def unet(rank, features=(3, 4)):
    return models.UNet(2, 3, features, rank=rank, rngs=nnx.Rngs(RNGS))


def fcn(skips):
    shape = {"hidden": 6, "window": 3, "skips": skips}
    return models.FCN(2, 3, (4, 5, 6), (1, 1, 1), **shape, rngs=nnx.Rngs(RNGS))


def deconvnet():
    shape = {"hidden": 6, "window": 2}
    return models.DeconvNet(2, 3, (4, 5), (1, 2), **shape, rngs=nnx.Rngs(RNGS))


def generator(size, kernel_size):
    shape = {"size": size, "channels": 3, "kernel_size": kernel_size}
    return models.Generator(5, (8, 6), **shape, rngs=nnx.Rngs(RNGS))


def discriminator(size, kernel_size):
    shape = {"size": size, "channels": 3, "kernel_size": kernel_size}
    return models.Discriminator((6, 8), **shape, rngs=nnx.Rngs(RNGS))


def hifigan(padding):
    shape = ((4, 3), (8, 7), (3, 5), ((3,), (2,)))
    return models.HiFiGAN(6, 16, *shape, padding=padding, rngs=nnx.Rngs(RNGS))


def codec():
    return models.Codec(4, (2, 3), latent=5, rngs=nnx.Rngs(RNGS))


def esp(features):
    return models.ESP(6, features, branches=3, rngs=nnx.Rngs(RNGS))


def igc():
    return models.IGC(2, 3, rngs=nnx.Rngs(RNGS))


# A model, what goes in, and what must come out; even sizes, odd ones, and primes.
CASES = {
    "unet_1d": (lambda: unet(1), (2, 21, 2), (2, 21, 3)),
    "unet_2d_even": (lambda: unet(2), (2, 8, 12, 2), (2, 8, 12, 3)),
    "unet_2d_deep": (lambda: unet(2, (4, 5, 6, 7)), (2, 13, 7, 2), (2, 13, 7, 3)),
    "unet_2d_odd": (lambda: unet(2), (2, 13, 7, 2), (2, 13, 7, 3)),
    "unet_3d_odd": (lambda: unet(3), (1, 5, 3, 4, 2), (1, 5, 3, 4, 3)),
    "fcn_32s_like": (lambda: fcn(0), (2, 17, 24, 2), (2, 17, 24, 3)),
    "fcn_8s_like": (lambda: fcn(2), (2, 19, 13, 2), (2, 19, 13, 3)),
    "deconvnet_even": (deconvnet, (2, 16, 24, 2), (2, 16, 24, 3)),
    "deconvnet_odd": (deconvnet, (2, 17, 11, 2), (2, 17, 11, 3)),
    "generator_paper": (lambda: generator((16, 16), 5), (2, 5), (2, 16, 16, 3)),
    "generator_odd": (lambda: generator((13, 7), 4), (2, 5), (2, 13, 7, 3)),
    "discriminator_odd": (lambda: discriminator((13, 7), 4), (2, 13, 7, 3), (2,)),
    "hifigan": (lambda: hifigan("SAME"), (2, 5, 6), (2, 60, 1)),
    "codec": (codec, (2, 24, 1), (2, 24, 1)),
    "hifigan_causal": (lambda: hifigan("CAUSAL"), (2, 5, 6), (2, 60, 1)),
    "esp": (lambda: esp(6), (2, 9, 7, 6), (2, 9, 7, 6)),
    "esp_wider": (lambda: esp(9), (2, 9, 7, 6), (2, 9, 7, 9)),
    "igc": (igc, (2, 9, 7, 6), (2, 9, 7, 6)),
}
# Compiling takes up to half a minute each; by default one of every kind that others do not run.
QUICK = ("esp", "igc")


@pytest.mark.parametrize("case", rows(list(CASES), default=QUICK))
def test_sizes_and_gradients(case, rng):
    """The right shape; and every parameter has a gradient, finite and not all zero."""
    make, before, after = CASES[case]
    net = make()
    enliven(net, rng)

    def loss(net, x, weights):
        y = net(x)
        return (weights * y).sum(), y

    x, weights = noise(rng, *before), noise(rng, *after)
    gradient, y = nnx.jit(nnx.grad(loss, has_aux=True))(net, x, weights)
    assert y.shape == after
    assert y.dtype == jnp.float32
    for path, leaf in jax.tree.leaves_with_path(gradient):
        name = jax.tree_util.keystr(path)
        assert np.isfinite(leaf).all(), name
        assert np.abs(leaf).max() > 0, f"{name} learns nothing"


def enliven(net, rng):
    """Move parameters off the zeros that some begin with, and that would stop a gradient."""
    for _, value in nnx.iter_graph(net):
        if isinstance(value, nnx.Param):
            value[...] += 0.1 * noise(rng, *value.shape)


@exhaustive
def test_3d_unet_is_the_2d_one_on_a_stack_that_does_not_change_along_depth(rng):
    """Deep kernels that look at one slice only must give every slice what 2-D gives it."""
    flat, deep = frozen(unet(2)), frozen(unet(3))

    def deepened(to, of):
        if of.ndim != 4:
            return of
        kept = len(to) // 2 if len(to) % 2 else slice(None)
        return jnp.zeros_like(to).at[kept].set(of)

    nnx.update(deep, jax.tree.map(deepened, nnx.state(deep), nnx.state(flat)))
    x = noise(rng, 1, 9, 6, 2)
    want = run(flat, x)
    got = run(deep, jnp.broadcast_to(x[:, None], (1, 8, 9, 6, 2)))
    for depth in range(8):
        assert_close(got[:, depth], want, slack=16)


def dense(x, kernel, dilation=1):
    """A plain SAME convolution, by lax."""
    return jax.lax.conv_general_dilated(
        x,
        kernel,
        (1, 1),
        "SAME",
        rhs_dilation=(dilation, dilation),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )


def test_esp_is_its_formula(rng):
    block, x = esp(6), noise(rng, 1, 9, 7, 6)
    reduced = dense(x, block.reduce.kernel[...])
    first, second, third = (
        dense(reduced, branch.kernel[...], dilation)
        for branch, dilation in zip(block.branches, (1, 2, 4), strict=True)
    )
    parts = [first, first + second, first + second + third]
    assert_close(block(x), x + jnp.concatenate(parts, -1), slack=4)


def test_igc_is_one_dense_convolution(rng):
    """Both grouped kernels written out dense, with the permutations, and multiplied."""
    primary, secondary = 2, 3
    block, x = igc(), noise(rng, 1, 9, 7, 6)
    p, s = block.primary.kernel[...], block.secondary.kernel[0, 0]
    product = np.zeros((3, 3, 6, 6), np.float32)
    for group in range(primary):
        for i in range(secondary):
            for middle in range(secondary):
                for other in range(primary):
                    # Channel ``middle`` of a group meets the same channel of every other group.
                    spatial = p[:, :, i, group * secondary + middle]
                    point = s[group, middle * primary + other]
                    product[:, :, group * secondary + i, other * secondary + middle] += (
                        spatial * point
                    )
    assert_close(block(x), dense(x, jnp.asarray(product)), slack=4)
    assert (np.abs(product) > 0).all(), "every output channel sees every input channel"


def test_interleave_undoes_itself_with_the_other_number(rng):
    x = noise(rng, 2, 3, 12)
    assert not np.array_equal(interleave(x, 3), x)
    np.testing.assert_array_equal(interleave(interleave(x, 3), 4), x)


@exhaustive
def test_fcn_starts_as_bilinear_interpolation_of_its_deepest_scores(rng):
    """The skips begin at zero; what is left are doublings, which interpolate between centres."""
    net, x = frozen(fcn(2)), noise(rng, 1, 32, 48, 2)

    def interpolated(net, x):
        y = net.encoder(x)[-1].values
        for hidden in net.hidden:
            y = nnx.relu(hidden(y))
        y = net.score(y)
        for _ in range(3):
            y = jax.image.resize(y, (1, 2 * y.shape[1], 2 * y.shape[2], 3), "linear")
        return y

    want = nnx.jit(interpolated)(net, x)
    inside = np.s_[:, 8:-8, 8:-8]  # lax repeats the border, a transposed convolution fades out
    assert_close(run(net, x)[inside], want[inside], slack=8)


@exhaustive
def test_causal_hifigan_never_looks_ahead(rng):
    vocoder, mel = hifigan("CAUSAL"), noise(rng, 1, 6, 6)
    changed = mel.at[:, 4:].add(1.0)
    before, after = run(vocoder, mel)[0, :, 0], run(vocoder, changed)[0, :, 0]
    np.testing.assert_array_equal(before[: 4 * 12], after[: 4 * 12])
    assert np.abs(before - after)[4 * 12 :].max() > 0


def test_generator_covers_unit_range_and_reads_all_its_noise(rng):
    make = frozen(generator((13, 7), 4))
    z = 50 * noise(rng, 1, 5)
    pictures = run(make, z)
    assert np.abs(pictures).max() <= 1
    for number in range(5):
        assert not np.array_equal(run(make, z.at[0, number].add(5.0)), pictures)


# --- Zeiler and Fergus ------------------------------------------------------------------


@jax.custom_vjp
def _relu(x):
    return nnx.relu(x)


_relu.defvjp(lambda x: (nnx.relu(x), None), lambda _, g: (nnx.relu(g),))


def by_backpropagation(encoder, x, stage, channel):
    """The same projection as a gradient: that of a net whose ReLUs rectify what comes back.

    Simonyan, Vedaldi and Zisserman (arXiv:1312.6034), section 4.
    """

    def strongest(x):
        for layers in encoder.stages[: stage + 1]:
            for number, conv in enumerate(layers.convs):
                x = dense(x, conv.kernel[...])
                if conv.bias is not None:
                    x = x + conv.bias[...]
                if layers.norms:
                    x = layers.norms[number](x)
                x = _relu(x)
            x = nnx.max_pool(x, (2, 2), (2, 2), "SAME")
        return x[..., channel].max((1, 2))

    best, back = jax.vjp(strongest, x)
    return back(best)[0]


@exhaustive
@pytest.mark.parametrize("norm, stage", [(False, 0), (True, 2)])
def test_projection_is_a_gradient_with_rectified_signal(norm, stage, rng):
    encoder = models.VGG(2, (4, 5, 6), (1, 2, 2), norm=norm, rngs=nnx.Rngs(RNGS))
    encoder(noise(rng, 4, 13, 10, 2))  # gives the norms averages of their own
    enliven(encoder, rng)
    x = noise(rng, 3, 13, 10, 2)
    for channel in range(3):
        got = models.project(encoder, x, stage, channel)
        want = by_backpropagation(frozen(encoder), x, stage, channel)
        assert np.abs(want).max() > 0
        assert_close(got, want, slack=8)


@exhaustive
def test_projection_leaves_the_encoder_as_it_was(rng):
    encoder = models.VGG(2, (4,), (1,), rngs=nnx.Rngs(RNGS))
    before = jax.tree.map(jnp.copy, nnx.state(encoder))
    models.project(encoder, noise(rng, 1, 6, 6, 2), 0, 1)
    jax.tree.map(np.testing.assert_array_equal, nnx.state(encoder), before)
    assert not encoder.stages[0].norms[0].use_running_average


def test_what_is_wrong_is_told(rng):
    encoder = models.VGG(2, (4,), (1,), rngs=nnx.Rngs(RNGS))
    x = noise(rng, 1, 6, 6, 2)
    with pytest.raises(ValueError, match=r"stage must be in 0 \.\. 0, got 1"):
        models.project(encoder, x, 1, 0)
    with pytest.raises(ValueError, match=r"channel must be in 0 \.\. 3, got -1"):
        models.project(encoder, x, 0, -1)
    with pytest.raises(ValueError, match="depths must have one entry for each of the 2"):
        models.VGG(2, (4, 4), (1,), rngs=nnx.Rngs(RNGS))
    with pytest.raises(ValueError, match=r"skips must be in 0 \.\. 2, one stage less"):
        fcn(3)
    with pytest.raises(ValueError, match="features must be a multiple of branches, 3, got 7"):
        esp(7)
