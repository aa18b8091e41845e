"""The encoder of FCN and of the mirrored net: stages and poolings that remember their switches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import jax
from flax import nnx

from jtconv.models.stage import Stage
from jtconv.unpool import max_pool_with_indices


class Pooled(NamedTuple):
    """A stage's output after pooling, with what unpooling needs to put it back."""

    values: jax.Array
    switches: jax.Array
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
        widths = (in_features, *features)
        self.stages = nnx.List(
            Stage(before, after, depth, norm=norm, rngs=rngs)
            for before, after, depth in zip(widths, features, depths, strict=False)
        )

    def __call__(self, x: jax.Array) -> list[Pooled]:
        """Every stage after its pooling, the finest first."""
        found = []
        for stage in self.stages:
            x = stage(x)
            size = x.shape[1:-1]
            x, switches = max_pool_with_indices(x, (2,) * len(size), padding="SAME")
            found.append(Pooled(x, switches, size))
        return found
