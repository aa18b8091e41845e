"""Initial kernels: interpolation exactly, equal pixels exactly, variances by statistics."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jtconv
from jtconv import initializers
from jtconv.upsampling import pixel_shuffle
from tests.compare import assert_close

KEY = jax.random.key(0)


@pytest.mark.parametrize(
    "factor", [(1,), (2,), (3,), (4,), (5,), (2, 3), (3, 4), (5, 1), (2, 2, 3)]
)
def test_bilinear_interpolates(factor):
    """Away from the borders: what the interpolation between pixel centres gives there."""
    kernel = [2 * f - f % 2 for f in factor]
    size = [4, 5, 3][: len(factor)]
    x = jnp.asarray(np.random.default_rng(0).normal(size=(1, *size, 2)), jnp.float32)
    w = initializers.bilinear()(KEY, (*kernel, 2, 2))
    y = jtconv.conv_transpose(x, w, stride=factor, padding="SAME", method="scatter")
    assert y.shape == (1, *(n * f for n, f in zip(size, factor, strict=True)), 2)
    inside = tuple(slice(f // 2, n * f - f // 2) for n, f in zip(size, factor, strict=True))
    assert_close(y[:, *inside], _interpolated(np.asarray(x), factor)[:, *inside])


def _interpolated(x: np.ndarray, factor: tuple[int, ...]) -> np.ndarray:
    """Linear along each axis in turn, by NumPy."""
    for axis, f in enumerate(factor, 1):
        n = x.shape[axis]
        places = (np.arange(n * f) + 0.5) / f - 0.5
        rows = np.moveaxis(x, axis, -1)
        flat = [np.interp(places, range(n), row) for row in rows.reshape(-1, n)]
        x = np.moveaxis(np.reshape(flat, (*rows.shape[:-1], n * f)), -1, axis)
    return x


@pytest.mark.parametrize(("shape", "groups"), [((4, 1, 6), 6), ((4, 2, 6), 3), ((4, 3, 3), 1)])
def test_bilinear_copies_each_channel_in_groups_too(shape, groups):
    x = jnp.asarray(np.random.default_rng(0).normal(size=(1, 5, 6 if groups > 1 else 3)))
    w = initializers.bilinear()(KEY, shape, x.dtype)
    y = jtconv.conv_transpose(x, w, stride=2, padding="SAME", groups=groups, method="scatter")
    assert_close(y[:, 1:-1], _interpolated(np.asarray(x), (2,))[:, 1:-1])


def test_bilinear_of_a_longer_kernel():
    """The tent stays in the middle, zeros around it; a given factor is how wide it is."""
    w = initializers.bilinear(2)(KEY, (6, 1, 1))[:, 0, 0]
    np.testing.assert_array_equal(w, [0, 0.25, 0.75, 0.75, 0.25, 0])


def test_bilinear_refuses():
    with pytest.raises(ValueError, match=r"shape\[1\] must be at least .* 8 for a factor of 4"):
        initializers.bilinear((2, 4))(KEY, (4, 7, 1, 1))
    with pytest.raises(ValueError, match="got 3 and 4"):
        initializers.bilinear()(KEY, (4, 3, 4))


@pytest.mark.parametrize("factor", [2, (2, 3)])
def test_icnr_starts_as_nearest_neighbour(factor):
    """Every pixel of a block comes out equal: the small kernel's result, repeated."""
    pixels = 4 if factor == 2 else 6
    x = jnp.asarray(np.random.default_rng(0).normal(size=(1, 3, 2, 4)), jnp.float32)
    w = initializers.icnr(factor)(KEY, (3, 3, 4, 2 * pixels))
    y = pixel_shuffle(jtconv.conv(x, w, padding="SAME", method="dilated"), factor)
    small = initializers.he_normal()(KEY, (3, 3, 4, 2))
    z = jtconv.conv(x, small, padding="SAME", method="dilated")
    rows, columns = (factor, factor) if factor == 2 else factor
    assert_close(y, np.repeat(np.repeat(np.asarray(z), rows, 1), columns, 2))


