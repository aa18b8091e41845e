"""torch's modules that move numbers about, as functions of channels-last arrays."""

from __future__ import annotations

import math
from typing import Any

import jax

from jtconv import upsampling
from jtconv.interop.torch.arrays import channels_first, channels_last, space
from jtconv.interop.torch.table import Function


def pixel_shuffle(x: jax.Array, upscale_factor: int) -> jax.Array:
    """Channels to space: ``(*batch, H, W, C * r * r)`` to ``(*batch, H * r, W * r, C)``."""
    space(x, 2)
    if x.shape[-1] % upscale_factor**2:
        raise ValueError(
            f"inputs must have a multiple of upscale_factor**2 = {upscale_factor**2} channels, "
            f"got {x.shape}."
        )
    return upsampling.pixel_shuffle(x, (upscale_factor, upscale_factor))


def pixel_unshuffle(x: jax.Array, downscale_factor: int) -> jax.Array:
    """Space to channels, the way back."""
    space(x, 2)
    r, (height, width) = downscale_factor, x.shape[-3:-1]
    if height % r or width % r:
        raise ValueError(f"inputs must have spatial sizes that {r} divides, got {x.shape}.")
    return upsampling.pixel_unshuffle(x, (r, r))


def channel_shuffle(x: jax.Array, groups: int) -> jax.Array:
    """The channels of the groups in turn, one of each."""
    channels = x.shape[-1]
    if channels % groups:
        raise ValueError(f"groups must divide the channels of inputs, got {groups}, {x.shape}.")
    x = x.reshape(*x.shape[:-1], groups, channels // groups)
    return x.swapaxes(-1, -2).reshape(*x.shape[:-2], channels)


def flatten(x: jax.Array, start_dim: int = 1, end_dim: int = -1) -> jax.Array:
    """torch's axes from one to the other as one, in torch's order."""
    first, last = (_within(x, dim) for dim in (start_dim, end_dim))
    if first > last:
        raise ValueError(f"start_dim={start_dim} comes after end_dim={end_dim} in {x.shape}.")
    x = channels_first(x)
    shape = x.shape[:first], math.prod(x.shape[first : last + 1]), x.shape[last + 1 :]
    return channels_last(x.reshape(*shape[0], shape[1], *shape[2]))


def unflatten(x: jax.Array, dim: int, unflattened_size: Any) -> jax.Array:
    """torch's axis ``dim`` as several."""
    at = _within(x, dim)
    x = channels_first(x)
    return channels_last(x.reshape(*x.shape[:at], *unflattened_size, *x.shape[at + 1 :]))


def _within(x: jax.Array, dim: int) -> int:
    if not -x.ndim <= dim < x.ndim:
        raise ValueError(f"dim must be an axis of inputs {x.shape}, got {dim}.")
    return dim % x.ndim


REARRANGING = {
    "PixelShuffle": Function(pixel_shuffle, ("upscale_factor",)),
    "PixelUnshuffle": Function(pixel_unshuffle, ("downscale_factor",)),
    "ChannelShuffle": Function(channel_shuffle, ("groups",)),
    "Flatten": Function(flatten, ("start_dim", "end_dim")),
    "Unflatten": Function(unflatten, ("dim", "unflattened_size")),
}
