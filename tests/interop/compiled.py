"""Calls compiled whole: eager ones compile every small step, which takes most of the time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax


def compiled(call: Callable[..., Any], *arrays: Any, **static: Any) -> Any:
    """The call's result; None may stand for an array."""
    return jax.jit(lambda *given: call(*given, **static))(*arrays)


def moved(layer: Callable[..., Any], x: Any) -> Any:
    """A channels-last layer's output for an input that has its channels first, likewise."""
    return jax.jit(lambda x: jax.numpy.moveaxis(layer(jax.numpy.moveaxis(x, 1, -1)), -1, 1))(x)
