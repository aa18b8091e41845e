"""A model of Flax's Linen layers, computed by ours."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from flax import linen as nn

from jtconv.layers import has_odd_name
from jtconv.linen.conv_transpose import call

_FLAX = inspect.unwrap(nn.ConvTranspose.__call__)


@contextmanager
def accelerate() -> Iterator[None]:
    """Let jtconv compute every ``flax.linen.ConvTranspose`` that is called inside.

    The layers ask for the parameters they always had; one whose padding has a name that Flax
    does not know but lets pass ("same" for "SAME") is left to Flax. What ``jax.jit`` has
    compiled outside is not looked at again: enter this first.

    >>> import jax, jax.numpy as jnp
    >>> from flax import linen
    >>> layer = linen.ConvTranspose(4, (3, 3), strides=(2, 2))
    >>> with accelerate():
    ...     y, variables = layer.init_with_output(jax.random.key(0), jnp.ones((1, 5, 5, 8)))
    >>> y.shape
    (1, 10, 10, 4)
    """
    with nn.intercept_methods(_ours):
        yield


def _ours(next_method: Callable[..., Any], args: Any, kwargs: Any, context: Any) -> Any:
    """Our call where the method about to run is Flax's own, reached by ``super()`` or not."""
    flax = getattr(context.orig_method, "func", None) is _FLAX
    if flax and not has_odd_name(context.module):
        return call(context.module, *args, **kwargs)
    return next_method(*args, **kwargs)
