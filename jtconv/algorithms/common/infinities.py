"""Infinities and NaNs: how ``auto`` keeps them where they belong.

The law multiplies only what meets.  An algorithm that writes zeros into an operand, around it,
between its cells or into a kernel, multiplies these as well, and an infinity times zero is NaN.  It
says so by ``spreads``: the operands whose infinities it may spread.

What that costs is a look, most often at the kernel alone: an operand's infinities spread only if it
has one, and those of a kernel gradient show in the gradient.  Where there is one, and that is
rare, the side is computed by the law, slowly.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax

from jtconv.algorithms.algorithm import Algorithm, compute
from jtconv.algorithms.common.what_meets import by_law
from jtconv.problem.task import ROLES, Task


def contained(algorithm: Algorithm, a: jax.Array, b: jax.Array, task: Task) -> jax.Array:
    """The side by ``algorithm``, or by the law alone where an infinity might spread."""
    spreads = algorithm.spreads(task) if jnp.issubdtype(task.dtype, jnp.inexact) else ""
    if not spreads:
        return compute(algorithm, a, b, task)

    def fast() -> jax.Array:
        return compute(algorithm, a, b, task).astype(task.result_dtype)

    def slow() -> jax.Array:
        return by_law(a, b, task).astype(task.result_dtype)

    if task.side == "wgrad":
        w = fast()
        contained: jax.Array = lax.cond(_is_finite(w), lambda: w, slow)
        return contained
    operands = dict(zip(ROLES[task.side], (a, b), strict=False))
    finite = jnp.stack([_is_finite(operands[role]) for role in spreads]).all()
    contained = lax.cond(finite, fast, slow)
    return contained


def _is_finite(a: jax.Array) -> jax.Array:
    return jnp.isfinite(a).all()
