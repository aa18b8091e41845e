"""VGG's convolutions, the encoder of FCN and DeconvNet, and what they see, projected to pixels."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from jtconv.api import conv_transpose
from jtconv.models.blocks import ConvBlock, frozen
from jtconv.unpool import max_pool_with_indices, max_unpool


class Pooled(NamedTuple):
    """A stage's output after pooling, with what unpooling needs to put it back."""

    values: jax.Array
    indices: jax.Array
    size: tuple[int, ...]


class VGG(nnx.Module):
    """The convolutions of VGG: every stage halves the picture, an odd size rounded up.

    Shapes: ``(batch, *size, in_features)`` to one :class:`Pooled` a stage, the values of the
    n-th being ``(batch, *ceil(size / 2**n), features[n - 1])``.
    Source: Simonyan and Zisserman, "Very deep convolutional networks for large-scale image
    recognition" (arXiv:1409.1556); the default is configuration D, of 16 layers.

    >>> vgg = VGG(3, (4, 8), (1, 2), rngs=nnx.Rngs(0))
    >>> [stage.values.shape for stage in vgg(jax.numpy.ones((1, 9, 6, 3)))]
    [(1, 5, 3, 4), (1, 3, 2, 8)]
    """

    def __init__(
        self,
        in_features: int = 3,
        features: Sequence[int] = (64, 128, 256, 512, 512),
        depths: Sequence[int] = (2, 2, 3, 3, 3),
        *,
        norm: bool = True,
        rngs: nnx.Rngs,
    ) -> None:
        if len(features) != len(depths):
            raise ValueError(
                f"depths must have one entry for each of the {len(features)} features, "
                f"got {len(depths)}."
            )
        pairs = zip(pairwise((in_features, *features)), depths, strict=True)
        self.stages = nnx.List(
            ConvBlock(*pair, depth, norm=norm, rngs=rngs) for pair, depth in pairs
        )

    def __call__(self, x: jax.Array) -> list[Pooled]:
        """Every stage after its pooling, the finest first."""
        found = []
        for stage in self.stages:
            x = stage(x)
            size = x.shape[1:-1]
            x, indices = max_pool_with_indices(x, (2,) * len(size), padding="SAME")
            found.append(Pooled(x, indices, size))
        return found


def project(encoder: VGG, x: jax.Array, stage: int, channel: int) -> jax.Array:
    """The pattern in ``x`` that excites one feature most, in pixels.

    The strongest activation of the feature is kept, all others are set to zero, and the rest is
    the encoder backwards, stage by stage: unpool with the indices of this very picture, rectify,
    filter with the transposed kernels.

    Args:
        encoder: a trained :class:`VGG`; its running averages are used.
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
    for block, (_, indices, size) in zip(still.stages[stage::-1], pooled[::-1], strict=True):
        y = _transposed(block, max_unpool(y, indices, output_size=size))
    return y


def _check(name: str, number: int, count: int) -> None:
    if not 0 <= number < count:
        raise ValueError(f"{name} must be in 0 .. {count - 1}, got {number}.")


def _strongest(values: jax.Array, channel: int) -> jax.Array:
    """``values``, but zero except where ``channel`` is largest in each picture."""
    flat = values[..., channel].reshape(len(values), -1)
    only = jnp.where(jax.nn.one_hot(flat.argmax(1), flat.shape[1], dtype=bool), flat, 0)
    return jnp.zeros_like(values).at[..., channel].set(only.reshape(values.shape[:-1]))


def _transposed(block: ConvBlock, y: jax.Array) -> jax.Array:
    """Through one stage backwards: rectify, and the transpose of each linear layer."""
    for number in reversed(range(len(block.convs))):
        y = nnx.relu(y)
        if block.norms:
            norm = block.norms[number]
            scale = norm.scale[...] / jnp.sqrt(norm.var[...] + norm.epsilon)
            y = y * jnp.expand_dims(scale, range(y.ndim - 1))
        kernel = block.convs[number].kernel[...]
        layout = ("NHWC", "HWOI", "NHWC")  # the array of the convolution, seen from its output
        y = conv_transpose(y, kernel, padding="SAME", dimension_numbers=layout)
    return y
