"""A small neural codec: sound to whole numbers and back, all causal, so that it streams."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import pairwise

import jax
import jax.numpy as jnp
from flax import nnx

from jtconv.nnx import ConvTranspose


class Residual(nnx.Module):
    """A dilated convolution and one of a single cell, added to what they were given.

    Shapes: ``(batch, time, features)`` stays. Figure 3 of SoundStream (arXiv:2107.03312).
    """

    def __init__(self, features: int, dilation: int, *, rngs: nnx.Rngs) -> None:
        dilated = partial(nnx.Conv, kernel_dilation=dilation, padding="CAUSAL")
        self.dilated = dilated(features, features, 5, rngs=rngs)
        self.mixed = nnx.Conv(features, features, 1, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        """The sum of ``x`` and what the two add."""
        return x + self.mixed(nnx.elu(self.dilated(nnx.elu(x))))


class Encoder(nnx.Sequential):
    """Strided convolutions, residual units before each.

    Shapes: ``(batch, time, 1)`` to ``(batch, time // prod(strides), latent)``.
    """

    def __init__(
        self,
        features: int,
        strides: Sequence[int],
        dilations: Sequence[int],
        latent: int,
        *,
        rngs: nnx.Rngs,
    ) -> None:
        widths = [features * 2**level for level in range(len(strides) + 1)]
        layers = [nnx.Conv(1, features, 7, padding="CAUSAL", rngs=rngs)]
        for (before, after), s in zip(pairwise(widths), strides, strict=True):
            layers += [Residual(before, dilation, rngs=rngs) for dilation in dilations]
            # A frame sees all of its own samples, and as many before: no more is causal.
            layers += [nnx.elu, nnx.Conv(before, after, 2 * s, s, padding=[(s, 0)], rngs=rngs)]
        last = nnx.Conv(widths[-1], latent, 3, padding="CAUSAL", rngs=rngs)
        super().__init__(*layers, nnx.elu, last)


class Decoder(nnx.Sequential):
    """Transposed convolutions, residual units behind each: the encoder the other way round.

    Shapes: ``(batch, frames, latent)`` to ``(batch, frames * prod(strides), 1)`` in -1 .. 1.
    """

    def __init__(
        self,
        features: int,
        strides: Sequence[int],
        dilations: Sequence[int],
        latent: int,
        *,
        rngs: nnx.Rngs,
    ) -> None:
        widths = [features * 2**level for level in range(len(strides), -1, -1)]
        layers = [nnx.Conv(latent, widths[0], 7, padding="CAUSAL", rngs=rngs)]
        for (before, after), s in zip(pairwise(widths), reversed(strides), strict=True):
            up = ConvTranspose(before, after, 2 * s, s, padding="CAUSAL", rngs=rngs)
            layers += [nnx.elu, up]
            layers += [Residual(after, dilation, rngs=rngs) for dilation in dilations]
        last = nnx.Conv(features, 1, 7, padding="CAUSAL", rngs=rngs)
        super().__init__(*layers, nnx.elu, last, nnx.tanh)


class Codec(nnx.Module):
    """Sound to whole numbers and back.

    Each of ``latent`` numbers of a frame is rounded to one of ``levels``: finite scalar
    quantization, Mentzer et al. (arXiv:2309.15505). Nothing looks ahead, so that
    ``jtconv.nnx.stream(codec.decoder, batch)`` gives sound for each frame that arrives.

    Shapes: ``(batch, time, 1)`` stays, where ``time`` is a multiple of ``prod(strides)``.
    Source: Défossez et al., "High fidelity neural audio compression" (arXiv:2210.13438), without
    its recurrent layers, weight normalisation and discriminators.

    >>> codec = Codec(4, (2, 3), latent=5, rngs=nnx.Rngs(0))
    >>> codes = codec.encode(jax.numpy.ones((2, 12, 1)))
    >>> codes.shape, codec.decode(codes).shape
    ((2, 2, 5), (2, 12, 1))
    """

    def __init__(
        self,
        features: int = 16,
        strides: Sequence[int] = (2, 4, 5),
        dilations: Sequence[int] = (1, 3),
        latent: int = 16,
        levels: int = 9,
        *,
        rngs: nnx.Rngs,
    ) -> None:
        sizes = features, strides, dilations, latent
        self.encoder, self.decoder = Encoder(*sizes, rngs=rngs), Decoder(*sizes, rngs=rngs)
        self.levels = levels

    def __call__(self, x: jax.Array) -> jax.Array:
        """The sound after encoding and decoding; the gradient passes the rounding by."""
        z = jnp.tanh(self.encoder(x))
        return self.decoder(z + jax.lax.stop_gradient(self.latents(self._rounded(z)) - z))

    def encode(self, x: jax.Array) -> jax.Array:
        """Whole numbers from 0 to ``levels - 1``, ``(batch, frames, latent)``."""
        return self._rounded(jnp.tanh(self.encoder(x)))

    def decode(self, codes: jax.Array) -> jax.Array:
        """The sound of these numbers."""
        return self.decoder(self.latents(codes))

    def latents(self, codes: jax.Array) -> jax.Array:
        """What the decoder is given for these numbers, in -1 .. 1."""
        return codes.astype(jnp.float32) * (2 / (self.levels - 1)) - 1

    def _rounded(self, z: jax.Array) -> jax.Array:
        return jnp.rint((z + 1) * ((self.levels - 1) / 2)).astype(jnp.int32)
