"""Other layers for upsampling: resize then convolve, and sub-pixel convolution."""

from __future__ import annotations

import math
from typing import Any

import jax
import numpy as np
from flax import nnx

from jtconv import upsampling
from jtconv.conventions import flax
from jtconv.typing import PerAxis
from jtconv.upsampling import Interpolation


class ResizeConv(nnx.Conv):
    """Resize, then convolve: called and made as :class:`ConvTranspose` is, and as large.

    Every output cell is reached by every tap, so nothing draws a checkerboard; it costs
    ``prod(strides)`` times the multiply-adds. Odena, Dumoulin and Olah, "Deconvolution and
    Checkerboard Artifacts" (Distill 2016).

    Args:
        in_features, out_features, kernel_size: of the convolution.
        strides: how many times larger, one int or one per axis; None for 1.
        interpolation: as in :func:`jtconv.upsampling.resize`.
        **conv: whatever else ``flax.nnx.Conv`` takes: ``padding``, ``rngs``, ...

    >>> import jax.numpy as jnp
    >>> from flax import nnx
    >>> up = ResizeConv(8, 4, (3, 3), strides=2, rngs=nnx.Rngs(0))
    >>> up.kernel.shape, up(jnp.ones((1, 5, 5, 8)), output_size=(9, 10)).shape
    ((3, 3, 8, 4), (1, 9, 10, 4))
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        kernel_size: PerAxis,
        strides: PerAxis | None = None,
        *,
        interpolation: Interpolation = "nearest",
        **conv: Any,
    ):
        super().__init__(in_features, out_features, kernel_size, **conv)
        self.factor = flax.per_axis("strides", strides, len(self.kernel_size))
        self.interpolation = interpolation

    def __call__(
        self, inputs: jax.Array | np.ndarray, *, output_size: PerAxis | None = None
    ) -> jax.Array:
        """``(*batch, *spatial, in_features)`` to ``(*batch, *out, out_features)``.

        ``output_size`` keeps that many cells of the resized input, per axis.
        """
        resized = upsampling.resize(
            inputs, self.factor, interpolation=self.interpolation, output_size=output_size
        )
        return super().__call__(resized)


class SubPixelConv(nnx.Conv):
    """Convolve, then depth to space; made and called as :class:`ConvTranspose` is.

    ``kernel_init=jtconv.initializers.icnr(strides)`` makes it start without a checkerboard. Shi
    et al., "Real-time single image and video super-resolution using an efficient sub-pixel
    convolutional neural network" (arXiv:1609.05158).

    Args:
        in_features, kernel_size: of the convolution.
        out_features: channels of the result; the convolution has ``prod(strides)`` times more.
        strides: how many times larger, one int or one per axis; None for 1.
        **conv: whatever else ``flax.nnx.Conv`` takes: ``padding``, ``rngs``, ...

    >>> import jax.numpy as jnp
    >>> from flax import nnx
    >>> up = SubPixelConv(8, 4, (3, 3), strides=2, rngs=nnx.Rngs(0))
    >>> up.kernel.shape, up(jnp.ones((1, 5, 5, 8)), output_size=(9, 10)).shape
    ((3, 3, 8, 16), (1, 9, 10, 4))
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        kernel_size: PerAxis,
        strides: PerAxis | None = None,
        **conv: Any,
    ):
        factor = flax.per_axis("strides", strides, len(flax.sizes(kernel_size)))
        super().__init__(in_features, out_features * math.prod(factor), kernel_size, **conv)
        self.factor = factor

    def __call__(
        self, inputs: jax.Array | np.ndarray, *, output_size: PerAxis | None = None
    ) -> jax.Array:
        """``(*batch, *spatial, in_features)`` to ``(*batch, *out, out_features)``.

        ``output_size`` keeps that many cells of the result, per axis.
        """
        channels = super().__call__(inputs)
        return upsampling.pixel_shuffle(channels, self.factor, output_size=output_size)
