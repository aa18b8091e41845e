"""DeconvNet: an encoder, and the same backwards with the indices of its poolings."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import jax
from flax import nnx

from jtconv.models.vgg import VGG, Pooled
from jtconv.nnx import ConvTranspose
from jtconv.unpool import max_unpool


class DeconvBlock(nnx.Module):
    """One stage backwards: unpool, then transposed convolutions, normalised and rectified.

    Shapes: as the encoder's stage had them, output and input exchanged. The last layer leads
    to the features of the stage before.
    """

    def __init__(self, in_features: int, features: int, depth: int, *, rngs: nnx.Rngs) -> None:
        init = nnx.initializers.he_normal()
        channels = [in_features] * depth + [features]
        self.layers = nnx.List(
            ConvTranspose(
                before, after, (3, 3), padding="SAME", use_bias=False, kernel_init=init, rngs=rngs
            )
            for before, after in pairwise(channels)
        )
        self.norms = nnx.List(
            nnx.BatchNorm(after, momentum=0.9, rngs=rngs) for after in channels[1:]
        )

    def __call__(self, x: jax.Array, pooled: Pooled) -> jax.Array:
        """The stage's input size again; where the maxima were, the values are put."""
        x = max_unpool(x, pooled.indices, output_size=pooled.size)
        for layer, norm in zip(self.layers, self.norms, strict=True):
            x = nnx.relu(norm(layer(x)))
        return x


class DeconvNet(nnx.Module):
    """Class scores for every pixel, by an encoder and its reverse; figure 2 of the paper.

    Shapes: ``(batch, *size, in_features)`` to ``(batch, *size, classes)``, for any size whose
    deepest map, ``ceil(size / 2**stages)``, holds the bottleneck's window.
    Source: Noh, Hong and Han, "Learning deconvolution network for semantic segmentation"
    (arXiv:1505.04366).

    >>> net = DeconvNet(3, 5, (4, 8), (1, 2), hidden=16, window=3, rngs=nnx.Rngs(0))
    >>> net(jax.numpy.ones((1, 13, 16, 3))).shape
    (1, 13, 16, 5)
    """

    def __init__(
        self,
        in_features: int,
        classes: int,
        features: Sequence[int] = (64, 128, 256, 512, 512),
        depths: Sequence[int] = (2, 2, 3, 3, 3),
        *,
        hidden: int = 4096,
        window: int = 7,
        rngs: nnx.Rngs,
    ) -> None:
        self.encoder = VGG(in_features, features, depths, rngs=rngs)
        whole = (window, window)
        self.squeeze = nnx.Conv(features[-1], hidden, whole, padding="VALID", rngs=rngs)
        self.hidden = nnx.Conv(hidden, hidden, (1, 1), rngs=rngs)
        self.spread = ConvTranspose(hidden, features[-1], whole, padding="VALID", rngs=rngs)
        self.norms = nnx.List(
            nnx.BatchNorm(count, momentum=0.9, rngs=rngs)
            for count in (hidden, hidden, features[-1])
        )
        pairs = zip(pairwise((features[0], *features)), depths, strict=True)
        self.decoder = nnx.List(
            DeconvBlock(after, before, depth, rngs=rngs) for (before, after), depth in pairs
        )
        self.score = nnx.Conv(features[0], classes, (1, 1), rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        """Scores (logits), one a class, for every pixel."""
        stages = self.encoder(x)
        x = stages[-1].values
        bottleneck = (self.squeeze, self.hidden, self.spread)
        for layer, norm in zip(bottleneck, self.norms, strict=True):
            x = nnx.relu(norm(layer(x)))
        for block, pooled in zip(reversed(self.decoder), reversed(stages), strict=True):
            x = block(x, pooled)
        return self.score(x)
