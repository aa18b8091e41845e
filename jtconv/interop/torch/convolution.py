"""torch.nn.Conv1d to 3d as flax.nnx.Conv, and back."""

from __future__ import annotations

from typing import Any

import numpy as np
from flax import nnx

from jtconv.interop.parameters import on_jax
from jtconv.interop.torch.tensors import fill, parameter
from jtconv.layers import masked
from jtconv.problem import arguments, padding


def to_nnx(module: Any) -> nnx.Conv:
    """torch's Conv1d to 3d as Flax's."""
    if module.padding_mode != "zeros":
        raise TypeError(f"module: padding_mode={module.padding_mode!r} has no counterpart here.")
    narrow = module.in_channels // module.groups
    weight = parameter(module, "weight", (module.out_channels, narrow, *module.kernel_size))
    kernel = on_jax("weight", weight.transpose(*range(2, weight.ndim), 1, 0))
    bias = on_jax("bias", parameter(module, "bias", (module.out_channels,)))
    return nnx.Conv(
        module.in_channels,
        module.out_channels,
        module.kernel_size,
        module.stride,
        padding=_flax_padding(module.padding),
        kernel_dilation=module.dilation,
        feature_group_count=module.groups,
        use_bias=bias is not None,
        kernel_init=lambda *_: kernel,
        bias_init=lambda *_: bias,
        param_dtype=kernel.dtype,
        rngs=nnx.Rngs(0),
    )


def from_nnx(layer: nnx.Conv) -> Any:
    """The way back."""
    import torch

    kernel = np.asarray(masked(layer.kernel[...], layer.mask))
    rank = kernel.ndim - 2
    _refuse(layer, rank)
    module = getattr(torch.nn, f"Conv{rank}d")(
        layer.in_features,
        layer.out_features,
        kernel.shape[:rank],
        _each(layer.strides, rank),
        _torch_padding(layer.padding, rank),
        _each(layer.kernel_dilation, rank),
        layer.feature_group_count,
        layer.bias is not None,
    )
    weight = kernel.transpose(-1, -2, *range(rank))
    bias = None if layer.bias is None else np.asarray(layer.bias[...])
    return fill(module, weight=weight, bias=bias)


def _refuse(layer: nnx.Conv, rank: int) -> None:
    if rank > 3:
        raise ValueError(f"layer has {rank} spatial axes, torch's have 1 to 3.")
    if set(_each(layer.input_dilation, rank)) != {1}:
        raise ValueError(
            f"layer has input_dilation={layer.input_dilation}, torch has none, it must be 1: use "
            "a ConvTranspose."
        )


def _each(value: Any, rank: int) -> tuple[int, ...]:
    return arguments.per_axis("strides", 1 if value is None else value, rank)


def _flax_padding(asked: Any) -> Any:
    return asked.upper() if isinstance(asked, str) else [(pad, pad) for pad in asked]


def _torch_padding(asked: Any, rank: int) -> Any:
    named = isinstance(asked, str)
    if named and asked.upper() in ("SAME", "VALID"):
        return asked.lower()
    pads: Any = () if named else padding.parse(asked, rank)
    if named or any(before != behind for before, behind in pads):
        raise ValueError(
            f"padding={asked!r} of a convolution has no words in torch, which pads both ends "
            "alike, or by 'SAME' or 'VALID'."
        )
    return tuple(before for before, _ in pads)
