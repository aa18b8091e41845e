"""What most encoders and decoders are a stack of: convolution, normalisation, ReLU, again."""

from __future__ import annotations

from itertools import pairwise
from typing import TypeVar

import jax
from flax import nnx

M = TypeVar("M", bound=nnx.Module)


class Stage(nnx.Module):
    """``depth`` convolutions of 3 cells a side, each normalised (if asked) and rectified.

    Shapes: ``(batch, *size, in_features)`` to ``(batch, *size, features)``.
    Source: the stages of VGG (Simonyan and Zisserman, arXiv:1409.1556); batch normalisation
    by Ioffe and Szegedy (arXiv:1502.03167).

    >>> stage = Stage(3, 8, rngs=nnx.Rngs(0))
    >>> stage(jax.numpy.ones((1, 5, 7, 3))).shape
    (1, 5, 7, 8)
    """

    def __init__(
        self,
        in_features: int,
        features: int,
        depth: int = 2,
        *,
        rank: int = 2,
        norm: bool = True,
        rngs: nnx.Rngs,
    ) -> None:
        widths = [in_features] + [features] * depth
        self.convs = nnx.List(
            nnx.Conv(
                before,
                after,
                (3,) * rank,
                use_bias=not norm,
                kernel_init=nnx.initializers.he_normal(),
                rngs=rngs,
            )
            for before, after in pairwise(widths)
        )
        self.norms = nnx.List(
            nnx.BatchNorm(features, momentum=0.9, rngs=rngs) for _ in range(depth if norm else 0)
        )

    def __call__(self, x: jax.Array) -> jax.Array:
        """One stage; the size stays."""
        for number, conv in enumerate(self.convs):
            x = conv(x)
            if self.norms:
                x = self.norms[number](x)
            x = nnx.relu(x)
        return x


def frozen(module: M) -> M:
    """The module as it is used rather than trained: norms take their running averages.

    The arrays are shared, the module given stays as it is.
    """
    copy = nnx.merge(*nnx.split(module))
    copy.eval()
    return copy
