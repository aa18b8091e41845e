"""Every public function and layer with arrays it takes: what the modes of JAX are tried on.

Each is a function of floating arrays alone, with their shapes: traced, and differentiated.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen, nnx

import jtconv
import jtconv.linen
import jtconv.nnx
import jtconv.streaming
from jtconv import initializers, interop, models, unpool, upsampling

X, W, B = (2, 5, 4, 2), (3, 2, 2, 4), (4,)
BACK = ("NHWC", "HWOI", "NHWC")
STRIDED: dict[str, Any] = {"stride": 2, "padding": 1}
POOLED: dict[str, Any] = {"window": (3, 2), "stride": (2, 1), "padding": 1}


def operands(*shapes: tuple[int, ...], dtype: Any = np.float32) -> list[jax.Array]:
    """Numbers that differ, of few digits."""
    columns = (np.cos(np.arange(int(np.prod(shape))) + len(shape)) for shape in shapes)
    return [
        jnp.asarray(numbers.reshape(shape).round(3), dtype)
        for numbers, shape in zip(columns, shapes, strict=True)
    ]


def unpooled(x: jax.Array) -> jax.Array:
    """Pooled with windows that overlap, and back."""
    return jtconv.max_unpool(*jtconv.max_pool_with_indices(x, **POOLED), output_size=x.shape[1:3])


def nnx_layer(layer: Any, *args: Any, **kwargs: Any) -> Callable[[jax.Array], jax.Array]:
    """A layer made, and called."""
    return lambda x: layer(*args, rngs=nnx.Rngs(0), **kwargs)(x)


def linen_layer(layer: Any) -> Callable[[jax.Array], jax.Array]:
    return lambda x: layer.init_with_output(jax.random.key(0), x)[0]


def accelerated(x: jax.Array) -> jax.Array:
    """Flax's layers computed by ours."""
    with jtconv.linen.accelerate():
        y = linen_layer(linen.ConvTranspose(4, (3, 2), (2, 1)))(x)
    layer = nnx.ConvTranspose(2, 4, (3, 2), (2, 1), rngs=nnx.Rngs(0))
    return y + jtconv.nnx.accelerate(layer)(x)


def moved(x: jax.Array) -> jax.Array:
    """A layer of Flax's as one of ours, with weights that it was given."""
    layer = linen.ConvTranspose(4, (3, 2), (2, 1))
    params = {"kernel": np.full(W, 0.5, np.float32), "bias": np.ones(B, np.float32)}
    return interop.flax.to_nnx(layer, params)(x)


def streamed(x: jax.Array, w: jax.Array, bias: jax.Array) -> jax.Array:
    """In two pieces and what is left, up and down again."""
    up = jtconv.streaming.conv_transpose(w, bias, stride=2, padding="CAUSAL")
    down = jtconv.streaming.conv(w.swapaxes(-1, -2), stride=2, padding="CAUSAL")
    for stream in (up, down):
        first, state = stream.step(x[:, :2], stream.init(x.shape))
        second, state = stream.step(x[:, 2:], state)
        x = jnp.concatenate([first, second, stream.finish(state)], axis=1)
    return x


def streamed_layer(x: jax.Array) -> jax.Array:
    """In two pieces."""
    layer = jtconv.nnx.ConvTranspose(2, 4, 3, 2, padding="CAUSAL", rngs=nnx.Rngs(0))
    piecewise = jtconv.nnx.stream(layer, x.shape[0])
    return jnp.concatenate([piecewise(x[:, :2]), piecewise(x[:, 2:])], axis=1)


def initial(init: Any) -> Callable[[], jax.Array]:
    return lambda: init(jax.random.key(0), (4, 4, 4, 4))


MASK = np.arange(3 * 2 * 2 * 4).reshape(3, 2, 2, 4) % 3 > 0
OURS = partial(nnx_layer, jtconv.nnx.ConvTranspose)
KERNEL = {"kernel_size": (3, 2), "strides": (2, 1)}

