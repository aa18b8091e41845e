"""Models of Flax that are causal, for both of its interfaces, and what feeds them."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import linen, nnx

import jtconv
from jtconv.linen import ConvTranspose
from jtconv.models import HiFiGAN

# Cells of time: cuts are in units of four.
LENGTH, UNIT, FEATURES = 24, 4, 3
MASK = np.arange(3 * 2 * 6).reshape(3, 2, 6) % 3 > 0


def pieces(x: Any, cuts: Any, axis: int = 1) -> list[Any]:
    return jnp.split(x, [UNIT * cut for cut in cuts], axis)


def sound(*batch: int, dtype: Any = "float32") -> Any:
    rng = np.random.default_rng(0)
    return jnp.asarray(rng.normal(size=(*batch, LENGTH, FEATURES)), dtype)


class Everything(nnx.Module):
    """Every kind of layer: Flax's and ours, with and without memory, inside others."""

    def __init__(self, padding: Any = "CAUSAL", dtype: Any = None, *, rngs: nnx.Rngs):
        causal: dict[str, Any] = {"padding": "CAUSAL", "dtype": dtype, "rngs": rngs}
        self.down = nnx.Conv(FEATURES, 6, 4, 2, padding=padding, dtype=dtype, rngs=rngs)
        self.mix = nnx.List(
            [
                nnx.Conv(6, 6, 3, kernel_dilation=2, feature_group_count=3, mask=MASK, **causal),
                nnx.WeightNorm(nnx.Conv(6, 6, 1, 2, dtype=dtype, padding=0, rngs=rngs), rngs=rngs),
                nnx.BatchNorm(6, use_running_average=True, dtype=dtype, rngs=rngs),
            ]
        )
        self.up = nnx.ConvTranspose(6, 4, 4, 2, padding=[(3, 1)], dtype=dtype, rngs=rngs)
        self.ours = jtconv.nnx.ConvTranspose(4, 4, 5, 3, feature_group_count=2, **causal)
        self.larger = jtconv.nnx.ResizeConv(4, 4, (3,), 2, **causal)
        self.shuffled = jtconv.nnx.SubPixelConv(4, 2, (3,), 2, use_bias=False, **causal)

    def __call__(self, x: Any) -> Any:
        x = self.down(x)
        for layer in self.mix:
            x = nnx.relu(layer(x))
        return self.shuffled(self.larger(nnx.tanh(self.ours(self.up(x)))))


class Linen(linen.Module):
    """The same kinds for Linen."""

    padding: Any = "CAUSAL"
    dtype: Any = None

    @linen.compact
    def __call__(self, x: Any) -> Any:
        causal: dict[str, Any] = {"padding": "CAUSAL", "dtype": self.dtype}
        x = linen.Conv(6, (4,), 2, padding=self.padding, dtype=self.dtype)(x)
        x = linen.Conv(6, (3,), kernel_dilation=2, feature_group_count=3, mask=MASK, **causal)(x)
        x = linen.WeightNorm(linen.Conv(6, (1,), 2, dtype=self.dtype, padding=0))(x)
        x = linen.BatchNorm(use_running_average=True, dtype=self.dtype)(linen.relu(x))
        x = linen.ConvTranspose(4, (4,), (2,), padding=[(3, 1)], dtype=self.dtype)(x)
        return ConvTranspose(2, (5,), (3,), feature_group_count=2, **causal)(x)


def vocoder() -> nnx.Module:
    sizes = FEATURES, 8, (4, 3), (8, 7), (3, 5), ((1, 2), (3,))
    return HiFiGAN(*sizes, padding="CAUSAL", rngs=nnx.Rngs(0))


def small() -> nnx.Module:
    """A convolution with a memory of inputs, and a transposed one with one of outputs."""
    rngs = nnx.Rngs(0)
    return nnx.Sequential(
        nnx.Conv(FEATURES, 6, 3, kernel_dilation=2, padding="CAUSAL", rngs=rngs),
        nnx.tanh,
        nnx.ConvTranspose(6, 1, 5, 2, padding=[(4, 1)], rngs=rngs),
    )
