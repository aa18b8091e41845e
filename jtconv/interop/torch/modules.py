"""Modules of torch as layers of flax.nnx with the same weights, and back.

Transposed convolutions, and what goes with them in a Sequential: a table of torch's classes, of
which each part has a file beside this one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from flax import nnx

from jtconv.interop.numpy_layer import is_one_of, load
from jtconv.interop.torch import convolutions, norms
from jtconv.interop.torch.activations import ACTIVATIONS, OTHERS
from jtconv.interop.torch.convolutions import CONVOLUTIONS
from jtconv.interop.torch.norms import NORMS
from jtconv.interop.torch.padding import PADDING
from jtconv.interop.torch.pooling import POOLING
from jtconv.interop.torch.rearranging import REARRANGING
from jtconv.interop.torch.resizing import RESIZING
from jtconv.interop.torch.table import Function, Layer, bare

if TYPE_CHECKING:
    import torch

FUNCTIONS: dict[str, Function] = {**ACTIVATIONS, **POOLING, **PADDING, **RESIZING, **REARRANGING}
LAYERS: dict[str, Layer] = {**CONVOLUTIONS, **NORMS, **OTHERS}
# The way back: what makes the module of each class of layers, Flax's own included.
FROM_NNX: dict[type, Any] = {
    **convolutions.OF_FLAX,
    **norms.OF_FLAX,
    **{row.kind: row.from_nnx for row in LAYERS.values()},
}


# What moves a module of a class that is not torch's own: the module to a layer or function.
Own = Mapping[type, Callable[[Any], Any]]


def to_nnx(module: torch.nn.Module, rngs: nnx.Rngs | None = None, *, own: Own | None = None) -> Any:
    """A torch module as a flax.nnx layer with the same weights, to the bit.

    The layer is channels last, as all of Flax: where torch takes ``x``, ``(N, C, *spatial)``,
    it takes ``jnp.moveaxis(x, 1, -1)`` and gives torch's output moved likewise, also where a
    module makes another number of axes (Flatten) or works along one (Softmax, Linear, LayerNorm):
    axes are counted as torch counts them. What differs in training, normalizations and dropout,
    is in training where the module is; ``layer.eval()`` and ``layer.train()`` switch it.

    Args:
        module: a ``ConvTranspose1d``, ``2d`` or ``3d``, or a ``Sequential``, nested or not, of
            these and of what generators, decoders and heads have around them: convolutions
            (every ``padding_mode``), Linear, batch, instance, layer and group normalizations,
            activations, dropout, pooling, padding, Upsample, pixel and channel shuffles, Flatten
            and Unflatten. Pruned ones too, or under ``weight_norm``, ``spectral_norm`` or
            another parametrization: the weight that this makes is taken.
        rngs: where dropout takes its numbers from; ``nnx.Rngs(0)`` if None.
        own: what moves modules of classes that are not torch's, as ``{Snake: snake_to_nnx}``: each
            function is given the module and returns a layer, or a function of a channels-last
            array. It comes before what is known here, also for subclasses.

    Returns:
        A layer, such as a :class:`jtconv.nnx.ConvTranspose` or a ``flax.nnx.Sequential``, or a
        function where the module has nothing to learn. A transposed convolution keeps its kernel
        as torch does, which is ``transpose_kernel=True`` in Flax: its array means something else
        to a layer without. :func:`jtconv.interop.flax.to_nnx` with ``transpose_kernel=False`` puts
        it in the other order, and :func:`jtconv.interop.flax.to_linen` in that of its target.

    Raises:
        TypeError: for a module that has no counterpart, naming it and where it is, as in
            ``module[1].block[0]``, and for a subclass with a ``forward`` of its own; for a
            state_dict, of which :func:`from_state_dict` takes one layer.
        ImportError: where torch is not installed.
    """
    if isinstance(module, Mapping):
        raise TypeError(
            "module is a mapping: a state_dict holds weights, but no strides and no order. For one "
            "layer write torch.from_state_dict(state_dict, prefix, stride=...); for a whole "
            "module make it, module.load_state_dict(state_dict), and pass the module."
        )
    nn = load("torch").nn
    return _to_nnx(nn, module, nnx.Rngs(0) if rngs is None else rngs, own or {}, "module")


def _to_nnx(nn: Any, module: Any, rngs: nnx.Rngs, own: Own, path: str) -> Any:
    mover = next((own[kind] for kind in type(module).__mro__ if kind in own), None)
    try:
        if mover is not None:
            return mover(module)
        if not is_one_of(module, (nn.Sequential,), "forward"):
            return _row(nn, module).to_nnx(module, rngs)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{path}: {error}") from None
    children = module.named_children()
    return nnx.Sequential(
        *(_to_nnx(nn, child, rngs, own, _at(path, name)) for name, child in children)
    )


def _at(path: str, name: str) -> str:
    return f"{path}[{name}]" if name.isdigit() else f"{path}.{name}"


def _row(nn: Any, module: Any) -> Function | Layer:
    """The row of a module's class, or of the nearest class that it is derived from."""
    if isinstance(module, nn.modules.lazy.LazyModuleMixin):
        raise ValueError("module has no weight yet, being lazy: run it on an input once.")
    rows = {getattr(nn, name): row for name, row in (FUNCTIONS | LAYERS).items()}
    for kind in type(module).__mro__:
        if kind in rows and is_one_of(module, (kind,), "forward"):
            return rows[kind]
    raise TypeError(
        f"{type(module).__module__}.{type(module).__name__} has no counterpart here. These have: "
        f"Sequential, {', '.join(LAYERS | FUNCTIONS)}. Say how it moves: "
        f"to_nnx(module, own={{{type(module).__name__}: function}})."
    )


def from_nnx(layer: Any) -> torch.nn.Module:
    """A flax.nnx layer as a torch module with the same weights, to the bit: the way back.

    Args:
        layer: a :class:`jtconv.nnx.ConvTranspose` or Flax's own, or a ``flax.nnx.Sequential`` of
            what :func:`to_nnx` can give.

    Raises:
        ValueError: for what torch cannot express, such as crops that are longer at the end.
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
    for kind in type(layer).__mro__:
        if kind in FROM_NNX and is_one_of(layer, (kind,)):
            return FROM_NNX[kind](nn, layer, rank)
    for name, row in FUNCTIONS.items():
        module = row.from_nnx(getattr(nn, name), layer)
        if module is not None:
            return module
    name = getattr(bare(layer), "__name__", type(layer).__name__)
    raise TypeError(f"layer: {name} has no counterpart in torch that is known here.")