# By name: a function, and the shapes of its operands.
CALLS: dict[str, tuple[Any, ...]] = {
    "conv_transpose": (partial(jtconv.conv_transpose, **STRIDED), X, W),
    "conv_transpose_biased": (partial(jtconv.conv_transpose, **STRIDED), X, W, B),
    "conv": (partial(jtconv.conv, dimension_numbers=BACK, **STRIDED), (2, 9, 6, 4), W),
    "conv_biased": (
        partial(jtconv.conv, dimension_numbers=BACK, **STRIDED),
        *((2, 9, 6, 4), W, (2,)),
    ),
    "flipped": (partial(jtconv.conv_transpose, flip_kernel=True, output_padding=1, stride=3), X, W),
    "unbatched": (partial(jtconv.conv_transpose, output_size=(11, 9), stride=2), X[1:], W),
    "streaming": (streamed, (2, 6, 2), (3, 2, 4), B),
    "nnx_streamed": (streamed_layer, (2, 6, 2)),
    "conv_matrix": (lambda w: jtconv.conv_matrix(w, (5, 4, 2), **STRIDED), W),
    "conv_matrix_sparse": (
        lambda w: jtconv.conv_matrix(w, (5, 4, 2), sparse=True, **STRIDED).data,
        W,
    ),
    "max_pool": (lambda x: jtconv.max_pool_with_indices(x, **POOLED)[0], X),
    "max_pool_dilated": (lambda x: jtconv.max_pool_with_indices(x, 2, stride=1, dilation=2)[0], X),
    "max_unpool": (unpooled, X),
    "average_unpool": (partial(unpool.average_unpool, window=(3, 2), stride=2, padding=1), X),
    "nearest_unpool": (partial(unpool.nearest_unpool, factor=(2, 3), output_size=(9, 12)), X),
    "resize_nearest": (partial(upsampling.resize, factor=2), X),
    "resize_linear": (partial(upsampling.resize, factor=2, interpolation="linear"), X),
    "resize_cubic": (partial(upsampling.resize, factor=2, interpolation="cubic"), X),
    "resize_lanczos3": (partial(upsampling.resize, factor=2, interpolation="lanczos3"), X),
    "pixel_shuffle": (
        partial(upsampling.pixel_shuffle, factor=2, output_size=(9, 8)),
        (2, 5, 4, 8),
    ),
    "pixel_unshuffle": (
        partial(upsampling.pixel_unshuffle, factor=(1, 2), order="DCR", data_format="NCHW"),
        (2, 3, 5, 4),
    ),
    "nnx": (OURS(2, 4, **KERNEL), X),
    "nnx_masked": (OURS(2, 4, **KERNEL, mask=MASK), X),
    "nnx_circular": (OURS(2, 4, **KERNEL, padding="CIRCULAR"), X),
    "nnx_circular_transposed": (
        OURS(2, 4, **KERNEL, padding="CIRCULAR", transpose_kernel=True),
        X,
    ),
    "nnx_groups": (OURS(2, 4, **KERNEL, feature_group_count=2, output_padding=(1, 0)), X),
    "nnx_half": (OURS(2, 4, **KERNEL, dtype=jnp.bfloat16), X),
    "nnx_many_batches": (OURS(2, 4, (2,), padding="CAUSAL"), X),
    "resize_conv": (nnx_layer(jtconv.nnx.ResizeConv, 2, 4, (3, 2), 2), X),
    "sub_pixel_conv": (
        nnx_layer(jtconv.nnx.SubPixelConv, 2, 4, (3, 2), 2, kernel_init=initializers.icnr(2)),
        X,
    ),
    "linen": (linen_layer(jtconv.linen.ConvTranspose(4, (3, 2), (2, 1))), X),
    "linen_circular": (
        linen_layer(jtconv.linen.ConvTranspose(4, (3, 2), (2, 1), padding="CIRCULAR")),
        X,
    ),
    "accelerate": (accelerated, X),
    "interop_flax": (moved, X),
    "interop_lax": (partial(interop.lax.conv_transpose, strides=(2, 1), padding="SAME"), X, W),
    "interop_torch_1d": (interop.torch.conv_transpose1d, (2, 2, 5), (2, 4, 3), B),
    "interop_torch_2d": (
        partial(interop.torch.conv_transpose2d, stride=2, groups=2),
        *((2, 2, 5, 4), (2, 2, 3, 2), B),
    ),
    "interop_torch_3d": (interop.torch.conv_transpose3d, (1, 2, 3, 2, 2), (2, 4, 2, 1, 2), B),
    "interop_keras": (
        partial(interop.keras.conv_transpose, strides=2, padding="same"),
        X,
        (3, 2, 4, 2),
    ),
    "interop_onnx": (
        partial(interop.onnx.conv_transpose, strides=[2, 1], auto_pad="SAME_UPPER"),
        *((2, 2, 5, 4), (2, 4, 3, 2), B),
    ),
    "interop_onnx_depth_to_space": (
        partial(interop.onnx.depth_to_space, blocksize=2),
        (2, 8, 3, 2),
    ),
    "interop_onnx_space_to_depth": (
        partial(interop.onnx.space_to_depth, blocksize=2),
        (2, 2, 4, 6),
    ),
    "bilinear": (initial(initializers.bilinear()),),
    "bilinear_factor": (initial(initializers.bilinear(2)),),
    "icnr": (initial(initializers.icnr(2)),),
    "variance_scaling": (
        initial(initializers.variance_scaling(1.0, "fan_avg", "uniform", stride=2, groups=2)),
    ),
    "he_normal": (initial(initializers.he_normal(stride=2)),),
    "lecun_uniform": (initial(initializers.lecun_uniform(stride=2)),),
    "glorot_normal": (initial(initializers.glorot_normal(transpose_kernel=True)),),
    "unet": (nnx_layer(models.UNet, 2, 3, (3, 4), rank=2), X),
    "fcn": (
        nnx_layer(models.FCN, 2, 3, (4, 5, 6), (1, 1, 1), hidden=6, window=3, skips=2),
        (1, 9, 8, 2),
    ),
    "deconvnet": (
        nnx_layer(models.DeconvNet, 2, 3, (4, 5), (1, 2), hidden=6, window=2),
        (1, 9, 8, 2),
    ),
    "generator": (nnx_layer(models.Generator, 5, (8, 6), size=(8, 8), channels=3), (2, 5)),
    "discriminator": (
        nnx_layer(models.Discriminator, (6, 8), size=(8, 8), channels=2),
        (2, 8, 8, 2),
    ),
    "hifigan": (nnx_layer(models.HiFiGAN, 6, 16, (4, 3), (8, 7), (3, 5), ((3,), (2,))), (2, 5, 6)),
    "codec": (nnx_layer(models.Codec, 4, (2, 3), latent=5), (2, 12, 1)),
    "esp": (nnx_layer(models.ESP, 6, 6, branches=3), (2, 5, 4, 6)),
    "igc": (nnx_layer(models.IGC, 2, 3), (2, 5, 4, 6)),
    "project": (
        lambda x: models.project(models.VGG(2, (3, 4), (1, 1), rngs=nnx.Rngs(0)), x, 1, 2),
        (1, 8, 8, 2),
    ),
}
