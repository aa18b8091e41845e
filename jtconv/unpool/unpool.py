"""Ways back from pooling: to where the maximum was, to all cells alike, to the nearest."""

from __future__ import annotations

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jtconv import api, arguments, operands
from jtconv.unpool.pool import PerAxis, spatial


def max_unpool(y: ArrayLike, indices: ArrayLike, *, output_size: PerAxis) -> jax.Array:
    """Each value back where :func:`max_pool_with_indices` found it, and zeros elsewhere.

    Args:
        y: ``(*batch, *spatial, C)``.
        indices: where each value goes, as the pooling returned them; shaped as ``y``.
        output_size: spatial size of what was pooled; one int (with one batch axis) or one per
            axis (with any number of them).

    Returns:
        ``(*batch, *output_size, C)``. Windows that overlap may have found the same cell: it
        holds the value of one of them, and each receives the gradient of the cell, as in torch.

    Raises:
        ValueError, TypeError: for a wrong argument. Indices outside the output are an error
            too, but are dropped where they are traced, as in ``jax.jit``, and nobody can see.

    Zeiler, Taylor and Fergus, "Adaptive deconvolutional networks for mid and high level feature
    learning" (ICCV 2011); Noh, Hong and Han (arXiv:1505.04366).

    >>> import jax.numpy as jnp
    >>> y, indices = jnp.array([[4.], [9.]]), jnp.array([[1], [2]])
    >>> print(max_unpool(y, indices, output_size=(5,))[:, 0])
    [0. 4. 9. 0. 0.]
    """
    y, indices = operands.array("y", y), operands.array("indices", indices)
    space = spatial("output_size", output_size, y)
    size = arguments.per_axis("output_size", output_size, len(space), least=1)
    _check_indices(indices, y, size)
    batch, channels = y.shape[: -1 - len(space)], y.shape[-1]
    planes = (a.reshape(*batch, math.prod(space), channels) for a in (y, indices))
    place = jax.vmap(functools.partial(_placed, math.prod(size)), -1, -1)
    for _ in batch:
        place = jax.vmap(place)
    return place(*planes).reshape(*batch, *size, channels)


def _check_indices(indices: jax.Array, y: jax.Array, size: tuple[int, ...]) -> None:
    if indices.shape != y.shape:
        raise ValueError(f"indices must have the shape of y, {y.shape}, got {indices.shape}.")
    if not jnp.issubdtype(indices.dtype, jnp.integer):
        raise TypeError(f"indices must be integers, got {indices.dtype}.")
    if isinstance(indices, jax.core.Tracer) or indices.size == 0:
        return
    least, most = int(indices.min()), int(indices.max())
    if least < 0 or most >= math.prod(size):
        raise ValueError(
            f"indices must lie in 0 to {math.prod(size) - 1} for output_size {size}, got "
            f"{least} to {most}. output_size must be that of the array that was pooled."
        )


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def _placed(cells: int, values: jax.Array, where: jax.Array) -> jax.Array:
    """The values of one plane at their cells."""
    empty = jnp.zeros(cells, values.dtype)
    return empty.at[where].set(values, mode="drop", wrap_negative_indices=False)


@_placed.defjvp
def _(cells: int, primals: Any, tangents: Any) -> Any:
    # Sums, whose transpose is a look-up: a cell's gradient goes to all that were sent to it.
    zeros = jnp.zeros(cells, tangents[0].dtype)
    moved = zeros.at[primals[1]].add(tangents[0], mode="drop", wrap_negative_indices=False)
    return _placed(cells, *primals), moved


def average_unpool(
    y: ArrayLike,
    window: PerAxis,
    *,
    stride: PerAxis | None = None,
    padding: Any = 0,
    output_size: PerAxis | None = None,
) -> jax.Array:
    """Each value spread evenly over its window, overlaps added: the adjoint of average pooling.

    Args:
        y: ``(batch, *spatial, C)``; without batch where ``window`` has one entry per axis.
        window: cells per axis, one int (with a batch) or one per axis.
        stride: distance between neighbouring windows; the window if None.
        padding, output_size: as in :func:`jtconv.conv_transpose`.

    Returns:
        ``(batch, *out, C)``.

    Raises:
        ValueError, TypeError: for a wrong argument.

    >>> import jax.numpy as jnp
    >>> print(average_unpool(jnp.array([[2.], [4.]]), (2,))[:, 0])
    [1. 1. 2. 2.]
    """
    y = operands.array("y", y)
    rank, channels = len(spatial("window", window, y)), y.shape[-1]
    window = arguments.per_axis("window", window, rank, least=1)
    even = jnp.full((*window, 1, channels), 1 / math.prod(window), y.dtype)
    return api.conv_transpose(
        y,
        even,
        stride=window if stride is None else stride,
        padding=padding,
        output_size=output_size,
        groups=channels,
    )


def nearest_unpool(
    y: ArrayLike, factor: PerAxis, *, output_size: PerAxis | None = None
) -> jax.Array:
    """Each value repeated over its block of cells: nearest-neighbour upsampling.

    Args:
        y: ``(*batch, *spatial, C)``.
        factor: cells of a block, one int (with one batch axis) or one per axis (with any number
            of them).
        output_size: how many cells to keep, at most one block less one; all if None.

    Returns:
        ``(*batch, *out, C)``.

    Raises:
        ValueError, TypeError: for a wrong argument.

    >>> import jax.numpy as jnp
    >>> print(nearest_unpool(jnp.array([[2.], [4.]]), (2,), output_size=3)[:, 0])
    [2. 2. 4.]
    """
    y = operands.array("y", y)
    space = spatial("factor", factor, y)
    factors = arguments.per_axis("factor", factor, len(space), least=1)
    for where, times in zip(range(-1 - len(space), -1), factors, strict=True):
        y = jnp.repeat(y, times, axis=where)
    return kept(y, space, factors, output_size)


def kept(
    y: jax.Array, space: tuple[int, ...], factors: tuple[int, ...], output_size: Any
) -> jax.Array:
    """The first ``output_size`` cells of ``space`` enlarged by ``factors``; all if None."""
    if output_size is None:
        return y
    size = arguments.per_axis("output_size", output_size, len(space))
    for axis, (n, f, asked) in enumerate(zip(space, factors, size, strict=True)):
        if not (n - 1) * f < asked <= n * f:
            raise ValueError(
                f"output_size[{axis}] must be one of {(n - 1) * f + 1} to {n * f} for an input of "
                f"{n} and a factor of {f}, got {asked}."
            )
        y = jax.lax.slice_in_dim(y, 0, asked, axis=y.ndim - 1 - len(space) + axis)
    return y
