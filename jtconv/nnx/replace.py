"""A model of Flax's layers, computed by ours."""

from __future__ import annotations

import functools
from typing import Any, TypeVar

from flax import nnx

from jtconv.layers import has_odd_name
from jtconv.nnx.conv_transpose import ConvTranspose

Model = TypeVar("Model")


def accelerate(model: Model) -> Model:
    """Let jtconv compute every ``flax.nnx.ConvTranspose`` inside a model, in place.

    Each layer becomes a :class:`ConvTranspose` and stays the object it was, wherever the model
    keeps it: parameters, mask, metadata and an optimizer's state are untouched. A subclass of
    Flax's layer keeps its own methods. A layer whose padding has a name that Flax does not know
    but lets pass ("same" for "SAME") is left as it is: its numbers are those of no padding here.

    Args:
        model: a module, or a list or dict of modules.

    Returns:
        The same model.

    Raises:
        TypeError: if ``model`` can hold no module of ``flax.nnx``.

    >>> from flax import nnx
    >>> model = nnx.Sequential(nnx.ConvTranspose(3, 8, (4, 4), strides=2, rngs=nnx.Rngs(0)))
    >>> type(accelerate(model).layers[0]).__module__.split(".")[0]
    'jtconv'
    """
    if not isinstance(model, nnx.Pytree | list | tuple | dict):
        raise TypeError(
            f"model must be a module of flax.nnx, or a list or dict of them, got {model!r}. "
            "For Linen write `with jtconv.linen.accelerate():` around the call of the model."
        )
    for _, node in nnx.iter_graph(model):
        if isinstance(node, nnx.ConvTranspose) and not has_odd_name(node):
            cls: Any = type(node)
            # Not by nnx's own setattr, which would write the class down as an attribute.
            object.__setattr__(node, "__class__", _ours(cls))
    return model


@functools.cache
def _ours(cls: Any) -> Any:
    """The class with our way to compute in place of Flax's, under whatever it overrides."""
    if issubclass(cls, ConvTranspose):
        return cls
    if cls is nnx.ConvTranspose:
        return ConvTranspose
    return type(cls.__name__, (cls, ConvTranspose), {"__module__": cls.__module__})
