"""What lies beyond the ends of an array that is convolved: a period, a mirror, or its last cell.

A convolution reads ``pads`` more cells than there are, as many as "SAME" puts zeros there. Its
adjoint writes them, and each is added where the convolution would have read it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp

from jtconv.problem.padding import BORDERS, Crops


def pad(y: jax.Array, border: str, pads: Sequence[Crops]) -> jax.Array:
    """``(batch, *spatial, C)`` with cells around its spatial axes, as ``numpy.pad`` makes them.

    >>> print(pad(jnp.arange(1, 5)[None, :, None], "REFLECT", [(2, 1)])[0, :, 0])
    [3 2 1 2 3 4 3]
    """
    return jnp.pad(y, [(0, 0), *pads, (0, 0)], mode=BORDERS[border])


def fold(y: jax.Array, border: str, pads: Sequence[Crops]) -> jax.Array:
    """The adjoint of :func:`pad`: every cell around is added to the one that it was made of.

    >>> print(fold(jnp.arange(1, 8)[None, :, None], "REFLECT", [(2, 1)])[0, :, 0])
    [ 3  6 13  6]
    """
    space = (n - lo - hi for n, (lo, hi) in zip(y.shape[1:-1], pads, strict=True))
    inside = jax.ShapeDtypeStruct((y.shape[0], *space, y.shape[-1]), y.dtype)
    folded: jax.Array = jax.linear_transpose(partial(pad, border=border, pads=pads), inside)(y)[0]
    return folded
