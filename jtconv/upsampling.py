"""Other upsampling, to compare with: resize before a convolution, or pixel shuffle after it.

Neither can draw the checkerboard of a transposed convolution whose kernels overlap unevenly:
Odena, Dumoulin and Olah, "Deconvolution and Checkerboard Artifacts" (Distill 2016); Shi et al.
(arXiv:1609.05158).

Pixel shuffle moves channels into a block of pixels, its inverse a block into channels. Of ``C``
channels and a block of ``B`` pixels, channel ``c`` of pixel ``b`` lies in the shuffled array at

    =====  ===========  =============================================================
    CRD    c * B + b    torch's PixelShuffle and PixelUnshuffle, ONNX's mode "CRD"
    DCR    b * C + c    TensorFlow's depth_to_space and space_to_depth, ONNX's default
    =====  ===========  =============================================================

and ``b`` counts the block in reading order.
"""

from __future__ import annotations

import math
from typing import Any, Literal, get_args

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
    x: ArrayLike,
    factor: PerAxis,
    *,
    order: str = "CRD",
    data_format: str | None = None,
    output_size: PerAxis | None = None,
) -> jax.Array:
    """Depth to space: channels become pixels.

    Args:
        x: ``(*batch, *spatial, C * prod(factor))``, or as ``data_format`` says.
        factor: one int (with one batch axis) or one per axis (with any number of them).
        order: "CRD", torch's, in which the channels of one block lie together, or "DCR",
            TensorFlow's, in which those of one pixel do.
        data_format: the axes of ``x`` in order, such as "NCHW": N the batch, which may be left out
            of ``x``, C the channels, and any other letters for space. Channels last if None.
        output_size: how many cells to keep, ``(n-1)*factor + 1 .. n*factor``; all if None.

    Returns:
        ``(*batch, *out, C)``, or as ``data_format`` says.

    Raises:
        ValueError, TypeError: for a wrong argument.

    >>> import jax.numpy as jnp
    >>> x = jnp.array([[1., 2., 3., 4.]])  # one cell
    >>> print(pixel_shuffle(x, (2,))[:, 0], pixel_shuffle(x, (2,), order="DCR")[:, 0])
    [1. 2.] [1. 3.]
    """
    x, axes = _channels_last(dtypes.array("x", x), data_format)
    batch, space, channels = _split("factor", factor, x, data_format)
    factors = arguments.per_axis("factor", factor, len(space), least=1)
    block = math.prod(factors)
    if channels % block:
        raise ValueError(
            f"x must have a multiple of {block} channels, one for each pixel of "
            f"factor {factor}, got {channels}."
        )
    if _channels_outside(order):
        x = x.reshape(*batch, *space, channels // block, *factors)
    else:
        x = jnp.moveaxis(
            x.reshape(*batch, *space, *factors, channels // block), -1, -1 - len(space)
        )
    first, rank = len(batch), len(space)
    pairs = [a for axis in range(rank) for a in (first + axis, first + rank + 1 + axis)]
    x = jnp.transpose(x, [*range(first), *pairs, first + rank])
    larger = [n * f for n, f in zip(space, factors, strict=True)]
    y = kept(x.reshape(*batch, *larger, channels // block), space, factors, output_size)
    return jnp.transpose(y, axes)


def pixel_unshuffle(
    x: ArrayLike, factor: PerAxis, *, order: str = "CRD", data_format: str | None = None
) -> jax.Array:
    """Space to depth: each block of pixels becomes channels; the inverse of pixel shuffle.

    Args:
        x: ``(*batch, *spatial, C)``, of spatial sizes that ``factor`` divides.
        factor, order, data_format: as in :func:`pixel_shuffle`.

    Returns:
        ``(*batch, *out, C * prod(factor))``, or as ``data_format`` says.

    Raises:
        ValueError, TypeError: for a wrong argument.

    >>> import jax.numpy as jnp
    >>> print(pixel_unshuffle(jnp.array([[1.], [2.], [3.], [4.]]), (2,)))
    [[1. 2.]
     [3. 4.]]
    """
    x, axes = _channels_last(dtypes.array("x", x), data_format)
    batch, space, channels = _split("factor", factor, x, data_format)
    factors = arguments.per_axis("factor", factor, len(space), least=1)
    for axis, (n, f) in enumerate(zip(space, factors, strict=True)):
        if not (n % f == 0):  # so that what is symbolic must be known to be a multiple
            raise ValueError(
                f"x must have spatial sizes that factor {factor} divides, got {n} on spatial axis "
                f"{axis}: pad it to a multiple of {f}."
            )
    smaller = [n // f for n, f in zip(space, factors, strict=True)]
    pairs = [size for pair in zip(smaller, factors, strict=True) for size in pair]
    first, rank = len(batch), len(space)
    cells, within = range(first, first + 2 * rank, 2), range(first + 1, first + 2 * rank, 2)
    depth = first + 2 * rank
    inner = (depth, *within) if _channels_outside(order) else (*within, depth)
    x = jnp.transpose(x.reshape(*batch, *pairs, channels), [*range(first), *cells, *inner])
    return jnp.transpose(x.reshape(*batch, *smaller, channels * math.prod(factors)), axes)


def _channels_outside(order: Any) -> bool:
    return arguments.choice("order", order, ("CRD", "DCR"), any_case=True) == "CRD"


def _channels_last(x: jax.Array, data_format: Any) -> tuple[jax.Array, list[int]]:
    """The array with its channels last, and the axes that put them where they were."""
    if data_format is None:
        return x, list(range(x.ndim))
    letters = data_format if isinstance(data_format, str) else ""
    if len(set(letters)) != len(letters) or not {"N", "C"} < set(letters):
        raise ValueError(
            "data_format must be letters, each once: N, C and one for each spatial axis, as in "
            f'"NCHW"; got {data_format!r}.'
        )
    if x.ndim not in (len(letters), len(letters) - 1):
        raise ValueError(
            f"x must have the {len(letters)} axes of data_format {letters!r}, or one less "
            f"without a batch, got shape {x.shape}."
        )
    letters = letters if x.ndim == len(letters) else letters.replace("N", "")
    space = [letter for letter in letters if letter not in "NC"]
    last = ["N"] * ("N" in letters) + space + ["C"]
    return jnp.transpose(x, list(map(letters.index, last))), list(map(last.index, letters))


def _split(
    name: str, value: Any, x: jax.Array, data_format: str | None
) -> tuple[tuple[int, ...], tuple[int, ...], int]:
    """Batch, spatial sizes and channels of an array whose channels are last."""
    if data_format is None:
        space = spatial(name, value, x)
    else:
        space = x.shape[x.ndim - len(data_format) + 1 : -1]
    return x.shape[: -1 - len(space)], space, x.shape[-1]
