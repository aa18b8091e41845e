"""Modules of torch as layers of flax.nnx with the same weights, and back.

Transposed convolutions, and what goes with them in a Sequential: convolutions, batch
normalizations and activations.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jtconv.conventions import Inexpressible
from jtconv.conventions import torch as convention
from jtconv.interop import numpy_layer
from jtconv.interop.numpy_layer import NumpyLayer, is_one_of, load, on_jax
from jtconv.interop.torch.tensors import fill, parameter, tensor_of
from jtconv.layers import masked
from jtconv.problem import arguments
from jtconv.problem import padding as ours

if TYPE_CHECKING:
    import torch

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
# Of a batch normalization: Flax's array, the kind of variable it is in, and torch's array.
BATCH_NORM: tuple[tuple[str, Any, str], ...] = (
    ("scale", nnx.Param, "weight"),
    ("bias", nnx.Param, "bias"),
    ("mean", nnx.BatchStat, "running_mean"),
    ("var", nnx.BatchStat, "running_var"),
)


def to_nnx(module: torch.nn.Module) -> Any:
    """A torch module as a flax.nnx layer with the same weights, to the bit.

    The layer is channels last, as all of Flax: where torch takes ``x``, ``(N, C, *spatial)``,
    it takes ``jnp.moveaxis(x, 1, -1)`` and gives torch's output moved likewise. In training a
    batch normalization differs a little: torch's running variance is the unbiased one of each
    batch, Flax's the biased one.

    Args:
        module: a ``ConvTranspose1d``, ``2d`` or ``3d``, also pruned, under ``weight_norm`` or
            another parametrization (the weight that this makes is taken); or a ``Sequential`` of
            these, of ``Conv1d`` to ``3d``, ``BatchNorm1d`` to ``3d`` and of activations, nested
            or not.

    Returns:
        A :class:`jtconv.nnx.ConvTranspose`, or a ``flax.nnx.Sequential``.

    Raises:
        TypeError: for a module that has no counterpart, naming it, and for a subclass with a
            ``forward`` of its own.
        ImportError: where torch is not installed.
    """
    nn = load("torch").nn
    if is_one_of(module, (nn.Sequential,), "forward"):
        return nnx.Sequential(*(to_nnx(child) for child in module))
    if is_one_of(module, (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d), "forward"):
        return numpy_layer.to_nnx(_conv_transpose(module))
    for name, function, *numbers in ACTIVATIONS:
        if type(module) is getattr(nn, name):
            keywords = {number: getattr(module, number) for number in numbers}
            return functools.partial(function, **keywords) if keywords else function
    if is_one_of(module, (nn.Conv1d, nn.Conv2d, nn.Conv3d), "forward"):
        return _nnx_conv(module)
    if is_one_of(module, (nn.SyncBatchNorm, nn.modules.batchnorm._BatchNorm), "forward"):
        return _nnx_batch_norm(module)
    raise TypeError(
        f"module: {type(module).__module__}.{type(module).__name__} has no counterpart here. "
        f"These have: Sequential, ConvTranspose1d to 3d, Conv1d to 3d, BatchNorm1d to 3d, "
        f"{', '.join(name for name, *_ in ACTIVATIONS)}."
    )


def from_nnx(layer: Any) -> torch.nn.Module:
    """A flax.nnx layer as a torch module with the same weights, to the bit: the way back.

    Args:
        layer: a :class:`jtconv.nnx.ConvTranspose` or Flax's own, or a ``flax.nnx.Sequential`` of
            what :func:`to_nnx` can give.

    Raises:
        ValueError: for what torch cannot express, such as crops that are longer behind.
        TypeError: for a layer that has no counterpart, naming it.
        ImportError: where torch is not installed.
    """
    return _from_nnx(load("torch").nn, layer, _rank(layer))


def _rank(model: Any) -> int:
    """Spatial axes of the first convolution inside, which a normalization has to be told."""
    kinds = nnx.Conv | nnx.ConvTranspose
    kernels = (node.kernel for _, node in nnx.iter_graph(model) if isinstance(node, kinds))
    return next((kernel.ndim - 2 for kernel in kernels), 2)


def _from_nnx(nn: Any, layer: Any, rank: int) -> Any:
    if is_one_of(layer, (nnx.Sequential,)):
        return nn.Sequential(*(_from_nnx(nn, child, rank) for child in layer.layers))
    if isinstance(layer, nnx.ConvTranspose):
        return _torch_conv_transpose(nn, numpy_layer.from_nnx(layer))
    bare = layer.func if isinstance(layer, functools.partial) else layer
    for name, function, *_ in ACTIVATIONS:
        if bare is function:
            return getattr(nn, name)(*getattr(layer, "keywords", {}).values())
    if is_one_of(layer, (nnx.Conv,)):
        return _torch_conv(nn, layer)
    if is_one_of(layer, (nnx.BatchNorm,)):
        return _torch_batch_norm(nn, layer, rank)
    name = getattr(bare, "__name__", type(bare).__name__)
    raise TypeError(f"layer: {name} has no counterpart in torch that is known here.")


def _check_rank(rank: int) -> None:
    if rank > 3:
        raise ValueError(f"layer has {rank} spatial axes, torch's have 1 to 3.")


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


def _torch_conv_transpose(nn: Any, layer: NumpyLayer) -> Any:
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


def _nnx_conv(module: Any) -> nnx.Conv:
    if module.padding_mode != "zeros":
        raise TypeError(f"module: padding_mode={module.padding_mode!r} has no counterpart here.")
    channels = module.out_channels, module.in_channels // module.groups
    weight = parameter(module, "weight", (*channels, *module.kernel_size))
    kernel = on_jax("weight", weight.transpose(*range(2, weight.ndim), 1, 0))
    bias = on_jax("bias", parameter(module, "bias", (module.out_channels,)))
    pads = module.padding
    return nnx.Conv(
        module.in_channels,
        module.out_channels,
        module.kernel_size,
        module.stride,
        padding=pads.upper() if isinstance(pads, str) else [(pad, pad) for pad in pads],
        kernel_dilation=module.dilation,
        feature_group_count=module.groups,
        use_bias=bias is not None,
        kernel_init=lambda *_: kernel,
        bias_init=lambda *_: bias,
        param_dtype=kernel.dtype,
        rngs=nnx.Rngs(0),
    )


def _torch_conv(nn: Any, layer: nnx.Conv) -> Any:
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
        _torch_padding(layer.padding, rank),
        _per_axis(layer.kernel_dilation, rank),
        layer.feature_group_count,
        layer.bias is not None,
    )
    bias = None if layer.bias is None else np.asarray(layer.bias[...])
    return fill(module, weight=kernel.transpose(-1, -2, *range(rank)), bias=bias)


def _per_axis(value: Any, rank: int) -> tuple[int, ...]:
    return arguments.per_axis("strides", 1 if value is None else value, rank)


def _torch_padding(padding: Any, rank: int) -> Any:
    if isinstance(padding, str):
        if padding.upper() in ("SAME", "VALID"):
            return padding.lower()
        raise ValueError(
            f"padding={padding!r} of a convolution is not in torch, which knows the names 'SAME' "
            "and 'VALID'."
        )
    pairs: Any = ours.parse(padding, rank)
    try:
        return convention.from_zeros(pairs)["padding"]
    except Inexpressible as why:
        raise ValueError(f"padding={padding!r} of a convolution: {why}.") from None


def _nnx_batch_norm(module: Any) -> nnx.BatchNorm:
    """At rest where it is at rest."""
    if module.running_mean is None or module.momentum is None:
        raise TypeError(
            "module: a BatchNorm without running statistics, or with momentum=None, has no "
            "counterpart here."
        )
    norm = nnx.BatchNorm(
        module.num_features,
        use_running_average=not module.training,
        momentum=round(1 - module.momentum, 12),
        epsilon=module.eps,
        use_bias=module.affine,
        use_scale=module.affine,
        rngs=nnx.Rngs(0),
    )
    for name, kind, theirs in BATCH_NORM:
        array = parameter(module, theirs, (module.num_features,))
        if array is not None:
            setattr(norm, name, kind(on_jax(theirs, array)))
    return norm


def _torch_batch_norm(nn: Any, layer: nnx.BatchNorm, rank: int) -> Any:
    """Among layers of so many spatial axes."""
    if layer.axis not in (-1, rank + 1):
        raise ValueError(
            f"layer has axis={layer.axis} of channels-last arrays, torch's is that of the "
            "channels: -1."
        )
    module = getattr(nn, f"BatchNorm{rank}d")(
        layer.num_features,
        layer.epsilon,
        round(1 - layer.momentum, 12),
        affine=layer.scale is not None,
    )
    for name, kind, theirs in BATCH_NORM:
        variable = getattr(layer, name)
        if variable is not None:
            tensor = tensor_of(np.asarray(variable[...]))
            setattr(module, theirs, nn.Parameter(tensor) if kind is nnx.Param else tensor)
    return module.train(not layer.use_running_average)
