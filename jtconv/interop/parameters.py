"""A layer's parameters, checked, and how they lie from one framework to the next."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np


def expect(name: str, got: Any, shape: tuple[int, ...]) -> None:
    """A parameter must have the shape that the rest of its layer says."""
    if tuple(got.shape) != tuple(shape):
        raise ValueError(f"{name} must have shape {tuple(shape)}, got {tuple(got.shape)}.")


def held(params: Mapping[str, Any], name: str) -> Any:
    """The parameter of this name, which must be there."""
    if name not in params:
        there = ", ".join(map(repr, params)) or "nothing"
        raise ValueError(
            f"params has no {name!r}, but {there}: pass the mapping that holds the arrays of "
            "this one layer, all of them."
        )
    return params[name]


def on_jax(name: str, array: np.ndarray | None) -> Any:
    """The array in JAX, of the very same dtype."""
    if array is None:
        return None
    moved = jnp.array(array)
    if moved.dtype != array.dtype:
        raise TypeError(
            f"{name} is {array.dtype}, which JAX holds only in 64-bit mode: "
            'jax.config.update("jax_enable_x64", True), or convert the layer to 32 bits first.'
        )
    return moved


def flipped(kernel: np.ndarray) -> np.ndarray:
    """A kernel with every spatial axis turned round."""
    return np.flip(kernel, tuple(range(kernel.ndim - 2)))


def turned(kernel: np.ndarray, groups: int) -> np.ndarray:
    """A kernel as lax convolves with it: turned round, ``(*kernel, C_in // groups, C_out)``.

    And back: this is its own inverse.
    """
    *size, narrow, wide = kernel.shape
    split = flipped(kernel).reshape(*size, narrow, groups, wide // groups)
    return split.swapaxes(-1, -3).reshape(*size, wide // groups, groups * narrow)
