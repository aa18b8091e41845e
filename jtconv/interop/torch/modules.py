"""torch.nn.ConvTranspose1d, 2d and 3d, and what stands beside them in a Sequential."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flax import nnx

from jtconv.interop import layer as hub
from jtconv.interop.framework import is_one_of, load
from jtconv.interop.layer import Layer
from jtconv.interop.torch import beside
from jtconv.interop.torch.tensors import fill, parameter
from jtconv.problem import padding

if TYPE_CHECKING:
    import torch


def to_nnx(module: torch.nn.Module) -> Any:
    """A torch module as a flax.nnx layer with the same weights, to the bit.

    The layer is channels last, as all of Flax: where torch takes ``x``, ``(N, C, *spatial)``,
    it takes ``jnp.moveaxis(x, 1, -1)`` and gives torch's output moved likewise.

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
    torch = load("torch")
    if is_one_of(module, (torch.nn.Sequential,), "forward"):
        return nnx.Sequential(*(to_nnx(child) for child in module))
    if is_one_of(module, _transposed_classes(torch), "forward"):
        return hub.to_nnx(_layer(module))
    return beside.to_nnx(module)


def from_nnx(layer: Any) -> torch.nn.Module:
    """A flax.nnx layer as a torch module with the same weights, to the bit: the way back.

    Args:
        layer: a :class:`jtconv.nnx.ConvTranspose` or Flax's own, or a ``flax.nnx.Sequential`` of
            what :func:`to_nnx` can give.

    Raises:
        ValueError: for what torch has no words for, such as crops that are longer in front.
        TypeError: for a layer that has no counterpart, naming it.
        ImportError: where torch is not installed.
    """
    return _from_nnx(load("torch"), layer, _rank(layer))


def _from_nnx(torch: Any, layer: Any, rank: int) -> Any:
    if is_one_of(layer, (nnx.Sequential,)):
        return torch.nn.Sequential(*(_from_nnx(torch, child, rank) for child in layer.layers))
    if isinstance(layer, nnx.ConvTranspose):
        return _module(torch, hub.from_nnx(layer))
    return beside.from_nnx(layer, rank)


def _rank(model: Any) -> int:
    """Spatial axes of the first convolution inside, which a normalization has to be told."""
    kinds = nnx.Conv | nnx.ConvTranspose
    kernels = (node.kernel for _, node in nnx.iter_graph(model) if isinstance(node, kinds))
    return next((kernel.ndim - 2 for kernel in kernels), 2)


def _transposed_classes(torch: Any) -> tuple[Any, ...]:
    return (torch.nn.ConvTranspose1d, torch.nn.ConvTranspose2d, torch.nn.ConvTranspose3d)


def _layer(module: Any) -> Layer:
    narrow = module.out_channels // module.groups
    weight = parameter(module, "weight", (module.in_channels, narrow, *module.kernel_size))
    return Layer(
        weight.transpose(*range(2, weight.ndim), 1, 0),
        parameter(module, "bias", (module.out_channels,)),
        tuple(module.stride),
        tuple(module.dilation),
        tuple((pad, pad) for pad in module.padding),
        tuple(module.output_padding),
        module.groups,
    )


def _module(torch: Any, layer: Layer) -> Any:
    if layer.rank > 3:
        raise ValueError(f"layer has {layer.rank} spatial axes, torch's have 1 to 3.")
    said = []
    for axis, (pair, s, d) in enumerate(
        zip(layer.crops, layer.stride, layer.dilation, strict=True)
    ):
        words = padding.to_torch(pair, s, d)
        if words is None:
            raise ValueError(
                f"padding: the crops {pair} of spatial axis {axis} have no words in torch, which "
                f"crops lo >= 0 cells in front and lo to lo - {max(s, d) - 1} behind. Crop less "
                "in the layer, and the rest of its output by a slice."
            )
        said.append(words)
    before, after = zip(*said, strict=True)
    module = getattr(torch.nn, f"ConvTranspose{layer.rank}d")(
        layer.in_channels,
        layer.out_channels,
        layer.size,
        layer.stride,
        before,
        after,
        layer.groups,
        layer.bias is not None,
        layer.dilation,
    )
    weight = layer.masked.transpose(-1, -2, *range(layer.rank))
    return fill(module, weight=weight, bias=layer.bias)
