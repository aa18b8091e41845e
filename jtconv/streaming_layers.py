"""Layers of Flax piece by piece: what those of nnx and Linen share.

A layer holds parameters and arguments under Flax's names; here they become a
:class:`jtconv.streaming.Stream`, whose state the layer keeps where its framework keeps such things.
In a model, only a layer that neither lags nor has a tail can be fed piece by piece: what comes out
of it for a piece is then what it makes of these cells in the whole.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend.core import get_opaque_trace_state

from jtconv import layers, streaming
from jtconv.conventions import flax
from jtconv.problem.stream import state_of
from jtconv.problem.task import Unsupported
from jtconv.streaming import Stream

Shape = tuple[Any, ...]
State = tuple[Shape, Any]  # shape and dtype


class Layer(NamedTuple):
    """A convolution of nnx or Linen, transposed or not, of which one axis arrives in pieces."""

    name: str  # how errors call it
    arguments: Any  # the layer, whose attributes are its arguments
    axis: int  # among the spatial ones


@dataclass
class Piece:
    """What a model has done with a piece so far: the layers that it called, and with what."""

    recording: bool
    called: dict[str, State] = field(default_factory=dict)
    traces: dict[str, Any] = field(default_factory=dict)

    def add(self, name: str, inputs: jax.Array) -> None:
        """A layer is called, which must be for the first time; tracing it again is no other one."""
        trace = get_opaque_trace_state(convention="nnx")
        if self.traces.get(name) == trace:
            raise ValueError(
                "it is called twice with each piece, and has the state of one stream: make it two "
                "layers that share their parameters."
            )
        self.traces[name] = trace
        self.called[name] = inputs.shape, inputs.dtype


_PIECE: ContextVar[Piece | None] = ContextVar("piece", default=None)


@contextmanager
def one_piece(recording: bool = False) -> Iterator[Piece]:
    """While a model is called with one piece; ``recording`` only to see what its layers get."""
    token = _PIECE.set(Piece(recording))
    try:
        yield _PIECE.get() or Piece(recording)
    finally:
        _PIECE.reset(token)


def state_before(layer: Layer, shape: Shape, kernel: Any, bias: Any) -> State | None:
    """Shape and dtype of a layer's state, for pieces ``(*batch, *spatial, channels)``.

    None where it has no memory.

    Raises:
        ValueError, TypeError: for a layer that lags or has a tail, naming it.
    """
    with _naming(layer.name):
        stream = _stream(layer, kernel, bias)
        state = _state_of(stream, shape)  # which checks the shape
        return state if stream.carried.cells else None


def step(
    layer: Layer, state: jax.Array | None, inputs: jax.Array, kernel: jax.Array, bias: Any
) -> tuple[jax.Array, jax.Array]:
    """What a layer makes of a piece, and its state after that.

    Args:
        layer: which.
        state: zeros as :func:`state_before` tells, or that of the step before; None of a layer
            without memory.
        inputs: the piece, ``(*batch, *spatial, channels)``.
        kernel, bias: the layer's, of the dtype of ``inputs``.

    Raises:
        ValueError, TypeError: for a piece that does not go with the state, with what both are, and
            for a layer that a model calls twice.
    """
    with _naming(layer.name):
        piece = _PIECE.get()
        if piece is not None:
            piece.add(layer.name, inputs)
        stream = _stream(layer, kernel, bias)
        expected = _state_of(stream, inputs.shape)
        if state is None:
            if stream.carried.cells and not (piece and piece.recording):
                raise ValueError(
                    "it has no state: the piece that stream was given did not reach it."
                )
            state = jnp.zeros(*expected)
        _check_state(inputs, (state.shape, state.dtype), expected)
        batch, flat = _flat(stream, inputs.shape)
        before = state.reshape(flat[0], *state.shape[len(batch) :])
        y, after = stream.step(inputs.reshape(flat), before)
        return y.reshape(*batch, *y.shape[1:]), after.reshape(*batch, *after.shape[1:])


def _check_state(inputs: Any, state: State, expected: State) -> None:
    if state != expected:
        raise ValueError(
            f"inputs {inputs.shape} of {inputs.dtype} are not of the stream that its state is of: "
            f"that is {state[0]} of {state[1]}, theirs would be {expected[0]} of {expected[1]}. "
            "Batch, channels and dtype of all pieces must be those that the stream began with."
        )


def check_keywords(name: str, keywords: dict[str, Any]) -> None:
    """That a layer is called with nothing that a piece cannot have, such as ``output_size``."""
    for key, value in keywords.items():
        if value is not None:
            raise ValueError(f"{name}: {key} cannot be met piece by piece, got {value!r}.")


def _state_of(stream: Stream, shape: Shape) -> State:
    """Shape and dtype of the state, for a piece with any number of batch axes."""
    batch, flat = _flat(stream, shape)
    held, dtype = state_of(stream.call, flat)
    return (*batch, *held[1:]), dtype


def _flat(stream: Stream, shape: Shape) -> tuple[Shape, Shape]:
    """The batch axes, and the shape of a piece with one of them."""
    axes = stream.w.ndim - 1
    if len(shape) < axes:
        raise ValueError(
            f"inputs must have shape (*batch, {axes - 1} spatial, channels), got {shape}."
        )
    batch = shape[: len(shape) - axes]
    return batch, (math.prod(batch), *shape[len(batch) :])


def _stream(layer: Layer, kernel: Any, bias: Any) -> Stream:
    given = layer.arguments
    if hasattr(given, "transpose_kernel"):
        known = layers.keywords(given)
        stream = streaming.conv_transpose(kernel, bias, axis=layer.axis, **known)
    else:
        stream = streaming.conv(kernel, bias, axis=layer.axis, **_of_convolution(given))
    if stream.latency:
        raise ValueError(
            f"its padding, {given.padding!r}, makes a latency of {stream.latency}: outputs of so "
            f"many cells ago need inputs that are yet to come. {_causal(layer)}."
        )
    if stream.tail:
        raise ValueError(
            f"its padding, {given.padding!r}, leaves a tail of {stream.tail} cells behind the last "
            f"piece, which no piece makes. {_causal(layer)}, which crops them."
        )
    return stream


def _causal(layer: Layer) -> str:
    """What to write instead; Flax's own transposed convolution takes no such name."""
    given = layer.arguments
    advice = "Use padding='CAUSAL'"
    if not hasattr(given, "transpose_kernel"):
        return advice
    rank = len(flax.sizes(given.kernel_size))
    kernel, stride, dilation = (
        flax.per_axis(name, value, rank)[layer.axis]
        for name, value in (
            ("kernel_size", given.kernel_size),
            ("strides", given.strides),
            ("kernel_dilation", given.kernel_dilation),
        )
    )
    numbers = dilation * (kernel - 1), stride - 1
    return f"{advice}, or along that axis {numbers}, the same in numbers, as Flax's own layer wants"


