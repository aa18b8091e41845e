"""Initial kernels made for upsampling; each is ``init(key, shape, dtype)``, as in JAX.

Kernels lie as ``(*kernel, C_in // groups, C_out)``, and with ``transpose_kernel`` in a layer as
``(*kernel, C_out // groups, C_in)``.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from jtconv.problem import arguments
from jtconv.typing import PerAxis

__all__ = ["Initializer", "bilinear", "icnr", "variance_scaling"]
Initializer = Callable[..., jax.Array]


def bilinear(factor: PerAxis | None = None) -> Initializer:
    """Linear interpolation along every axis: bilinear on pictures, the start of FCN.

    With a kernel of ``2*f - f % 2`` cells, stride ``f`` and "SAME" padding this is
    interpolation between pixel centres by the factor ``f``, exact away from the borders. Each
    output channel copies one input channel: as many in as out, or groups.

    Args:
        factor: the stride, one int or one per axis; by default the one the kernel is made for,
            half its cells, rounded up.

    Raises:
        ValueError: where the kernel is too short for the factor, or one channel axis of the
            kernel does not divide the other.

    Long, Shelhamer and Darrell, "Fully convolutional networks for semantic segmentation"
    (arXiv:1411.4038).

    >>> import jax
    >>> print(bilinear()(jax.random.key(0), (4, 1, 1))[:, 0, 0])
    [0.25 0.75 0.75 0.25]
    """

    def init(key: Any, shape: Sequence[int], dtype: Any = jnp.float32) -> jax.Array:
        *size, channels, copies = arguments.shape("shape", shape)
        half = [(k + 1) // 2 for k in size] if factor is None else factor
        factors = arguments.per_axis("factor", half, len(size), least=1)
        tents = [_tent(axis, k, f) for axis, (k, f) in enumerate(zip(size, factors, strict=True))]
        space = functools.reduce(np.multiply.outer, tents)
        return jnp.asarray(space[..., None, None] * _copies(channels, copies), dtype)

    return init


def _tent(axis: int, cells: int, factor: int) -> np.ndarray:
    """Weights that fall off to zero ``factor`` cells from the middle."""
    if cells < 2 * factor - factor % 2:
        raise ValueError(
            f"shape[{axis}] must be at least 2*factor - factor % 2 = {2 * factor - factor % 2} for "
            f"a factor of {factor}, got a kernel of {cells}."
        )
    weights: np.ndarray = 1 - np.abs(np.arange(cells) - (cells - 1) / 2) / factor
    return weights.clip(0)


def _copies(rows: int, columns: int) -> np.ndarray:
    """The identity, repeated where one axis holds a group's channels and the other all."""
    if rows == 0 or columns % rows:
        raise ValueError(
            f"shape must have as many channels in as out for bilinear, or those of one group "
            f"before all of them, got {rows} and {columns}."
        )
    return np.tile(np.eye(rows), (1, columns // rows))


def icnr(factor: PerAxis, init: Initializer | None = None) -> Initializer:
    """Sub-pixel convolution that starts as nearest-neighbour upsampling, with no checkerboard.

    The output channels that :func:`jtconv.upsampling.pixel_shuffle` puts into one pixel start
    equal.

    Args:
        factor: of the shuffle; one int or one per axis.
        init: makes the kernel of one pixel; He's normal one by default.

    Aitken et al., "Checkerboard artifact free sub-pixel convolution" (arXiv:1707.02937).

    >>> import jax
    >>> kernel = icnr(2)(jax.random.key(0), (3, 3, 8, 12))  # three channels, of four pixels each
    >>> [bool((kernel[..., 0] == kernel[..., other]).all()) for other in (3, 4)]
    [True, False]
    """
    base = he_normal() if init is None else init

    def repeated(key: Any, shape: Sequence[int], dtype: Any = jnp.float32) -> jax.Array:
        *size, channels, wide = arguments.shape("shape", shape)
        pixels = math.prod(arguments.per_axis("factor", factor, len(size), least=1))
        if wide % pixels:
            raise ValueError(
                f"shape must end in a multiple of {pixels} channels, one for each pixel of "
                f"factor {factor}, got {wide}."
            )
        return jnp.repeat(base(key, (*size, channels, wide // pixels), dtype), pixels, axis=-1)

    return repeated


@arguments.suggests
def variance_scaling(
    scale: float,
    mode: Literal["fan_in", "fan_out", "fan_avg"],
    distribution: Literal["truncated_normal", "normal", "uniform"],
    *,
    stride: PerAxis = 1,
    groups: int = 1,
    transpose_kernel: bool = False,
) -> Initializer:
    """``jax.nn.initializers.variance_scaling`` with the fans of a transposed convolution.

    An output cell is reached by ``prod(kernel) / prod(stride)`` taps of each input channel of its
    group: that many make its fan-in. An input cell reaches ``prod(kernel)`` cells of each output
    channel of its group: its fan-out. Weights have the variance ``scale / fan``.

    Args:
        scale: 1 keeps the variance of a linear layer, 2 that of one before a ReLU.
        mode: "fan_in" keeps the variance going forward, "fan_out" that of gradients coming
            back, "fan_avg" is a compromise.
        distribution: "truncated_normal", "normal" or "uniform".
        stride: of the layer; one int or one per axis.
        groups: of the layer.
        transpose_kernel: whether the kernel lies as ``(*kernel, C_out // groups, C_in)``.

    He et al. (arXiv:1502.01852); Glorot and Bengio (AISTATS 2010).

    >>> import jax
    >>> init = variance_scaling(1.0, "fan_in", "normal", stride=2)
    >>> kernel = init(jax.random.key(0), (4, 4, 64, 64))  # four taps of each of 64 channels
    >>> round(float(kernel.var() * 4 * 64), 2)
    1.0
    """
    mode = arguments.choice("mode", mode, ("fan_in", "fan_out", "fan_avg"))

    def init(key: Any, shape: Sequence[int], dtype: Any = jnp.float32) -> jax.Array:
        *size, rows, columns = arguments.shape("shape", shape, least=1)
        strides = arguments.per_axis("stride", stride, len(size), least=1)
        # Each axis that holds all channels counts those of one group.
        sources, targets = (
            (columns / groups, rows) if transpose_kernel else (rows, columns / groups)
        )
        fans = {
            "fan_in": sources * math.prod(size) / math.prod(strides),
            "fan_out": targets * math.prod(size),
        }
        fans["fan_avg"] = sum(fans.values()) / 2
        # JAX divides by a fan of rows * prod(kernel): the scale makes up for what it should be.
        own = scale * rows * math.prod(size) / fans[mode]
        return jax.nn.initializers.variance_scaling(own, "fan_in", distribution)(key, shape, dtype)

    return init


# The usual names, each with stride, groups and transpose_kernel.
lecun_normal = functools.partial(variance_scaling, 1.0, "fan_in", "truncated_normal")
lecun_uniform = functools.partial(variance_scaling, 1.0, "fan_in", "uniform")
he_normal = functools.partial(variance_scaling, 2.0, "fan_in", "truncated_normal")
he_uniform = functools.partial(variance_scaling, 2.0, "fan_in", "uniform")
glorot_normal = functools.partial(variance_scaling, 1.0, "fan_avg", "truncated_normal")
glorot_uniform = functools.partial(variance_scaling, 1.0, "fan_avg", "uniform")
