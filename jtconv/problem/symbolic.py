"""Sizes that are symbols of ``jax.export.symbolic_shape`` and stand for every number they may be.

They add and divide like ints, but a comparison holds for all their values, for none, or raises
``InconclusiveDimensionOperation``.  Everything that has to decide something about a size that may
be such a symbol asks here; for ints the answers are those of Python.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import jax
from jax.errors import InconclusiveDimensionOperation
from jax.export import is_symbolic_dim as is_symbolic

__all__ = ["Size", "at_least", "check_numbers", "constraint", "is_symbolic", "larger", "smaller"]

if TYPE_CHECKING:
    Size = int  # its arithmetic is an int's
else:
    Size = Any  # an int, or such a symbol


def larger(a: Size, b: Size) -> Size:
    """The larger of two sizes."""
    size: Size = jax.core.max_dim(a, b) if is_symbolic(a) or is_symbolic(b) else max(a, b)
    return size


def smaller(a: Size, b: Size) -> Size:
    """The smaller of two sizes."""
    size: Size = jax.core.min_dim(a, b) if is_symbolic(a) or is_symbolic(b) else min(a, b)
    return size


def at_least(size: Size, least: int) -> bool:
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


def check_numbers(name: str, sizes: Iterable[Size], why: str) -> None:
    """Refuse symbolic sizes of ``name`` where these must be numbers."""
    for axis, size in enumerate(sizes):
        if is_symbolic(size):
            raise ValueError(
                f"{name} has the symbolic size {size} on spatial axis {axis}, and must have a "
                f"number: {why}."
            )


def constraint(size: Size, least: int) -> str:
    """For messages: what to state about a symbolic size so that it is ``least`` or more."""
    if not is_symbolic(size):
        return ""
    return f", which jax.export knows from symbolic_shape(..., constraints=['{size} >= {least}'])"
