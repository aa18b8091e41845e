"""A model of flax.linen fed piece by piece: its causal convolutions remember what they need."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from jtconv import layers, streaming_layers
from jtconv.conventions import flax
from jtconv.linen import conv_transpose
from jtconv.linen.conv_transpose import ConvTranspose
from jtconv.streaming_layers import Layer

COLLECTION = "stream"


class Stream(nn.Module):
    """A model that is applied to a piece at a time; see :func:`stream`.

    Attributes:
        model: the module; its parameters stay where they are in the tree.
        axis: the spatial axis of every layer that is time.
    """

    model: nn.Module
    axis: int = 0

    def setup(self) -> None:
        """Parameters lie where the model's do."""
        nn.share_scope(self, self.model)

    def __call__(self, *args: Any, **keywords: Any) -> Any:
        """What the model makes of a piece."""
        with streaming_layers.one_piece(), nn.intercept_methods(_piecewise(self)):
            return self.model(*args, **keywords)

    def begin(self, variables: Mapping[str, Any], *piece: Any, **keywords: Any) -> Any:
        """The collection "stream" before the first piece: zeros.

        Args:
            variables: the others of the model, ``{"params": ...}``.
            piece, keywords: what the model is called with, arrays or ``jax.ShapeDtypeStruct``.
        """

        def applied(variables: Any, *piece: Any) -> Any:
            return self.apply(variables, *piece, mutable=COLLECTION, **keywords)[1]

        shapes = jax.eval_shape(applied, variables, *piece).get(COLLECTION, {})
        return jax.tree.map(lambda held: jnp.zeros(held.shape, held.dtype), shapes)


def stream(model: nn.Module, *, axis: int = 0) -> Stream:
    """A model that is applied to a piece at a time and gives the next piece of the result.

    What it gives for all pieces, joined along time, is what ``model`` gives for all at once,
    however they are cut. Every ``Conv`` and ``ConvTranspose`` inside, Flax's or ours, keeps in the
    collection "stream" what it needs of the pieces before. Without that collection a stream begins;
    :meth:`Stream.begin` makes it, for ``jax.lax.scan`` and the like.

    Args:
        model: a module whose convolutions are causal: ``padding="CAUSAL"``, or numbers that mean
            the same. What its own code does with arrays is not looked at: nothing in it may look
            along time (no pooling, cropping or reversing), and each layer is called once a piece.
        axis: the spatial axis of every layer that is time.

    Returns:
        A module that takes the variables of ``model``, and the collection "stream", which must be
        mutable.

    Raises:
        TypeError: if ``model`` is no module of Linen.
        ValueError, TypeError: when it is applied, for a layer that would lag or that looks along
            time, naming it, and for a piece of another batch, channels or dtype than the state, or
            of a length that a stride does not divide.

    >>> import jax, jax.numpy as jnp
    >>> from flax import linen
    >>> up = linen.ConvTranspose(3, (4,), (2,), padding=[(3, 1)])  # causal
    >>> x = jnp.ones((1, 5, 2))
    >>> variables, piecewise = up.init(jax.random.key(0), x), stream(up)
    >>> first, state = piecewise.apply(variables, x[:, :2], mutable="stream")
    >>> second, state = piecewise.apply({**variables, **state}, x[:, 2:], mutable="stream")
    >>> got = jnp.concatenate([first, second], 1)
    >>> bool(jnp.allclose(got, up.bind(variables)(x), atol=1e-6))
    True
    """
    if not isinstance(model, nn.Module):
        raise TypeError(
            f"model must be a module of flax.linen, got {type(model).__name__}. For nnx there is "
            "jtconv.nnx.stream."
        )
    return Stream(model, axis)


def _piecewise(model: Stream) -> Callable[..., Any]:
    """Our call where the method about to run is Flax's own, reached by ``super()`` or not."""

    beginning = model.is_initializing()

    def call(following: Callable[..., Any], args: Any, keywords: Any, context: Any) -> Any:
        layer, method = context.module, getattr(context.orig_method, "func", None)
        if context.method_name == "__call__":
            statistics = keywords.get("use_running_average")
            streaming_layers.check_memory(_name(layer), layer, statistics)
        if isinstance(layer, nn.WeightNorm) and context.method_name == "__call__":
            return _normalized(layer, *args, **keywords)
        if method not in _CALLS:
            return following(*args, **keywords)
        where = Layer(_name(layer), layer, model.axis)
        arrays = _CALLS[method](layer, *args or [keywords.pop("inputs")])
        streaming_layers.check_keywords(where.name, keywords)
        if not beginning:
            return _step(where, *arrays)
        with streaming_layers.one_piece(
            recording=True
        ):  # of no stream, and again where a transform is around
            _held(where, *arrays)
            return streaming_layers.step(where, None, *arrays)[0]

    return call


def _step(where: Layer, *arrays: Any) -> jax.Array:
    """What a layer makes of a piece."""
    held = _held(where, *arrays)
    if held is None:
        return streaming_layers.step(where, None, *arrays)[0]
    y, held.value = streaming_layers.step(where, held.value, *arrays)
    return y


def _held(where: Layer, inputs: jax.Array, *arrays: Any) -> Any:
    """The variable of a layer's state; None where it has no memory."""
    layer = where.arguments
    state = streaming_layers.state_before(where, inputs.shape, *arrays)
    if state is None:
        return None
    if not layer.is_mutable_collection(COLLECTION):
        raise ValueError(
            f"{where.name}: the collection {COLLECTION!r} must be mutable here, for the state "
            f"after a piece: apply with mutable={COLLECTION!r}, and let transforms around the "
            "layer (such as SpectralNorm) keep it so."
        )
    return layer.variable(COLLECTION, "state", jnp.zeros, *state)


def _normalized(layer: Any, *args: Any, **keywords: Any) -> Any:
    """``linen.WeightNorm``, which would let no collection change inside, of parameters alone."""

    def normalize(params: Any) -> Any:
        return jax.tree_util.tree_map_with_path(layer._l2_normalize, params)

    forward = nn.map_variables(
        lambda inner: inner(*args, **keywords),
        mapped_collections="params",
        trans_in_fn=normalize,
        init=layer.is_initializing(),
    )
    return forward(layer.layer_instance)


def _of_conv(layer: Any, inputs: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array | None]:
    """Inputs, kernel and bias of one dtype; the parameters are declared as Flax's layer does."""
    groups = layer.feature_group_count
    size = flax.sizes(layer.kernel_size)
    shape = flax.kernel_shape(size, inputs.shape[-1], layer.features, groups, False)
    kernel = layer.param("kernel", layer.kernel_init, shape, layer.param_dtype)
    bias = None
    if layer.use_bias:
        bias = layer.param("bias", layer.bias_init, (layer.features,), layer.param_dtype)
    kernel = layers.masked(kernel, layer.mask)
    return layer.promote_dtype(inputs, kernel, bias, dtype=layer.dtype)


def _name(layer: Any) -> str:
    return ".".join(layer.path) or type(layer).__name__


# How Flax's own calls get what they compute with, ours being one of them.
_CALLS = {
    inspect.unwrap(nn.Conv.__call__): _of_conv,
    inspect.unwrap(nn.ConvTranspose.__call__): conv_transpose.promoted,
    inspect.unwrap(ConvTranspose.__call__): conv_transpose.promoted,
}
