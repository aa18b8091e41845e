"""The convolutions of a whole model of flax.nnx, computed by jtconv in place."""

from __future__ import annotations

import functools
from typing import Any, TypeVar

from flax import nnx

from jtconv.conventions import flax
from jtconv.nnx.conv import Conv
from jtconv.nnx.conv_transpose import ConvTranspose

Model = TypeVar("Model")


def accelerate(model: Model) -> Model:
    """Let jtconv compute the convolutions inside a model, transposed and plain, in place.

    Each ``flax.nnx.ConvTranspose`` becomes a :class:`ConvTranspose` and each ``flax.nnx.Conv`` a
    :class:`Conv`, whose convolution is replaced where that is faster. Every layer stays the object
    it was, wherever the model keeps it: parameters, mask, metadata and an optimizer's state are
    untouched. A subclass of Flax's layer keeps its own methods. A transposed layer whose padding
    has a name that Flax does not know but lets pass ("same" for "SAME") is left as it is: its
    numbers are those of no padding here.

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
            "For Linen write `with jtconv.linen.accelerate():` around the call of the model; "
            "for a function, jtconv.accelerate(f)."
        )
    for _, node in nnx.iter_graph(model):
        ours = _ours(node)
        if ours is not None:
            cls: Any = type(node)
            # Not by nnx's own setattr, which would write the class down as an attribute.
            object.__setattr__(node, "__class__", _derived(cls, ours))
    return model


def _ours(node: Any) -> Any:
    """Our class for a layer of Flax's, if it is one to compute here."""
    if isinstance(node, nnx.ConvTranspose):
        return None if flax.is_unknown_name(node.padding) else ConvTranspose
    return Conv if isinstance(node, nnx.Conv) else None


@functools.cache
def _derived(cls: Any, ours: Any) -> Any:
    """The class with our way to compute in place of Flax's, under whatever it overrides."""
    if issubclass(cls, ours):
        return cls
    if issubclass(ours, cls):
        return ours
    return type(cls.__name__, (cls, ours), {"__module__": cls.__module__})
