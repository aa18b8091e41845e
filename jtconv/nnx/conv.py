"""flax.nnx.Conv whose convolution jtconv computes where that is faster."""

from __future__ import annotations

from typing import Any

import jax
from flax import nnx

from jtconv.rewrite.function import accelerating


class Conv(nnx.Conv):
    """``flax.nnx.Conv`` and nothing but: what it computes is Flax's, by :func:`jtconv.accelerate`.

    Mask, names of padding, input dilation, batch axes and every other argument are those of Flax.

    >>> import jax.numpy as jnp
    >>> from flax import nnx
    >>> layer = Conv(8, 8, (3, 3), feature_group_count=8, rngs=nnx.Rngs(0))
    >>> layer(jnp.ones((1, 5, 5, 8))).shape
    (1, 5, 5, 8)
    """

    def __call__(self, inputs: jax.Array, *args: Any, **kwargs: Any) -> jax.Array:
        """The convolution of ``inputs``, ``(*batch, *spatial, in_features)``."""
        with accelerating():
            return super().__call__(inputs, *args, **kwargs)