def _of_convolution(layer: Any) -> dict[str, Any]:
    """The keywords of :func:`jtconv.conv` for a layer of Flax."""
    rank = len(flax.sizes(layer.kernel_size))
    if flax.per_axis("input_dilation", layer.input_dilation, rank) != (1,) * rank:
        raise ValueError(
            f"input_dilation must be 1 in a stream, got {layer.input_dilation!r}: to upsample, use "
            "ConvTranspose."
        )
    computes = getattr(layer, "conv_general_dilated", None) or lax.conv_general_dilated
    ours = computes.__module__.startswith("jtconv.")
    special = getattr(layer, "conv_general_dilated_cls", None) is not None
    if special or not (ours or computes is lax.conv_general_dilated):
        raise ValueError(
            "conv_general_dilated must be that of jax.lax in a stream: what another function makes "
            "of the cells that are carried is not known."
        )
    given = layer.kernel_size, layer.strides, layer.padding, layer.kernel_dilation
    return {
        **flax.conv_keywords(*given, layer.feature_group_count),
        "method": "dilated",  # XLA's own convolution, as Flax computes it
        "precision": layer.precision,
        "preferred_element_type": getattr(layer, "preferred_element_type", None),
    }


@contextmanager
def _naming(name: str) -> Iterator[None]:
    """Errors say which layer they are of."""
    try:
        yield
    except (ValueError, TypeError) as error:
        if type(error) not in (ValueError, TypeError, Unsupported):
            raise
        raise type(error)(f"{name}: {error}") from None


# Layers of Flax that look along time, by the names that they have in nnx and Linen.
_MIXING = {
    "GroupNorm": "normalizes over all cells, those to come too",
    "InstanceNorm": "normalizes over all cells, those to come too",
    "MultiHeadAttention": "attends to all cells, those to come too",
    "MultiHeadDotProductAttention": "attends to all cells, those to come too",
    "RNN": "begins again with each piece: feed its cell, and carry that cell's carry",
    "Bidirectional": "reads from the end",
    "ConvLocal": "has other weights at every cell",
}


def check_memory(name: str, layer: Any, use_running_average: Any = None) -> None:
    """That a layer may be fed piece by piece, as far as can be told from what Flax's layers do.

    Args:
        name: how errors call it.
        layer: any layer; what convolutions remember is not looked at here.
        use_running_average: what a batch normalization is called with, where that is known.

    Raises:
        ValueError: for one that looks along time, naming it.
    """
    kinds = [cls.__name__ for cls in type(layer).__mro__ if cls.__module__.startswith("flax.")]
    why = next((_MIXING[kind] for kind in kinds if kind in _MIXING), None)
    if getattr(layer, "decode", False):
        why = None  # attention with a cache of its own
    if {"LayerNorm", "RMSNorm"} & set(kinds) and layer.reduction_axes not in (-1, (-1,), [-1]):
        why = f"normalizes over the axes {layer.reduction_axes}, which may be those of time"
    if "BatchNorm" in kinds and not (layer.use_running_average or use_running_average):
        why = "takes its statistics from a piece: set use_running_average, as model.eval() does"
    if getattr(layer, "interpolation", "nearest") != "nearest":
        why = f"interpolates ({layer.interpolation}) between cells, those to come too"
    flaxs = kinds[:1] == ["ConvTranspose"] and not hasattr(layer, "output_padding")
    if flaxs and flax.is_unknown_name(layer.padding) and layer.padding != "CAUSAL":
        why = f"has the padding {layer.padding!r}, a name that Flax does not know"
    if why:
        raise ValueError(f"{name}: {type(layer).__name__} cannot be fed piece by piece: it {why}.")
