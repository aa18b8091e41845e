"""Other upsampling, to compare with: resize before a convolution, or pixel shuffle after it.

Neither can draw the checkerboard of a transposed convolution whose kernels overlap unevenly:
Odena, Dumoulin and Olah, "Deconvolution and Checkerboard Artifacts" (Distill 2016); Shi et al.
(arXiv:1609.05158).
"""

from __future__ import annotations

import math
from typing import Literal, get_args

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jtconv.problem import arguments, dtypes
from jtconv.typing import PerAxis
from jtconv.unpool import kept, nearest_unpool, spatial

__all__ = ["Interpolation", "pixel_shuffle", "resize"]
Interpolation = Literal["nearest", "linear", "cubic", "lanczos3", "lanczos5"]


@arguments.suggests
def resize(
    x: ArrayLike,
    factor: PerAxis,
    *,
    interpolation: Interpolation = "nearest",
    output_size: PerAxis | None = None,
) -> jax.Array:
    """Resized by a whole number per axis, pixel centres in line.

    Args:
        x: ``(*batch, *spatial, C)``.
        factor: one int (with one batch axis) or one per axis (with any number of them).
        interpolation: "nearest", or one that ``jax.image.resize`` knows: "linear", "cubic",
            "lanczos3", "lanczos5".
        output_size: how many cells to keep, ``(n-1)*factor + 1 .. n*factor``; all if None.

    Raises:
        ValueError, TypeError: for a wrong argument.

    >>> import jax.numpy as jnp
    >>> print(resize(jnp.array([[0.], [1.]]), (2,), interpolation="linear")[:, 0])
    [0.   0.25 0.75 1.  ]
    """
    if arguments.choice("interpolation", interpolation, get_args(Interpolation)) == "nearest":
        return nearest_unpool(x, factor, output_size=output_size)
    x = dtypes.array("x", x)
    space = spatial("factor", factor, x)
    factors = arguments.per_axis("factor", factor, len(space), least=1)
    larger = [n * f for n, f in zip(space, factors, strict=True)]
    shape = (*x.shape[: -1 - len(space)], *larger, x.shape[-1])
    return kept(jax.image.resize(x, shape, interpolation), space, factors, output_size)


@arguments.suggests
def pixel_shuffle(
    x: ArrayLike, factor: PerAxis, *, output_size: PerAxis | None = None
) -> jax.Array:
    """Depth to space: channels become pixels, in torch's order of channels.

    Args:
        x: ``(*batch, *spatial, C * prod(factor))``; the channels of one pixel lie together.
        factor: one int (with one batch axis) or one per axis (with any number of them).
        output_size: how many cells to keep, ``(n-1)*factor + 1 .. n*factor``; all if None.

    Returns:
        ``(*batch, *out, C)``.

    Raises:
        ValueError, TypeError: for a wrong argument.

    >>> import jax.numpy as jnp
    >>> print(pixel_shuffle(jnp.array([[1., 2.], [3., 4.]]), (2,))[:, 0])
    [1. 2. 3. 4.]
    """
    x = dtypes.array("x", x)
    space = spatial("factor", factor, x)
    rank, channels = len(space), x.shape[-1]
    factors = arguments.per_axis("factor", factor, rank, least=1)
    if channels % math.prod(factors):
        raise ValueError(
            f"x must have a multiple of {math.prod(factors)} channels, one for each pixel of "
            f"factor {factor}, got {channels}."
        )
    batch = x.shape[: -1 - rank]
    x = x.reshape(*batch, *space, channels // math.prod(factors), *factors)
    first = len(batch)
    pairs = [a for axis in range(rank) for a in (first + axis, first + rank + 1 + axis)]
    x = jnp.transpose(x, [*range(first), *pairs, first + rank])
    larger = [n * f for n, f in zip(space, factors, strict=True)]
    return kept(x.reshape(*batch, *larger, x.shape[-1]), space, factors, output_size)
