"""Sizes that are symbols of ``jax.export.symbolic_shape`` and stand for every number they may be.

They add and divide like ints, but a comparison holds for all their values, for none, or raises
``InconclusiveDimensionOperation``.  Everything that has to decide something about a size that may
be such a symbol asks here; for ints the answers are those of Python.
"""

from __future__ import annotations

from typing import Any

import jax
from jax.errors import InconclusiveDimensionOperation
from jax.export import is_symbolic_dim as is_symbolic

__all__ = [
    "InconclusiveDimensionOperation",
    "at_least",
    "constraint",
    "is_symbolic",
    "larger",
    "smaller",
]


def larger(a: Any, b: Any) -> Any:
    """The larger of two sizes."""
    return jax.core.max_dim(a, b) if is_symbolic(a) or is_symbolic(b) else max(a, b)


def smaller(a: Any, b: Any) -> Any:
    """The smaller of two sizes."""
    return jax.core.min_dim(a, b) if is_symbolic(a) or is_symbolic(b) else min(a, b)


def at_least(size: Any, least: int) -> bool:
    """Whether a size is ``least`` or more, whatever its symbols stand for.

    >>> from jax.export import symbolic_shape
    >>> (n,) = symbolic_shape("n")
    >>> at_least(2 * n, 2), at_least(n, 2)
    (True, False)
    """
    try:
        return bool(size >= least)
    except InconclusiveDimensionOperation:
        return False


def constraint(size: Any, least: int) -> str:
    """For messages: what to state about a symbolic size so that it is ``least`` or more."""
    if not is_symbolic(size):
        return ""
    return f", which jax.export knows from symbolic_shape(..., constraints=['{size} >= {least}'])"
