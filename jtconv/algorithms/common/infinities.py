"""Infinities and NaNs: how ``auto`` keeps them where they belong.

The law multiplies only what meets.  An algorithm that writes zeros into an operand, around it,
between its cells or into a kernel, multiplies these as well, and an infinity times zero is NaN.  It
says so by ``spreads``: the operands whose infinities it may spread.

A look at such an operand, most often the kernel, tells whether it has one.  Where it has, and that
is rare, the side is computed by the law, slowly.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax

from jtconv.algorithms.common.what_meets import by_law
from jtconv.problem.task import ROLES, Task


def contained(
    fast: Callable[[], jax.Array], a: jax.Array, b: jax.Array, task: Task, spreads: str
) -> jax.Array:
    """What ``fast`` gives, or the law where one of the operands that it ``spreads`` is not finite.

    ``spreads`` are letters of x, w and y; where there are none nothing is looked at.
    """
    if not spreads:
        return fast()
    operands = dict(zip(ROLES[task.side], (a, b), strict=False))
    finite = jnp.stack([jnp.isfinite(operands[role]).all() for role in spreads]).all()
    kept: jax.Array = lax.cond(finite, fast, lambda: by_law(a, b, task).astype(task.result_dtype))
    return kept
