"""Sizes that are symbols of ``jax.export.symbolic_shape`` and stand for every number they may be.

They add and divide like ints, but a comparison holds for all their values, for none, or raises
``InconclusiveDimensionOperation``.  Everything that has to decide something about a size that may
be such a symbol asks here; for ints the answers are those of Python, and JAX is not asked.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

__all__ = ["Size", "at_least", "check_numbers", "constraint", "is_symbolic", "larger", "smaller"]

if TYPE_CHECKING:
    Size = int  # its arithmetic is an int's
else:
    Size = Any  # an int, or such a symbol


def is_symbolic(size: Any) -> bool:
    """Whether a size is such a symbol."""
    if isinstance(size, int):
        return False
    from jax.export import is_symbolic_dim

    return bool(is_symbolic_dim(size))


def larger(a: Size, b: Size) -> Size:
    """The larger of two sizes."""
    if isinstance(a, int) and isinstance(b, int):
        return max(a, b)
    from jax.core import max_dim

    size: Size = max_dim(a, b)
    return size


def smaller(a: Size, b: Size) -> Size:
    """The smaller of two sizes."""
    if isinstance(a, int) and isinstance(b, int):
        return min(a, b)
    from jax.core import min_dim

    size: Size = min_dim(a, b)
    return size


def at_least(size: Size, least: int) -> bool:
    """Whether a size is ``least`` or more, whatever its symbols stand for.

    >>> from jax.export import symbolic_shape
    >>> (n,) = symbolic_shape("n")
    >>> at_least(2 * n, 2), at_least(n, 2)
    (True, False)
    """
    if isinstance(size, int):
        return size >= least
    from jax.errors import InconclusiveDimensionOperation

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
