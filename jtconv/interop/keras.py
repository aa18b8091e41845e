"""keras.ops.conv_transpose on JAX arrays, as Keras's JAX backend decides, and Keras's layers.

``keras.layers.Conv1DTranspose``, 2D and 3D move with their weights, both ways.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Literal

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import ArrayLike

from jtconv.conventions.keras import PaddingName, crops, from_crops
from jtconv.interop import call, numpy_layer
from jtconv.interop.numpy_layer import NumpyLayer, expect, is_one_of, load
from jtconv.problem import arguments
from jtconv.typing import PerAxis

if TYPE_CHECKING:
    import keras

__all__ = ["conv_transpose", "crops", "from_nnx", "to_nnx"]
_NAMES = call.Names("inputs", "kernel")
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


@arguments.suggests
def conv_transpose(
    inputs: ArrayLike,
    kernel: ArrayLike,
    strides: PerAxis = 1,
    padding: PaddingName = "valid",
    output_padding: PerAxis | None = None,
    data_format: Literal["channels_last", "channels_first"] | None = None,
    dilation_rate: PerAxis = 1,
) -> jax.Array:
    """``keras.ops.conv_transpose``, argument for argument, as Keras's JAX backend decides.

    Args:
        inputs: ``(batch, *spatial, C_in)``, or ``(batch, C_in, *spatial)``.
        kernel: ``(*kernel, C_out, C_in)``, not flipped.
        strides, dilation_rate: an int, or one per axis.
        padding: "valid" or "same".
        output_padding: None is not 0: "same" then makes ``n * s`` cells and "valid" at least as
            many. With a number "same" makes ``(n-1)*s + D%2`` and so many more.
        data_format: "channels_last" or "channels_first"; if None, what Keras is set to where it
            is loaded, and else "channels_last".

    Raises:
        ValueError, TypeError: naming Keras's argument.

    >>> import jax.numpy as jnp
    >>> x, w = jnp.ones((1, 8, 3)), jnp.ones((3, 2, 3))
    >>> [conv_transpose(x, w, 2, "same", extra).shape[1] for extra in (None, 0, 1)]
    [16, 15, 16]
    """
    given = call.arrays(_NAMES, inputs, kernel, unbatched=False)
    rank = given.rank
    space = "TDHW"[-rank:]
    x = f"N{space}C" if _data_format(data_format) == "channels_last" else f"NC{space}"
    return call.transposed(
        given,
        (x, f"{space}OI", x),
        1,
        crops(given.w.shape[:rank], strides, padding, output_padding, dilation_rate),
        stride=arguments.per_axis("strides", strides, rank, least=1),
        dilation=arguments.per_axis("dilation_rate", dilation_rate, rank, least=1),
    )


def _data_format(value: str | None) -> str:
    keras = sys.modules.get("keras")
    if value is None and keras is not None:
        value = keras.config.image_data_format()
    formats = ("channels_last", "channels_first")
    return arguments.choice("data_format", formats[0] if value is None else value, formats)


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
    moved = numpy_layer.to_nnx(_layer(keras, layer))
    if layer.autocast:  # floats that come in are cast, whatever the parameters are kept in
        moved.dtype = jnp.dtype(layer.compute_dtype)
    return moved if activation is None else nnx.Sequential(moved, activation)


def from_nnx(layer: Any) -> keras.Layer:
    """One of our layers, alone or in a Sequential with an activation, as Keras's: the way back.

    Raises:
        ValueError: for groups, and for crops that Keras has no padding for.
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
    known = numpy_layer.from_nnx(layer)
    if known.groups > 1 or known.rank > 3:
        raise ValueError(
            f"layer has feature_group_count={known.groups} and {known.rank} spatial axes: Keras "
            "has no groups, and 1 to 3 axes."
        )
    made = getattr(keras.layers, f"Conv{known.rank}DTranspose")(
        known.out_channels,
        known.size,
        strides=known.stride,
        **known.padding_as(from_crops, names=("same", "valid")),
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


def _policy(layer: Any, known: NumpyLayer) -> str:
    """Keras's name for the dtypes of the parameters and of the sums."""
    kept = known.kernel.dtype.name
    if known.kernel.dtype.kind == "c":
        raise TypeError(f"kernel is {kept}, and Keras's layers are real.")
    sums = kept if layer.dtype is None else jnp.dtype(layer.dtype).name
    halves = ("float16", "bfloat16")
    return f"mixed_{sums}" if kept == "float32" and sums in halves else kept


def _layer(keras: Any, layer: Any) -> NumpyLayer:
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
    return NumpyLayer(kernel, bias, tuple(layer.strides), tuple(layer.dilation_rate), cut, zeros)
