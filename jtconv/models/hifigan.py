"""HiFi-GAN's generator: a mel spectrogram to a waveform, by 1-D transposed convolutions."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import pairwise

import jax
from flax import nnx

from jtconv.nnx import ConvTranspose
from jtconv.typing import ZerosName

_init = nnx.initializers.normal(0.01)
_leaky = partial(nnx.leaky_relu, negative_slope=0.1)


class ResBlock(nnx.Module):
    """Pairs of a dilated and a plain convolution, each pair added to what it was given.

    Shapes: ``(batch, time, features)`` stays. Appendix A.1 of the paper.
    """

    def __init__(
        self,
        features: int,
        kernel_size: int,
        dilations: Sequence[int],
        *,
        padding: ZerosName,
        rngs: nnx.Rngs,
    ) -> None:
        layer = partial(
            nnx.Conv,
            features,
            features,
            kernel_size,
            padding=padding,
            kernel_init=_init,
            rngs=rngs,
        )
        self.dilated = nnx.List(layer(kernel_dilation=dilation) for dilation in dilations)
        self.plain = nnx.List(layer() for _ in dilations)

    def __call__(self, x: jax.Array) -> jax.Array:
        """The sum of ``x`` and what each pair adds."""
        for dilated, plain in zip(self.dilated, self.plain, strict=True):
            x = x + plain(_leaky(dilated(_leaky(x))))
        return x


class HiFiGAN(nnx.Module):
    """Upsample, then mix residual blocks of several kernel sizes, again and again; figure 1.

    Shapes: ``(batch, frames, mels)`` to samples ``(batch, frames * prod(rates), 1)`` in -1 .. 1.
    With ``padding="CAUSAL"`` no sample depends on a later frame, as streaming needs.
    Source: Kong, Kim and Bae, "HiFi-GAN: generative adversarial networks for efficient and high
    fidelity speech synthesis" (arXiv:2010.05646); the default is V1, without weight
    normalisation, which ``flax.nnx.WeightNorm`` adds to a layer.

    >>> vocoder = HiFiGAN(8, 16, (4, 3), (8, 7), (3,), ((1, 2),), rngs=nnx.Rngs(0))
    >>> vocoder(jax.numpy.ones((2, 5, 8))).shape
    (2, 60, 1)
    """

    def __init__(
        self,
        mels: int = 80,
        features: int = 512,
        rates: Sequence[int] = (8, 8, 2, 2),
        kernel_sizes: Sequence[int] = (16, 16, 4, 4),
        block_kernel_sizes: Sequence[int] = (3, 7, 11),
        block_dilations: Sequence[Sequence[int]] = ((1, 3, 5),) * 3,
        *,
        padding: ZerosName = "SAME",
        rngs: nnx.Rngs,
    ) -> None:
        self.before = nnx.Conv(mels, features, 7, padding=padding, rngs=rngs)
        channels = [features // 2**level for level in range(len(rates) + 1)]
        layers = zip(pairwise(channels), kernel_sizes, rates, strict=True)
        self.ups = nnx.List(
            ConvTranspose(
                before, after, kernel_size, rate, padding=padding, kernel_init=_init, rngs=rngs
            )
            for (before, after), kernel_size, rate in layers
        )
        kinds = list(zip(block_kernel_sizes, block_dilations, strict=True))
        self.blocks = nnx.List(
            nnx.List(ResBlock(count, *kind, padding=padding, rngs=rngs) for kind in kinds)
            for count in channels[1:]
        )
        self.after = nnx.Conv(channels[-1], 1, 7, padding=padding, rngs=rngs)

    def __call__(self, mel: jax.Array) -> jax.Array:
        """The waveform of a spectrogram."""
        x = self.before(mel)
        for up, blocks in zip(self.ups, self.blocks, strict=True):
            x = up(_leaky(x))
            x = sum(block(x) for block in blocks) / len(blocks)
        return nnx.tanh(self.after(nnx.leaky_relu(x)))
