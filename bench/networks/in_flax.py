"""A spec as a model of plain `flax.nnx` layers."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from bench.networks.specs import Act, Conv, ConvTranspose, Norm, Residual, Skip, Spec

ACTIVATIONS = {
    "relu": nnx.relu,
    "gelu": nnx.gelu,
    "elu": nnx.elu,
    "leaky_relu": nnx.leaky_relu,
    "tanh": jnp.tanh,
}


class Both(nnx.Module):
    """The sum of two branches, or the input beside one."""

    def __init__(self, body: nnx.Module, shortcut: nnx.Module | None, beside: bool) -> None:
        self.body, self.shortcut, self.beside = body, shortcut, beside

    def __call__(self, x: jax.Array) -> jax.Array:
        """Both, from one input."""
        straight = self.shortcut(x) if self.shortcut else x
        out: jax.Array = self.body(x)
        return jnp.concatenate((x, out), axis=-1) if self.beside else straight + out


def build(spec: Spec, channels: int, rank: int, rngs: nnx.Rngs) -> tuple[nnx.Module, int]:
    """The model, and how many channels it gives."""
    layers: list[Any] = []
    for layer in spec:
        if isinstance(layer, Act):
            layers.append(ACTIVATIONS[layer.name])
        elif isinstance(layer, Norm):
            layers.append(nnx.GroupNorm(channels, num_groups=8, rngs=rngs))
        elif isinstance(layer, Conv):
            layers.append(_conv(layer, channels, rank, rngs))
            channels = layer.features
        elif isinstance(layer, ConvTranspose):
            size, strides = (layer.kernel,) * rank, (layer.stride,) * rank
            made = nnx.ConvTranspose(channels, layer.features, size, strides, rngs=rngs)
            layers.append(made)
            channels = layer.features
        else:
            made, channels = _both(layer, channels, rank, rngs)
            layers.append(made)
    return nnx.Sequential(*layers), channels


def _conv(layer: Conv, channels: int, rank: int, rngs: nnx.Rngs) -> nnx.Conv:
    return nnx.Conv(
        channels,
        layer.features,
        (layer.kernel,) * rank,
        (layer.stride,) * rank,
        kernel_dilation=(layer.dilation,) * rank,
        feature_group_count=layer.groups,
        rngs=rngs,
    )


def _both(
    layer: Residual | Skip, channels: int, rank: int, rngs: nnx.Rngs
) -> tuple[nnx.Module, int]:
    body, out = build(layer.body, channels, rank, rngs)
    if isinstance(layer, Skip):
        return Both(body, None, beside=True), channels + out
    shortcut = build(layer.shortcut, channels, rank, rngs)[0] if layer.shortcut else None
    return Both(body, shortcut, beside=False), out
