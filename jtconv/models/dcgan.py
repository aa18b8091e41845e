"""DCGAN: noise to pictures by transposed convolutions, and a judge by strided ones."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import jax
from flax import nnx

from jtconv.models.blocks import Conv
from jtconv.nnx import ConvTranspose

_init = nnx.initializers.normal(0.02)  # section 4 of the paper


def _halvings(size: Sequence[int], times: int) -> list[tuple[int, ...]]:
    """``size`` and its halves, rounded up, the smallest first."""
    sizes = [tuple(size)]
    for _ in range(times):
        sizes.insert(0, tuple(-(-n // 2) for n in sizes[0]))
    return sizes


class Generator(nnx.Module):
    """Project and reshape, then double the size again and again; figure 1 of the paper.

    Shapes: noise ``(batch, latent)`` to pictures ``(batch, *size, channels)`` in -1 .. 1. Any
    size works: of the two sizes that a convolution of stride 2 halves alike, each layer gives
    the wanted one. The figure's 5 x 5 kernels overlap unevenly at stride 2;
    ``kernel_size=4`` does not.
    Source: Radford, Metz and Chintala, "Unsupervised representation learning with deep
    convolutional generative adversarial networks" (arXiv:1511.06434).

    >>> generator = Generator(10, (16, 8), size=(13, 16), channels=1, rngs=nnx.Rngs(0))
    >>> generator(jax.numpy.ones((2, 10))).shape
    (2, 13, 16, 1)
    """

    def __init__(
        self,
        latent: int = 100,
        features: Sequence[int] = (1024, 512, 256, 128),
        *,
        size: Sequence[int] = (64, 64),
        channels: int = 3,
        kernel_size: int = 5,
        rngs: nnx.Rngs,
    ) -> None:
        self.sizes = tuple(_halvings(size, len(features)))
        self.first = (*self.sizes[0], features[0])
        cells = math.prod(self.first)
        self.project = nnx.Linear(latent, cells, kernel_init=_init, use_bias=False, rngs=rngs)
        self.norms = nnx.List(nnx.BatchNorm(f, momentum=0.9, rngs=rngs) for f in features)
        window = (kernel_size,) * len(size)
        self.ups = nnx.List(
            ConvTranspose(before, after, window, 2, padding="SAME", kernel_init=_init, rngs=rngs)
            for before, after in pairwise((*features, channels))
        )

    def __call__(self, z: jax.Array) -> jax.Array:
        """Pictures of noise."""
        x = self.project(z).reshape(-1, *self.first)
        for norm, up, size in zip(self.norms, self.ups, self.sizes[1:], strict=True):
            x = up(nnx.relu(norm(x)), output_size=size)
        return nnx.tanh(x)


class Discriminator(nnx.Module):
    """Halve the size again and again, then one number: how real a picture looks, as a logit.

    Shapes: ``(batch, *size, channels)`` to ``(batch,)``.
    Source: as :class:`Generator`; leaky ReLU of slope 0.2, and no normalisation of the first
    layer.

    >>> discriminator = Discriminator((8, 16), size=(13, 16), channels=1, rngs=nnx.Rngs(0))
    >>> discriminator(jax.numpy.ones((2, 13, 16, 1))).shape
    (2,)
    """

    def __init__(
        self,
        features: Sequence[int] = (128, 256, 512, 1024),
        *,
        size: Sequence[int] = (64, 64),
        channels: int = 3,
        kernel_size: int = 5,
        rngs: nnx.Rngs,
    ) -> None:
        self.convs = nnx.List(
            Conv(before, after, (kernel_size,) * len(size), 2, kernel_init=_init, rngs=rngs)
            for before, after in pairwise((channels, *features))
        )
        self.norms = nnx.List(nnx.BatchNorm(f, momentum=0.9, rngs=rngs) for f in features[1:])
        cells = features[-1] * math.prod(_halvings(size, len(features))[0])
        self.judge = nnx.Linear(cells, 1, kernel_init=_init, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        """Logits: above 0 where a picture is taken for real."""
        for number, conv in enumerate(self.convs):
            x = conv(x)
            if number:
                x = self.norms[number - 1](x)
            x = nnx.leaky_relu(x, 0.2)
        return self.judge(x.reshape(len(x), -1))[:, 0]
