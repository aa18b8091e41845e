"""A model of flax.nnx fed piece by piece: its causal convolutions remember what they need."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jtconv import layers, streaming_layers
from jtconv.conventions import flax
from jtconv.nnx.conv import Conv
from jtconv.nnx.conv_transpose import ConvTranspose
from jtconv.problem import arguments
from jtconv.streaming_layers import Layer

Model = TypeVar("Model", bound=nnx.Module)


class StreamState(nnx.Variable[jax.Array]):
    """What a layer carries from piece to piece: inputs, or sums of outputs that have begun.

    A type of its own, so that ``nnx.split(model, StreamState, ...)`` parts it from parameters.
    """


def stream(model: Model, batch: Any, *, axis: int = 0) -> Model:
    """A model that is called with a piece at a time and gives the next piece of the result.

    What it gives for all pieces, joined along time, is what ``model`` gives for all at once,
    however they are cut. Every ``Conv`` and ``ConvTranspose`` inside, Flax's or ours, keeps in a
    :class:`StreamState` what it needs of the pieces before; layers without memory stay as they are.
    :func:`reset` begins anew. Several streams at once are a batch, or ``nnx.vmap`` over the
    states.

    Args:
        model: a module whose convolutions are causal: ``padding="CAUSAL"``, or numbers that mean
            the same. What its own code does with arrays is not looked at: nothing in it may look
            along time (no pooling, cropping or reversing), and each layer is called once a piece.
        batch: the examples of a piece: an int, or one for each batch axis, ``()`` for none. Of
            models with more spatial axes than time: a piece, or a ``jax.ShapeDtypeStruct`` of one.
        axis: the spatial axis of every layer that is time.

    Returns:
        A model of the same class and tree, which shares the parameters of ``model``, and all other
        variables. ``model`` itself stays as it is.

    Raises:
        ValueError, TypeError: for a layer that would lag or that looks along time, naming it, and
            where a piece is wrong: one of another batch, channels or dtype than before, or of a
            length that a stride does not divide.

    SoundStream (arXiv:2107.03312) and EnCodec (arXiv:2210.13438) are models of this kind.

    >>> import jax.numpy as jnp
    >>> from flax import nnx
    >>> up = nnx.ConvTranspose(2, 3, 4, 2, padding=[(3, 1)], rngs=nnx.Rngs(0))  # causal
    >>> x, piecewise = jnp.ones((1, 5, 2)), stream(up, batch=1)
    >>> pieces = [piecewise(x[:, :2]), piecewise(x[:, 2:])]
    >>> bool(jnp.allclose(jnp.concatenate(pieces, 1), up(x), atol=1e-6))
    True
    """
    if not isinstance(model, nnx.Module):
        raise TypeError(
            f"model must be a module of flax.nnx, got {type(model).__name__}. For Linen there is "
            "jtconv.linen.stream."
        )
    for name, layer in _named(model):
        streaming_layers.check_memory(name, layer)
    copy = nnx.clone(model, variables=False)
    convolutions = [layer for _, layer in _named(copy) if isinstance(layer, _KINDS)]
    for name, layer in _named(copy):
        if isinstance(layer, _KINDS):
            layer.stream_name, layer.stream_axis = name, axis
            layer.stream_state = nnx.data(None)
            kind: Any = type(layer)
            _become(layer, _streamed(kind))
    fed = _as_seen(copy, batch) if hasattr(batch, "shape") else _as_counted(convolutions, batch)
    for layer in convolutions:
        if layer.stream_name in fed:
            layer.stream_state = _before(layer, *fed[layer.stream_name])
    if not isinstance(copy, _KINDS):
        cls: Any = type(copy)
        _become(copy, _fed(cls))
    return copy


def reset(model: Model) -> Model:
    """Let a streamed model begin anew: its states become zeros, in place.

    Returns:
        The same model.

    Raises:
        TypeError: if ``model`` is none that :func:`stream` made.
    """
    states = [leaf for _, leaf in nnx.iter_graph(model) if isinstance(leaf, StreamState)]
    if not any(isinstance(node, _Streamed) for _, node in nnx.iter_graph(model)):
        raise TypeError(
            f"model must be one that jtconv.nnx.stream made, got {type(model).__name__}."
        )
    for state in states:
        state[...] = jnp.zeros_like(state[...])
    return model


class _Streamed(nnx.Module):  # so that an instance of Flax's class may become one of these
    """A convolution of nnx, of which one axis arrives in pieces."""

    stream_name: str
    stream_axis: int
    stream_state: StreamState | None

    def __call__(self, inputs: jax.Array | np.ndarray, **keywords: Any) -> jax.Array:
        """The outputs of a piece, ``(*batch, *spatial, in_features)``; keywords must be None."""
        streaming_layers.check_keywords(self.stream_name, keywords)
        held = self.stream_state
        y, after = streaming_layers.step(
            Layer(self.stream_name, self, self.stream_axis),
            None if held is None else held[...],
            *_promoted(self, inputs),
        )
        if held is not None:
            held[...] = after
        return y


class _StreamedConv(_Streamed, Conv):
    pass


class _StreamedConvTranspose(_Streamed, ConvTranspose):
    pass


class _Fed(nnx.Module):
    """A model that is called with a piece at a time."""

    def __call__(self, *args: Any, **keywords: Any) -> Any:
        with streaming_layers.one_piece():
            return super().__call__(*args, **keywords)


_KINDS = (nnx.Conv, nnx.ConvTranspose)


def _named(model: nnx.Module) -> Iterator[tuple[str, Any]]:
    """The modules inside, and how a user would write where they are."""
    for path, node in nnx.iter_graph(model):
        if isinstance(node, nnx.Module):
            steps = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
            yield "".join(steps).removeprefix(".") or type(node).__name__, node


def _promoted(layer: Any, inputs: Any) -> tuple[jax.Array, jax.Array, jax.Array | None]:
    """What a layer computes with, of one dtype."""
    kernel = layers.masked(layer.kernel[...], layer.mask)
    bias = None if layer.bias is None else layer.bias[...]
    return layer.promote_dtype((inputs, kernel, bias), dtype=layer.dtype)


def _before(layer: Any, shape: tuple[Any, ...], dtype: Any) -> Any:
    """The state for pieces like this one: none, where nothing has to be carried."""
    _, *arrays = _promoted(layer, jnp.zeros((), dtype))
    where = Layer(layer.stream_name, layer, layer.stream_axis)
    state = streaming_layers.state_before(where, shape, *arrays)
    return nnx.data(None) if state is None else StreamState(jnp.zeros(*state))


def _as_seen(model: Any, piece: Any) -> dict[str, streaming_layers.State]:
    """Shape and dtype that each layer gets of such a piece."""
    graph, state = nnx.split(model)
    piece = jax.ShapeDtypeStruct(piece.shape, piece.dtype)
    with streaming_layers.one_piece(recording=True) as seen:
        jax.eval_shape(lambda state, piece: nnx.merge(graph, state)(piece), state, piece)
    return seen.called


def _as_counted(convolutions: list[Any], batch: Any) -> dict[str, streaming_layers.State]:
    """Shape and dtype that each layer gets, where time is the only spatial axis."""
    one = arguments.sequence(batch) is None
    axes = arguments.shape("batch", (batch,) if one else batch, least=0)
    for layer in convolutions:
        if len(layer.kernel_size) > 1:
            raise ValueError(
                f"batch must be a piece, or a jax.ShapeDtypeStruct of one, got {batch!r}: "
                f"{layer.stream_name} has {len(layer.kernel_size)} spatial axes, of which only "
                "time may have any size."
            )
    return {
        layer.stream_name: (
            (*axes, *flax.per_axis("strides", layer.strides, 1), layer.in_features),
            layer.kernel[...].dtype,
        )
        for layer in convolutions
    }


def _become(node: Any, cls: Any) -> None:
    # Not by nnx's own setattr, which would write the class down as an attribute.
    object.__setattr__(node, "__class__", cls)


@functools.cache
def _streamed(cls: Any) -> Any:
    """The class with our way to compute in place of Flax's, under whatever it overrides."""
    base = _StreamedConv if issubclass(cls, nnx.Conv) else _StreamedConvTranspose
    if issubclass(cls, _Streamed):
        return cls
    if issubclass(base, cls):
        return base
    return type(cls.__name__, (cls, base), {"__module__": cls.__module__})


@functools.cache
def _fed(cls: Any) -> Any:
    """The class, whose call is one piece."""
    if issubclass(cls, _Fed):
        return cls
    return type(cls.__name__, (_Fed, cls), {"__module__": cls.__module__})
