"""torch's padding, as functions of channels-last arrays: ``nn.ZeroPad2d`` and its kin."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jtconv.interop.torch.arrays import space
from jtconv.interop.torch.table import of_ranks

# What torch calls the ways to pad, in padding_mode, and what NumPy does.
MODES = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}
Pairs = tuple[tuple[int, int], ...]


def pairs_of(padding: Any, rank: int) -> Pairs:
    """torch's numbers, those of the last axis first, as a pair per axis."""
    numbers = (padding,) * (2 * rank) if isinstance(padding, int) else tuple(padding)
    return tuple((numbers[2 * i], numbers[2 * i + 1]) for i in reversed(range(rank)))


def pad(x: jax.Array, pairs: Pairs, mode: str) -> jax.Array:
    """By cells of the array itself, in front and at the end of its spatial axes; negative crops."""
    pads = [(0, 0)] * x.ndim
    for axis, pair in zip(space(x, len(pairs)), pairs, strict=True):
        _check(x.shape[axis], pair, mode)
        pads[axis] = pair
    if mode == "circular":  # a period is what is left
        x, pads = _cropped(x, pads), [(max(lo, 0), max(hi, 0)) for lo, hi in pads]
    grown = jnp.pad(x, [(max(lo, 0), max(hi, 0)) for lo, hi in pads], mode=MODES[mode])
    return _cropped(grown, pads)


def _check(n: int, pair: tuple[int, int], mode: str) -> None:
    most = {"reflect": n - 1, "circular": n}.get(mode)
    if most is not None and max(pair) > most:
        raise ValueError(f"padding must be at most {most} of {n} cells, {mode}, got {pair}.")
    if n + sum(pair) < 1:
        raise ValueError(f"padding leaves no output of {n} cells, got {pair}.")


def _cropped(x: jax.Array, pads: Sequence[tuple[int, int]]) -> jax.Array:
    kept = [slice(max(-lo, 0), n - max(-hi, 0)) for (lo, hi), n in zip(pads, x.shape, strict=True)]
    return x[tuple(kept)]


def constant_pad(x: jax.Array, *, rank: int, padding: Any, value: float = 0.0) -> jax.Array:
    """By a constant; negative numbers crop."""
    pads = [(0, 0, 0)] * x.ndim
    for axis, (lo, hi) in zip(space(x, rank), pairs_of(padding, rank), strict=True):
        _check(x.shape[axis], (lo, hi), "constant")
        pads[axis] = (lo, hi, 0)
    return lax.pad(x, jnp.asarray(value, x.dtype), pads)


def zero_pad(x: jax.Array, *, rank: int, padding: Any) -> jax.Array:
    """By zeros; negative numbers crop."""
    return constant_pad(x, rank=rank, padding=padding)


def reflection_pad(x: jax.Array, *, rank: int, padding: Any) -> jax.Array:
    """By the array reflected, without repeating the edge."""
    return pad(x, pairs_of(padding, rank), "reflect")


def replication_pad(x: jax.Array, *, rank: int, padding: Any) -> jax.Array:
    """By the cells at the edge."""
    return pad(x, pairs_of(padding, rank), "replicate")


def circular_pad(x: jax.Array, *, rank: int, padding: Any) -> jax.Array:
    """By the other end of the array."""
    return pad(x, pairs_of(padding, rank), "circular")


PADDING = {
    **of_ranks("ZeroPad", zero_pad, ("padding",)),
    **of_ranks("ConstantPad", constant_pad, ("padding", "value")),
    **of_ranks("ReflectionPad", reflection_pad, ("padding",)),
    **of_ranks("ReplicationPad", replication_pad, ("padding",)),
    **of_ranks("CircularPad", circular_pad, ("padding",)),
}
