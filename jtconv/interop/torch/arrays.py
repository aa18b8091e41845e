"""Where torch's axes are in an array whose channels, torch's axis 1, are last."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp


def axis_of(dim: int, ndim: int) -> int:
    """The axis of a channels-last array that is torch's axis ``dim``.

    >>> [axis_of(dim, 4) for dim in (0, 1, 2, 3, -1)]
    [0, 3, 1, 2, 2]
    """
    if not -ndim <= dim < ndim:
        raise ValueError(f"dim must be one of {-ndim} to {ndim - 1} for {ndim} axes, got {dim}.")
    dim %= ndim
    return dim if dim == 0 else ndim - 1 if dim == 1 else dim - 1


def channels_first(x: Any) -> jax.Array:
    """As torch has it."""
    return jnp.moveaxis(x, -1, 1) if jnp.ndim(x) > 2 else jnp.asarray(x)


def channels_last(x: Any) -> jax.Array:
    """As layers here have it."""
    return jnp.moveaxis(x, 1, -1) if jnp.ndim(x) > 2 else jnp.asarray(x)


def space(x: Any, rank: int) -> range:
    """The spatial axes of ``(*batch, *spatial, C)``, of which there must be ``rank``."""
    if jnp.ndim(x) not in (rank + 1, rank + 2):
        raise ValueError(
            f"inputs must have {rank} spatial axes, the channels after them, and a batch in "
            f"front or none, got {jnp.shape(x)}."
        )
    return range(jnp.ndim(x) - 1 - rank, jnp.ndim(x) - 1)


def each(value: Any, rank: int) -> tuple[Any, ...]:
    """One value for every axis, as torch's modules keep them: one, or a tuple of them."""
    if not isinstance(value, tuple | list):
        return (value,) * rank
    return tuple(value) * rank if len(value) == 1 else tuple(value)


def sums_in(dtype: Any) -> Any:
    """What torch adds in: halves are added in float32."""
    return jnp.float32 if jnp.dtype(dtype).itemsize == 2 else dtype
