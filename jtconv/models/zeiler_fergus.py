"""Looking into a net: project what a feature saw back to pixels."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import nnx

from jtconv.api import conv_transpose
from jtconv.models.stage import Stage, frozen
from jtconv.models.vgg import VGG
from jtconv.unpool import max_unpool


def project(encoder: VGG, x: jax.Array, stage: int, channel: int) -> jax.Array:
    """The pattern in ``x`` that excites one feature most, in pixels.

    The strongest activation of the feature is kept, all others are set to zero, and then the
    way back is gone stage by stage: unpool with the switches of this very picture, rectify,
    filter with the transposed kernels.

    Args:
        encoder: a trained :class:`~jtconv.models.VGG`; its running averages are used.
        x: pictures ``(batch, *size, in_features)``.
        stage: number of the stage the feature belongs to, from 0.
        channel: number of the feature in that stage, from 0.

    Returns:
        ``(batch, *size, in_features)``: zero where nothing contributed.

    Raises:
        ValueError: for a stage or channel that the encoder does not have.

    Source: Zeiler and Fergus, "Visualizing and understanding convolutional networks"
    (arXiv:1311.2901), section 2.1.

    >>> encoder = VGG(3, (4, 8), (1, 2), rngs=nnx.Rngs(0))
    >>> project(encoder, jnp.ones((1, 9, 6, 3)), stage=1, channel=5).shape
    (1, 9, 6, 3)
    """
    _check("stage", stage, len(encoder.stages))
    still = frozen(encoder)
    pooled = still(x)[: stage + 1]
    _check("channel", channel, pooled[-1].values.shape[-1])
    y = _strongest(pooled[-1].values, channel)
    for layers, (_, switches, size) in zip(still.stages[stage::-1], pooled[::-1], strict=True):
        y = _back(layers, max_unpool(y, switches, output_size=size))
    return y


def _check(name: str, number: int, count: int) -> None:
    if not 0 <= number < count:
        raise ValueError(f"{name} must be in 0 .. {count - 1}, got {number}.")


def _strongest(values: jax.Array, channel: int) -> jax.Array:
    """``values``, but zero except where ``channel`` is largest in each picture."""
    flat = values[..., channel].reshape(len(values), -1)
    only = jnp.where(jax.nn.one_hot(flat.argmax(1), flat.shape[1], dtype=bool), flat, 0)
    return jnp.zeros_like(values).at[..., channel].set(only.reshape(values.shape[:-1]))


def _back(stage: Stage, y: jax.Array) -> jax.Array:
    """Through one stage backwards: rectify, and the transpose of each linear layer."""
    for number in reversed(range(len(stage.convs))):
        y = nnx.relu(y)
        if stage.norms:
            norm = stage.norms[number]
            y = y * (norm.scale[...] / jnp.sqrt(norm.var[...] + norm.epsilon))
        kernel = stage.convs[number].kernel[...]
        layout = ("NHWC", "HWOI", "NHWC")  # the array of the convolution, seen from its output
        y = conv_transpose(y, kernel, padding="SAME", dimension_numbers=layout)
    return y
