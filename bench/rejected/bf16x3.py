"""A float32 matmul from matmuls of bfloat16 parts, which this machine multiplies faster.

A float32 number is a sum of three bfloat16 ones, near enough of two.  Two parts and three
products (XLA's BF16_BF16_F32_X3) keep 16 bits of 24; three parts and six products (X6) keep them
all, but cost more than one float32 product as long as bfloat16 is multiplied less than six times
as fast.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from bench.rejected import Trial, measure

SHAPES = ((1024, 1024, 1024), (2048, 128, 1024))


def trials() -> list[Trial]:
    """One product, and its emulations."""
    found = []
    for m, k, n in SHAPES:
        rng = np.random.default_rng(0)
        a, b = rng.normal(size=(m, k)), rng.normal(size=(k, n))
        single = a.astype(np.float32), b.astype(np.float32)
        forms = {
            "float32": jnp.matmul,
            "3 products": matmul_of_parts(2),
            "6 products": matmul_of_parts(3),
        }
        exact = single[0].astype(np.float64) @ single[1].astype(np.float64)
        found += measure(f"{m} x {k} x {n}", forms, tuple(map(jnp.asarray, single)), exact)
    return found


def matmul_of_parts(count: int) -> Callable[[jax.Array, jax.Array], jax.Array]:
    """The product of two matrices cut into ``count`` parts each, its smallest terms left out."""

    def product(a: jax.Array, b: jax.Array) -> jax.Array:
        left, right = _parts(a, count), _parts(b, count)
        terms = [
            jnp.matmul(left[i], right[j], preferred_element_type=jnp.float32)
            for i in range(count)
            for j in range(count - i)
        ]
        return functools.reduce(jnp.add, reversed(terms))  # the smallest first

    return product


def _parts(a: jax.Array, count: int) -> list[jax.Array]:
    """bfloat16 arrays that nearly add up to ``a``, the largest first."""
    parts: list[jax.Array] = []
    for _ in range(count):
        # Without the reduction XLA would cancel the two casts against each other.
        parts.append(jax.lax.reduce_precision(a, 8, 7).astype(jnp.bfloat16))
        a = a - parts[-1].astype(jnp.float32)
    return parts
