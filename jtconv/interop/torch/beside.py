"""What stands beside transposed convolutions in a Sequential: both ways, one pair a row."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from jtconv.interop.framework import is_one_of
from jtconv.interop.torch import batch_norm, convolution

# torch's class, the function, and the name of its number where it has one.
ACTIVATIONS: tuple[tuple[Any, ...], ...] = (
    ("Identity", jax.nn.identity),
    ("ReLU", jax.nn.relu),
    ("ReLU6", jax.nn.relu6),
    ("Tanh", jnp.tanh),
    ("Sigmoid", jax.nn.sigmoid),
    ("SiLU", jax.nn.silu),
    ("ELU", jax.nn.elu, "alpha"),
    ("LeakyReLU", jax.nn.leaky_relu, "negative_slope"),
)


def to_nnx(module: Any) -> Any:
    """A plain convolution, a batch normalization or an activation in flax.nnx."""
    import torch

    for name, function, *numbers in ACTIVATIONS:
        if type(module) is getattr(torch.nn, name):
            keywords = {number: getattr(module, number) for number in numbers}
            return functools.partial(function, **keywords) if keywords else function
    nn = torch.nn
    if is_one_of(module, (nn.Conv1d, nn.Conv2d, nn.Conv3d), "forward"):
        return convolution.to_nnx(module)
    norms = (nn.SyncBatchNorm, nn.modules.batchnorm._BatchNorm)
    if is_one_of(module, norms, "forward"):
        return batch_norm.to_nnx(module)
    raise TypeError(
        f"module: {type(module).__module__}.{type(module).__name__} has no counterpart here. "
        f"These have: Sequential, ConvTranspose1d to 3d, Conv1d to 3d, BatchNorm1d to 3d, "
        f"{', '.join(name for name, *_ in ACTIVATIONS)}."
    )


def from_nnx(layer: Any, rank: int) -> Any:
    """The way back, among layers of so many spatial axes."""
    import torch

    bare = layer.func if isinstance(layer, functools.partial) else layer
    for name, function, *_ in ACTIVATIONS:
        if bare is function:
            return getattr(torch.nn, name)(*getattr(layer, "keywords", {}).values())
    if is_one_of(layer, (nnx.Conv,)):
        return convolution.from_nnx(layer)
    if is_one_of(layer, (nnx.BatchNorm,)):
        return batch_norm.from_nnx(layer, rank)
    name = getattr(bare, "__name__", type(bare).__name__)
    raise TypeError(f"layer: {name} has no counterpart in torch that is known here.")
