"""U-Net: down, up, and at every level the fine features from below joined to the coarse ones."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import jax
import jax.numpy as jnp
from flax import nnx

from jtconv.models.blocks import ConvBlock
from jtconv.nnx import ConvTranspose


class UNet(nnx.Module):
    """Class scores for every cell of a line, picture or volume; figure 1 of the paper.

    Shapes: ``(batch, *size, in_features)`` to ``(batch, *size, classes)``. Any size works: each
    level is upsampled to the size that its skip connection has, odd or even. (The paper crops,
    because its convolutions lose a border; here they keep the size.)
    Source: Ronneberger, Fischer and Brox, "U-Net: convolutional networks for biomedical image
    segmentation" (arXiv:1505.04597); for ``rank=3`` Çiçek et al., "3D U-Net" (arXiv:1606.06650).

    >>> unet = UNet(3, 5, (4, 8, 16), rngs=nnx.Rngs(0))
    >>> unet(jax.numpy.ones((1, 13, 22, 3))).shape
    (1, 13, 22, 5)
    """

    def __init__(
        self,
        in_features: int,
        classes: int,
        features: Sequence[int] = (64, 128, 256, 512, 1024),
        *,
        rank: int = 2,
        norm: bool = True,
        rngs: nnx.Rngs,
    ) -> None:
        self.down = nnx.List(
            ConvBlock(before, after, rank=rank, norm=norm, rngs=rngs)
            for before, after in pairwise((in_features, *features))
        )
        levels = list(zip(features[::-1], features[-2::-1], strict=False))
        self.enlarge = nnx.List(
            ConvTranspose(coarse, fine, (2,) * rank, 2, padding="SAME", rngs=rngs)
            for coarse, fine in levels
        )
        self.up = nnx.List(
            ConvBlock(2 * fine, fine, rank=rank, norm=norm, rngs=rngs) for _, fine in levels
        )
        self.score = nnx.Conv(features[0], classes, (1,) * rank, rngs=rngs)
        self.window = (2,) * rank

    def __call__(self, x: jax.Array) -> jax.Array:
        """Scores (logits), one a class, for every cell."""
        skips = []
        for block in self.down[:-1]:
            skips.append(block(x))
            x = nnx.max_pool(skips[-1], self.window, self.window, "SAME")
        x = self.down[-1](x)
        for upsample, block, skip in zip(self.enlarge, self.up, skips[::-1], strict=True):
            x = upsample(x, output_size=skip.shape[1:-1])
            x = block(jnp.concatenate([skip, x], -1))
        return self.score(x)
