"""equinox.nn.ConvTranspose with its weights, both ways."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from jtconv.conventions.equinox import crops
from jtconv.interop import numpy_layer
from jtconv.interop.numpy_layer import NumpyLayer, adjoint_flipped, expect, is_one_of, load, on_jax
from jtconv.nnx import ConvTranspose
from jtconv.problem.padding import Crops

if TYPE_CHECKING:
    import equinox

__all__ = ["crops", "from_nnx", "to_nnx"]


def to_nnx(module: equinox.nn.ConvTranspose) -> ConvTranspose:
    """An Equinox layer as one of ours with the same weights, to the bit.

    Ours is channels last: where Equinox takes ``x``, ``(C, *spatial)``, it takes
    ``jnp.moveaxis(x, 0, -1)``, with any batch in front, and gives Equinox's output moved likewise.

    Args:
        module: an ``equinox.nn.ConvTranspose`` of any rank, ``ConvTranspose1d`` to ``3d`` included.

    Raises:
        ImportError: where Equinox is not installed.
    """
    if not is_one_of(module, (load("equinox").nn.ConvTranspose,)):
        raise TypeError(f"module must be an equinox.nn.ConvTranspose, got {type(module).__name__}.")
    weight, bias, rank = np.asarray(module.weight), module.bias, len(module.kernel_size)
    channels = module.out_channels, module.in_channels // module.groups
    expect("weight", weight, (*channels, *module.kernel_size))
    if bias is not None:
        expect("bias", bias, (module.out_channels, *(1,) * rank))
        bias = np.asarray(bias).reshape(-1)
    padding, output_padding = _padding(module)
    return numpy_layer.to_nnx(
        NumpyLayer(
            adjoint_flipped(weight.transpose(*range(2, rank + 2), 1, 0), module.groups),
            bias,
            tuple(module.stride),
            tuple(module.dilation),
            padding,
            output_padding,
            module.groups,
            transpose_kernel=(padding, module.padding) != ("CIRCULAR", "SAME"),
        )
    )


def from_nnx(layer: ConvTranspose) -> equinox.nn.ConvTranspose:
    """One of our layers, or of Flax's, as Equinox's with the same weights: the way back.

    Raises:
        ImportError: where Equinox is not installed.
    """
    import jax

    equinox, known = load("equinox"), numpy_layer.from_nnx(layer)
    circular = known.padding == "CIRCULAR"
    padding: Any = known.padding
    if circular:
        padding = "SAME_LOWER" if known.transpose_kernel else "SAME"
    elif padding != "SAME" or any(known.output_padding):
        # Not by the name SAME_LOWER: ours adds in front where strides outrun the kernel.
        padding = known.crops
    module = equinox.nn.ConvTranspose(
        known.rank,
        known.in_channels,
        known.out_channels,
        known.size,
        known.stride,
        padding,
        0,
        known.dilation,
        known.groups,
        known.bias is not None,
        "CIRCULAR" if circular else "ZEROS",
        key=jax.random.key(0),
    )
    kernel = adjoint_flipped(known.masked, known.groups)
    weight = on_jax("kernel", kernel.transpose(-1, -2, *range(known.rank)))
    module = equinox.tree_at(lambda m: m.weight, module, weight)
    if known.bias is None:
        return module
    bias = on_jax("bias", known.bias.reshape(-1, *(1,) * known.rank))
    return equinox.tree_at(lambda m: m.bias, module, bias)


def _padding(module: Any) -> tuple[str | tuple[Crops, ...], tuple[int, ...]]:
    """Our padding and output_padding for a module's."""
    zeros = (0,) * len(module.kernel_size)
    if module.padding_mode == "CIRCULAR":
        return "CIRCULAR", zeros
    if module.padding == "SAME" and not any(module.output_padding):
        return "SAME", zeros
    if isinstance(module.padding, str):
        numbers: Any = module.stride, module.padding, module.output_padding, module.dilation
        return crops(module.kernel_size, *numbers), zeros
    return tuple((lo, hi) for lo, hi in module.padding), tuple(module.output_padding)
