"""keras.layers.Conv1DTranspose, 2D and 3D with their weights, both ways."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from flax import nnx

from jtconv.interop import layer as hub
from jtconv.interop.framework import is_one_of, load
from jtconv.interop.keras.functional import crops
from jtconv.interop.layer import Layer
from jtconv.interop.parameters import expect
from jtconv.problem.padding import Crops, from_keras

if TYPE_CHECKING:
    import keras

# The activations that Keras and JAX compute alike.
ACTIVATIONS = {
    "relu": jax.nn.relu,
    "relu6": jax.nn.relu6,
    "sigmoid": jax.nn.sigmoid,
    "tanh": jnp.tanh,
    "silu": jax.nn.silu,
    "elu": jax.nn.elu,
    "selu": jax.nn.selu,
    "softplus": jax.nn.softplus,
    "softmax": jax.nn.softmax,
}


def to_nnx(layer: keras.Layer) -> Any:
    """A Keras layer as one of ours with the same weights, to the bit.

    Ours is channels last: where Keras was told "channels_first" it takes
    ``jnp.moveaxis(x, 1, -1)`` and gives Keras's output moved likewise.

    Args:
        layer: a built ``Conv1DTranspose``, ``Conv2DTranspose`` or ``Conv3DTranspose``.

    Returns:
        A :class:`jtconv.nnx.ConvTranspose`, or where the layer has an activation a
        ``flax.nnx.Sequential`` of the two.

    Raises:
        TypeError: for another layer or an activation that has no counterpart, naming it.
        ImportError: where Keras is not installed.
    """
    keras = load("keras")
    kinds = (
        keras.layers.Conv1DTranspose,
        keras.layers.Conv2DTranspose,
        keras.layers.Conv3DTranspose,
    )
    if not is_one_of(layer, kinds, "call"):
        raise TypeError(
            "layer must be a Keras Conv1DTranspose, Conv2DTranspose or Conv3DTranspose, got "
            f"{type(layer).__name__}."
        )
    if not layer.built:
        raise ValueError("layer has no weights yet: call it, or layer.build(input_shape).")
    activation = _activation(keras, layer)
    moved = hub.to_nnx(_layer(keras, layer))
    if layer.compute_dtype != layer.variable_dtype:  # mixed precision
        moved.dtype = jnp.dtype(layer.compute_dtype)
    return moved if activation is None else nnx.Sequential(moved, activation)


def from_nnx(layer: Any) -> keras.Layer:
    """One of our layers, alone or in a Sequential with an activation, as Keras's: the way back.

    Raises:
        ValueError: for groups, and for crops that Keras has no words for.
        TypeError: for complex numbers, and for an activation that has no counterpart.
        ImportError: where Keras is not installed.
    """
    keras, activation = load("keras"), "linear"
    if isinstance(layer, nnx.Sequential) and len(layer.layers) == 2:
        layer, function = layer.layers
        names = {made: name for name, made in ACTIVATIONS.items()}
        if function not in names:
            raise TypeError(f"layer: the activation {function!r} has no counterpart in Keras.")
        activation = names[function]
    known = hub.from_nnx(layer)
    name, extra = _words(known)
    made = getattr(keras.layers, f"Conv{known.rank}DTranspose")(
        known.out_channels,
        known.size,
        strides=known.stride,
        padding=name,
        output_padding=extra,
        data_format="channels_last",
        dilation_rate=known.dilation,
        activation=activation,
        use_bias=known.bias is not None,
        dtype=_policy(layer, known),
    )
    made.build((None, *(None,) * known.rank, known.in_channels))
    made.set_weights([known.masked, *([] if known.bias is None else [known.bias])])
    return made


def _activation(keras: Any, layer: Any) -> Any:
    """JAX's function for a layer's activation, or None where it has none."""
    name = getattr(layer.activation, "__name__", type(layer.activation).__name__)
    if name == "linear":
        return None
    if name not in ACTIVATIONS or layer.activation is not keras.activations.get(name):
        raise TypeError(
            f"layer has activation={name!r}; those with a counterpart are linear, "
            f"{', '.join(ACTIVATIONS)}."
        )
    if name == "softmax" and layer.data_format == "channels_first":
        raise TypeError(
            "layer has activation='softmax' along a spatial axis, the last one with "
            "channels_first; ours would run along the channels. Move the layer without it."
        )
    return ACTIVATIONS[name]


def _policy(layer: Any, known: Layer) -> str:
    """Keras's name for the dtypes of the parameters and of the sums."""
    kept = known.kernel.dtype.name
    if known.kernel.dtype.kind == "c":
        raise TypeError(f"kernel is {kept}, and Keras's layers are real.")
    sums = kept if layer.dtype is None else jnp.dtype(layer.dtype).name
    halves = ("float16", "bfloat16")
    return f"mixed_{sums}" if kept == "float32" and sums in halves else kept


def _layer(keras: Any, layer: Any) -> Layer:
    kernel, *rest = (keras.ops.convert_to_numpy(weight.value) for weight in layer.weights)
    expect("kernel", kernel, (*layer.kernel_size, layer.filters, kernel.shape[-1]))
    bias = rest[0] if layer.use_bias else None
    if bias is not None:
        expect("bias", bias, (layer.filters,))
    name, extra = layer.padding, layer.output_padding
    cut: Any = name.upper()
    if extra is not None:
        cut = crops(layer.kernel_size, layer.strides, name, extra, layer.dilation_rate)
    zeros = (0,) * layer.rank
    return Layer(kernel, bias, tuple(layer.strides), tuple(layer.dilation_rate), cut, zeros)


def _words(layer: Layer) -> tuple[str, tuple[int, ...] | None]:
    """Keras's padding, the same for all axes, and its output_padding."""
    if layer.groups > 1 or layer.rank > 3:
        raise ValueError(
            f"layer has feature_group_count={layer.groups} and {layer.rank} spatial axes: Keras "
            "has no groups, and 1 to 3 axes."
        )
    columns = list(zip(layer.crops, layer.spans, layer.stride, strict=True))
    for name in ("same", "valid"):
        if all(from_keras(name, None, *rest) == pair for pair, *rest in columns):
            return name, None
        extra = [_extra(name, *column) for column in columns]
        if None not in extra:
            return name, tuple(more for more in extra if more is not None)
    raise ValueError(
        f"padding: the crops {layer.crops} have no words in Keras, which has 'same' or 'valid' "
        "for all axes alike, and an output_padding below the stride."
    )


def _extra(name: str, pair: Crops, span: int, stride: int) -> int | None:
    """The output_padding that makes these crops of one axis."""
    options = (more for more in range(stride) if from_keras(name, more, span, stride) == pair)
    return next(options, None)
