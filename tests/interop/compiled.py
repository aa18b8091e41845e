"""Compiling takes most of the time: whole calls at once, and layers made without any."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from flax import nnx


def compiled(call: Callable[..., Any], *arrays: Any, **static: Any) -> Any:
    """The call's result; None may stand for an array."""
    return jax.jit(lambda *given: call(*given, **static))(*arrays)


def moved(layer: Callable[..., Any], x: Any) -> np.ndarray:
    """A channels-last layer's output for an input that has its channels first, likewise."""
    return np.moveaxis(np.asarray(layer(np.moveaxis(np.asarray(x), 1, -1))), -1, 1)


def parameters(rng: np.random.Generator) -> dict[str, Any]:
    """Random parameters for a layer of nnx, biases too, by initializers that compile nothing."""

    def draw(_: Any, shape: tuple[int, ...], dtype: Any) -> jax.Array:
        return jax.numpy.asarray(rng.normal(size=shape), dtype)

    return {"kernel_init": draw, "bias_init": draw, "rngs": nnx.Rngs(0)}
