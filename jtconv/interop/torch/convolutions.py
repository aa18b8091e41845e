"""torch's transposed convolutions, convolutions and linear layers, with their weights, and back."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
from flax import nnx

from jtconv.conventions import Inexpressible
from jtconv.conventions import torch as convention
from jtconv.interop import numpy_layer
from jtconv.interop.numpy_layer import NumpyLayer, on_jax
from jtconv.interop.torch import padding as pads
from jtconv.interop.torch.table import Layer
from jtconv.interop.torch.tensors import fill, parameter
from jtconv.layers import masked
from jtconv.nnx import ConvTranspose
from jtconv.problem import arguments
from jtconv.problem import padding as ours


class Conv(nnx.Conv):
    """Flax's, of an input padded by cells of its own, as torch's ``padding_mode`` has it."""

    pads: pads.Pairs
    mode: str

    def __call__(self, inputs: jax.Array) -> jax.Array:
        """``(*batch, *spatial, C_in)`` to ``(*batch, *out, C_out)``."""
        return super().__call__(pads.pad(inputs, self.pads, self.mode))


class Linear(nnx.Linear):
    """Flax's, along torch's last axis, which is that of the channels where there is no other."""

    def __call__(self, inputs: jax.Array) -> jax.Array:
        """``(*batch, C_in)`` to ``(*batch, C_out)``, or likewise along the last spatial axis."""
        if inputs.ndim < 3:
            return super().__call__(inputs)
        return super().__call__(inputs.swapaxes(-1, -2)).swapaxes(-1, -2)


def _check_rank(rank: int) -> None:
    if rank > 3:
        raise ValueError(f"layer has {rank} spatial axes, torch's have 1 to 3.")


def _nnx_conv_transpose(module: Any, rngs: nnx.Rngs) -> ConvTranspose:
    return numpy_layer.to_nnx(_conv_transpose(module))


def _conv_transpose(module: Any) -> NumpyLayer:
    channels = module.in_channels, module.out_channels // module.groups
    weight = parameter(module, "weight", (*channels, *module.kernel_size))
    return NumpyLayer(
        weight.transpose(*range(2, weight.ndim), 1, 0),
        parameter(module, "bias", (module.out_channels,)),
        tuple(module.stride),
        tuple(module.dilation),
        tuple((pad, pad) for pad in module.padding),
        tuple(module.output_padding),
        module.groups,
    )


def _torch_conv_transpose(nn: Any, given: Any, rank: int) -> Any:
    layer = numpy_layer.from_nnx(given)
    _check_rank(layer.rank)
    module = getattr(nn, f"ConvTranspose{layer.rank}d")(
        layer.in_channels,
        layer.out_channels,
        layer.size,
        layer.stride,
        groups=layer.groups,
        bias=layer.bias is not None,
        dilation=layer.dilation,
        **layer.padding_as(convention.from_crops),
    )
    weight = layer.masked.transpose(-1, -2, *range(layer.rank))
    return fill(module, weight=weight, bias=layer.bias)


def _conv(module: Any, rngs: nnx.Rngs) -> nnx.Conv:
    channels = module.out_channels, module.in_channels // module.groups
    weight = parameter(module, "weight", (*channels, *module.kernel_size))
    kernel = on_jax("weight", weight.transpose(*range(2, weight.ndim), 1, 0))
    bias = on_jax("bias", parameter(module, "bias", (module.out_channels,)))
    plain = module.padding_mode == "zeros"
    made = (nnx.Conv if plain else Conv)(
        module.in_channels,
        module.out_channels,
        module.kernel_size,
        module.stride,
        padding=_flax_padding(module.padding) if plain else "VALID",
        kernel_dilation=module.dilation,
        feature_group_count=module.groups,
        use_bias=bias is not None,
        kernel_init=lambda *_: kernel,
        bias_init=lambda *_: bias,
        param_dtype=kernel.dtype,
        rngs=rngs,
    )
    if isinstance(made, Conv):
        rank = len(module.kernel_size)
        made.pads = pads.pairs_of(module._reversed_padding_repeated_twice, rank)
        made.mode = module.padding_mode
    return made


def _flax_padding(padding: Any) -> Any:
    return padding.upper() if isinstance(padding, str) else [(pad, pad) for pad in padding]


def _torch_conv(nn: Any, layer: nnx.Conv, _: int) -> Any:
    kernel = np.asarray(masked(layer.kernel[...], layer.mask))
    rank = kernel.ndim - 2
    _check_rank(rank)
    if set(_per_axis(layer.input_dilation, rank)) != {1}:
        raise ValueError(
            f"layer has input_dilation={layer.input_dilation}, torch has none, it must be 1: use "
            "a ConvTranspose."
        )
    module = getattr(nn, f"Conv{rank}d")(
        layer.in_features,
        layer.out_features,
        kernel.shape[:rank],
        _per_axis(layer.strides, rank),
        **_torch_padding(layer, rank),
        dilation=_per_axis(layer.kernel_dilation, rank),
        groups=layer.feature_group_count,
        bias=layer.bias is not None,
    )
    bias = None if layer.bias is None else np.asarray(layer.bias[...])
    return fill(module, weight=kernel.transpose(-1, -2, *range(rank)), bias=bias)


def _per_axis(value: Any, rank: int) -> tuple[int, ...]:
    return arguments.per_axis("strides", 1 if value is None else value, rank)


def _torch_padding(layer: nnx.Conv, rank: int) -> dict[str, Any]:
    if isinstance(layer, Conv):
        mode, kernel = {"padding_mode": layer.mode}, layer.kernel.shape[:rank]
        spans = ours.effective_kernels(kernel, _per_axis(layer.kernel_dilation, rank))
        if layer.pads == tuple(((d - 1) // 2, d // 2) for d in spans):
            return {"padding": "same", **mode}
        return {**convention.from_zeros(layer.pads), **mode}
    padding: Any = layer.padding
    if isinstance(padding, str):
        if padding.upper() in ("SAME", "VALID"):
            return {"padding": padding.lower()}
        raise ValueError(
            f"padding={padding!r} of a convolution is not in torch, which knows the names 'SAME' "
            "and 'VALID'."
        )
    pairs: Any = ours.parse(padding, rank)
    try:
        return convention.from_zeros(pairs)
    except Inexpressible as why:
        raise ValueError(f"padding={padding!r} of a convolution: {why}.") from None


def _linear(module: Any, rngs: nnx.Rngs) -> Linear:
    weight = parameter(module, "weight", (module.out_features, module.in_features))
    kernel = on_jax("weight", weight.T)
    bias = on_jax("bias", parameter(module, "bias", (module.out_features,)))
    return Linear(
        module.in_features,
        module.out_features,
        use_bias=bias is not None,
        kernel_init=lambda *_: kernel,
        bias_init=lambda *_: bias,
        param_dtype=kernel.dtype,
        rngs=rngs,
    )


def _torch_linear(nn: Any, layer: Linear, rank: int) -> Any:
    bias = None if layer.bias is None else np.asarray(layer.bias[...])
    module = nn.Linear(layer.in_features, layer.out_features, bias is not None)
    return fill(module, weight=np.asarray(layer.kernel[...]).T, bias=bias)


CONVOLUTIONS = {
    **{
        f"ConvTranspose{rank}d": Layer(ConvTranspose, _nnx_conv_transpose, _torch_conv_transpose)
        for rank in (1, 2, 3)
    },
    **{f"Conv{rank}d": Layer(Conv, _conv, _torch_conv) for rank in (1, 2, 3)},
    "Linear": Layer(Linear, _linear, _torch_linear),
}
OF_FLAX = {nnx.ConvTranspose: _torch_conv_transpose, nnx.Conv: _torch_conv}
