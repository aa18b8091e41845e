"""The interleaved group block: two grouped convolutions that together reach every channel."""

from __future__ import annotations

import jax
from flax import nnx

from jtconv.models.convolution import Conv


class IGC(nnx.Module):
    """Interleaved group convolutions: spatial in groups, permute, 1 x 1 in groups, permute back.

    The primary convolution mixes space inside each of ``primary`` partitions of ``secondary``
    channels; the secondary one mixes, without space, channels of which each comes from another
    partition. Together they equal one dense convolution whose kernel is the product of
    the two; figure 1 of the paper.

    Shapes: ``(batch, *size, primary * secondary)`` stays.
    Source: Zhang, Qi, Xiao and Wang, "Interleaved group convolutions for deep neural networks"
    (arXiv:1707.02725).

    >>> block = IGC(primary=4, secondary=3, rngs=nnx.Rngs(0))
    >>> block(jax.numpy.ones((1, 9, 14, 12))).shape
    (1, 9, 14, 12)
    """

    def __init__(
        self,
        primary: int,
        secondary: int,
        *,
        kernel_size: int = 3,
        rank: int = 2,
        rngs: nnx.Rngs,
    ) -> None:
        features = primary * secondary
        self.groups = (primary, secondary)
        self.primary = Conv(
            *(features, features, (kernel_size,) * rank),
            feature_group_count=primary,
            use_bias=False,
            rngs=rngs,
        )
        self.secondary = Conv(
            *(features, features, (1,) * rank),
            feature_group_count=secondary,
            use_bias=False,
            rngs=rngs,
        )

    def __call__(self, x: jax.Array) -> jax.Array:
        """Every output channel sees every input channel."""
        primary, secondary = self.groups
        x = interleave(self.primary(x), primary)
        return interleave(self.secondary(x), secondary)


def interleave(x: jax.Array, groups: int) -> jax.Array:
    """The first channel of every group, then the second of every group, and so on.

    >>> interleave(jax.numpy.arange(6), 2)
    Array([0, 3, 1, 4, 2, 5], dtype=int32)
    """
    *outer, features = x.shape
    return x.reshape(*outer, groups, features // groups).swapaxes(-1, -2).reshape(x.shape)
