"""What lies beyond the ends of an array that is convolved: a period, a mirror, or its last cell.

A convolution reads ``pads`` more cells than there are, as many as "SAME" puts zeros there. Its
adjoint writes them, and each is added where the convolution would have read it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from functools import partial

import jax
import jax.numpy as jnp

from jtconv.problem.padding import BORDERS, Crops
from jtconv.problem.symbolic import is_symbolic


def pad(y: jax.Array, border: str, pads: Sequence[Crops]) -> jax.Array:
    """``(batch, *spatial, C)`` with cells around its spatial axes, as ``numpy.pad`` makes them.

    >>> print(pad(jnp.arange(1, 5)[None, :, None], "REFLECT", [(2, 1)])[0, :, 0])
    [3 2 1 2 3 4 3]
    """
    if not any(is_symbolic(size) for size in (*y.shape[1:-1], *itertools.chain(*pads))):
        return jnp.pad(y, [(0, 0), *pads, (0, 0)], mode=BORDERS[border])
    for axis, (before, after) in enumerate(pads, 1):
        size = y.shape[axis]
        place = jnp.arange(size + before + after) - before
        y = jnp.take(y, _CELLS[border](place, jnp.asarray(size, place.dtype)), axis, mode="clip")
    return y


def _mirrored(i: jax.Array, size: jax.Array) -> jax.Array:
    """There and back without the ends twice; of one cell there is only that."""
    period = jnp.maximum(2 * size - 2, 1)
    return jnp.minimum(i % period, -i % period)


# Which of ``size`` cells stands at place i, where JAX would pad with numbers of cells only.
_CELLS: dict[str, Callable[[jax.Array, jax.Array], jax.Array]] = {
    "CIRCULAR": lambda i, size: i % size,
    "REFLECT": _mirrored,
    "EDGE": lambda i, size: jnp.clip(i, 0, size - 1),
}


def fold(y: jax.Array, border: str, pads: Sequence[Crops]) -> jax.Array:
    """The adjoint of :func:`pad`: every cell around is added to the one that it was made of.

    >>> print(fold(jnp.arange(1, 8)[None, :, None], "REFLECT", [(2, 1)])[0, :, 0])
    [ 3  6 13  6]
    """
    space = (n - lo - hi for n, (lo, hi) in zip(y.shape[1:-1], pads, strict=True))
    inside = jax.ShapeDtypeStruct((y.shape[0], *space, y.shape[-1]), y.dtype)
    folded: jax.Array = jax.linear_transpose(partial(pad, border=border, pads=pads), inside)(y)[0]
    return folded