def test_icnr_refuses():
    with pytest.raises(ValueError, match="multiple of 4 channels"):
        initializers.icnr(2)(KEY, (3, 3, 4, 6))


LAYERS = [  # kernel, stride, channels in, out, groups
    ((4, 4), (2, 2), 256, 96, 1),
    ((5, 3), (2, 3), 96, 320, 1),
    ((16,), (8,), 512, 64, 1),
    ((6,), (2,), 512, 768, 4),
]


@pytest.mark.parametrize("transpose_kernel", [False, True])
@pytest.mark.parametrize(("kernel", "stride", "c_in", "c_out", "groups"), LAYERS)
def test_variance_is_kept(kernel, stride, c_in, c_out, groups, transpose_kernel):
    """Of the result with fan_in, of the gradient with fan_out: normal in, variance 1 out."""
    for mode in ("fan_in", "fan_out"):
        init = initializers.variance_scaling(
            1.0, mode, "normal", stride=stride, groups=groups, transpose_kernel=transpose_kernel
        )
        shape = (c_out // groups, c_in) if transpose_kernel else (c_in // groups, c_out)
        # Valid taps, on average over output cells (forward) or always (back).
        taps = math.prod(kernel) / (math.prod(stride) if mode == "fan_in" else 1)
        channels = (c_in if mode == "fan_in" else c_out) // groups
        w = np.asarray(init(KEY, (*kernel, *shape)))
        assert abs(w.var() * taps * channels - 1) < 5 * math.sqrt(2 / w.size)
        assert abs(w.mean()) < 5 * w.std() / math.sqrt(w.size)


def test_variance_of_a_whole_layer():
    x = jax.random.normal(jax.random.key(1), (64, 24, 128), jnp.float32)
    w = initializers.variance_scaling(1.0, "fan_in", "normal", stride=3)(KEY, (5, 128, 64))
    y, pull = jax.vjp(lambda x: jtconv.conv_transpose(x, w, stride=3, method="gemm"), x)
    assert abs(float(y[:, 6:-6].var()) - 1) < 0.05
    w = initializers.variance_scaling(1.0, "fan_out", "normal", stride=3)(KEY, (5, 128, 64))
    _, pull = jax.vjp(lambda x: jtconv.conv_transpose(x, w, stride=3, method="gemm"), x)
    assert abs(float(pull(jax.random.normal(KEY, y.shape, y.dtype))[0].var()) - 1) < 0.05


@pytest.mark.parametrize(
    ("name", "variance"),
    [
        ("lecun_normal", 1 / (64 * 2)),
        ("lecun_uniform", 1 / (64 * 2)),
        ("he_normal", 2 / (64 * 2)),
        ("he_uniform", 2 / (64 * 2)),
        ("glorot_normal", 2 / (64 * 2 + 256 * 4)),
        ("glorot_uniform", 2 / (64 * 2 + 256 * 4)),
    ],
)
def test_the_usual_names(name, variance):
    """Four taps at stride 2: two reach a cell from each of 64 channels; one reaches 4 x 256."""
    w = np.asarray(getattr(initializers, name)(stride=2)(KEY, (4, 64, 256)))
    assert abs(w.var() / variance - 1) < 5 * math.sqrt(2 / w.size)
    bound = math.sqrt(3 * variance) if name.endswith("uniform") else 2 * math.sqrt(variance) / 0.87
    assert np.abs(w).max() <= bound


def test_variance_scaling_without_stride_is_that_of_jax():
    for mode in ("fan_in", "fan_out", "fan_avg"):
        want = jax.nn.initializers.variance_scaling(1.5, mode, "uniform")(
            KEY, (3, 8, 6), jnp.float32
        )
        got = initializers.variance_scaling(1.5, mode, "uniform")(KEY, (3, 8, 6), jnp.float32)
        assert_close(got, want)


def test_variance_scaling_refuses():
    with pytest.raises(ValueError, match="mode must be one of fan_in, fan_out, fan_avg"):
        initializers.variance_scaling(1.0, "fan_im", "normal")  # type: ignore[arg-type]
