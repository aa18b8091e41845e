"""The ESP block: one view reduced, then a pyramid of dilations over it."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import nnx

from jtconv.models.convolution import Conv


class ESP(nnx.Module):
    """Efficient spatial pyramid: reduce, split, transform, merge; figure 1 of the paper.

    A 1 x 1 convolution reduces to ``features / branches``; each branch looks at that with the
    dilation 1, 2, 4, ...; the branches are summed up one by one, which takes the gridding out
    of the large dilations, laid side by side, and added to the input where the widths agree.

    Shapes: ``(batch, *size, in_features)`` to ``(batch, *size, features)``.
    Source: Mehta et al., "ESPNet: efficient spatial pyramid of dilated convolutions for
    semantic segmentation" (arXiv:1803.06815).

    >>> block = ESP(12, 12, branches=3, rngs=nnx.Rngs(0))
    >>> block(jax.numpy.ones((1, 9, 14, 12))).shape
    (1, 9, 14, 12)
    """

    def __init__(
        self, in_features: int, features: int, *, branches: int = 4, rank: int = 2, rngs: nnx.Rngs
    ) -> None:
        if features % branches:
            raise ValueError(
                f"features must be a multiple of branches, {branches}, got {features}."
            )
        width = features // branches
        self.reduce = Conv(in_features, width, (1,) * rank, use_bias=False, rngs=rngs)
        self.branches = nnx.List(
            Conv(width, width, (3,) * rank, kernel_dilation=2**number, use_bias=False, rngs=rngs)
            for number in range(branches)
        )

    def __call__(self, x: jax.Array) -> jax.Array:
        """The pyramid of ``x``, with ``x`` itself added where it fits."""
        reduced = self.reduce(x)
        sums: list[jax.Array] = []
        for branch in self.branches:
            seen = branch(reduced)
            sums.append(seen + sums[-1] if sums else seen)
        y = jnp.concatenate(sums, -1)
        return x + y if x.shape == y.shape else y
