"""Handwritten digits: those to learn from, and those that are held out."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

HELD_OUT = 600  # of 1797; the same ones in every run


class Digits(NamedTuple):
    """Ink between 0 and 1, ``(count, 8, 8)``, and the digits' names, ``(count,)``."""

    ink: np.ndarray
    names: np.ndarray


@cache
def split() -> tuple[Digits, Digits]:
    """Digits to learn from and held-out digits, each name in both in proportion.

    >>> [len(part.ink) for part in split()]
    [1197, 600]
    """
    digits = load_digits()
    ink = (digits.images / 16).astype(np.float32)
    names = digits.target.astype(np.int32)
    parts = train_test_split(ink, names, test_size=HELD_OUT, stratify=names, random_state=0)
    return Digits(parts[0], parts[2]), Digits(parts[1], parts[3])


def enlarged(ink: ArrayLike, size: int) -> jax.Array:
    """Digits ``(count, 8, 8)`` as pictures ``(count, size, size, 1)`` in -1 .. 1."""
    ink = jnp.asarray(ink)
    pictures = jax.image.resize(ink, (len(ink), size, size), "linear")
    return 2 * jnp.clip(pictures, 0, 1)[..., None] - 1
