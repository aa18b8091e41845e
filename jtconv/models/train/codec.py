"""A codec learns to say melodies in whole numbers."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jtconv import extras
from jtconv.models.codec import Codec
from jtconv.models.train.results import Results, grid
from jtconv.models.train.sounds import RATE, Melodies
from jtconv.models.train.trainer import Recipe
from jtconv.nnx import stream

with extras.needs("train"):
    import optax

LENGTH, BATCH = 2400, 8  # samples of a crop, crops of a step
WINDOWS = (64, 256, 1024)  # of the spectra that are compared
_SHOWN, _TALLER = 3, 2


class Coding(nnx.Module):
    """A codec and its Adam."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.codec = Codec(rngs=rngs)
        self.optimizer = nnx.Optimizer(self.codec, optax.adam(1e-3), wrt=nnx.Param)

    def learn(self, source: Melodies, key: jax.Array) -> dict[str, jax.Array]:
        """One step on crops of the melodies."""
        which, where = jax.random.split(key)
        count, samples = source.sound.shape
        melodies = source.sound[jax.random.randint(which, (BATCH,), 0, count)]
        starts = jax.random.randint(where, (BATCH,), 0, samples - LENGTH + 1)
        cut: Any = jax.vmap(lambda sound, start: jax.lax.dynamic_slice(sound, (start,), (LENGTH,)))
        crops = cut(melodies, starts)

        def loss(codec: Any) -> jax.Array:
            found = codec(crops[..., None])[..., 0]
            return jnp.abs(found - crops).mean() + spectral_distance(found, crops)

        value, gradient = nnx.value_and_grad(loss)(self.codec)
        self.optimizer.update(self.codec, gradient)
        return {"distance": value}

    def judge(self, seen: Melodies, held_out: Melodies) -> Results:
        """How near held-out melodies come back, and that the decoder's pieces are the whole."""
        sound = jnp.asarray(held_out.sound)
        codes = nnx.jit(Codec.encode)(self.codec, sound[..., None])
        found = np.asarray(nnx.jit(Codec.decode)(self.codec, codes))[..., 0]
        frames = codes.shape[1]
        bits = codes.shape[2] * math.log2(self.codec.levels) * RATE * frames / sound.shape[1]
        metrics = {
            "signal_to_noise_db": round(_decibels(held_out.sound, found), 2),
            "spectral_distance": round(float(spectral_distance(jnp.asarray(found), sound)), 3),
            "spectral_distance_of_silence": round(
                float(spectral_distance(jnp.zeros_like(sound), sound)), 3
            ),
            "kilobits_per_second": round(bits / 1000, 2),
            "largest_difference_of_pieces": self._difference(codes, found),
            "samples": sound.size,
        }
        rows = [_picture(each[:_SHOWN]) for each in (held_out.sound, found)]
        return Results(metrics, {"spectra": grid(rows)})

    def _difference(self, codes: jax.Array, whole: np.ndarray) -> float:
        """Between the decoder fed 50 frames at a time, and all at once."""
        piecewise = stream(self.codec.decoder, codes.shape[0])
        decode = nnx.jit(lambda decoder, z: decoder(z))
        pieces = jnp.split(self.codec.latents(codes), list(range(50, codes.shape[1], 50)), 1)
        got = np.concatenate([decode(piecewise, piece) for piece in pieces], 1)[..., 0]
        return float(np.abs(got - whole).max())


def spectral_distance(one: jax.Array, other: jax.Array) -> jax.Array:
    """Between spectra of several resolutions, their logarithms too; ``(batch, samples)``.

    Yamamoto, Song and Kim, "Parallel WaveGAN" (arXiv:1910.11480), section 2.2.
    """
    total: Any = 0
    for window in WINDOWS:
        a, b = (_magnitudes(sound, window) for sound in (one, other))
        total += jnp.linalg.norm(a - b) / jnp.maximum(jnp.linalg.norm(b), 1e-6)
        total += jnp.abs(jnp.log(a) - jnp.log(b)).mean()
    return total / len(WINDOWS)


def _magnitudes(sound: jax.Array, window: int) -> jax.Array:
    """``(batch, windows, frequencies)``, windows overlapping by half."""
    half = window // 2
    cells = sound[:, : sound.shape[1] // half * half].reshape(len(sound), -1, half)
    windows = jnp.concatenate([cells[:, :-1], cells[:, 1:]], -1)
    shape = jnp.asarray(np.hanning(window), sound.dtype)
    spectra = jnp.fft.rfft(windows * shape)
    return jnp.sqrt(spectra.real**2 + spectra.imag**2 + 1e-5)


def _decibels(sound: np.ndarray, found: np.ndarray) -> float:
    return float(10 * np.log10((sound**2).sum() / ((found - sound) ** 2).sum()))


def _picture(sound: Any) -> np.ndarray:
    """Spectra over time, high above low, as pictures in 0 .. 1."""
    levels = np.log(np.asarray(_magnitudes(jnp.asarray(sound), 256)))
    levels = (levels - levels.min()) / np.ptp(levels)
    return levels.transpose(0, 2, 1)[:, ::-1, :, None].repeat(_TALLER, 1)


RECIPE = Recipe(data="melodies", begin=Coding, steps=3000)
