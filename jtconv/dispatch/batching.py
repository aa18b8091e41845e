"""vmap: a mapped axis folds into an index of the trilinear form, and the problem stays one.

An axis is shared by two of x, w and y, or by all three, and folds into the index that those
share: N of x and y, C of x and w, O of w and y, or else the groups.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jtconv.problem.geometry import Geometry
from jtconv.problem.task import ROLES, Side

_SHARED = {frozenset("xy"): "N", frozenset("xw"): "C", frozenset("wy"): "O"}


def batch(
    bind: Any, side: Side, operands: Any, dims: Any, *, geometry: Geometry, **params: Any
) -> tuple[jax.Array, int]:
    """Batching rule of the primitive that ``bind`` binds."""
    roles = ROLES[side]
    mapped = [role for role, dim in zip(roles[:2], dims, strict=True) if dim is not None]
    into = "groups" if len(mapped) == 2 else _SHARED[frozenset((mapped[0], roles[2]))]
    folded, size = [], 1
    for a, dim, role in zip(operands, dims, roles[:2], strict=True):
        if dim is not None:
            size, a = a.shape[dim], jnp.moveaxis(a, dim, 0)
            a = _fold(a, role, into, geometry.groups)
        folded.append(a)
    if size == 0 or (into != "N" and not isinstance(size, int)):
        return _one_by_one(bind, operands, dims, geometry=geometry, **params), 0
    groups = geometry.groups * (size if into == "groups" else 1)
    result = bind(*folded, geometry=Geometry(geometry.axes, groups), **params)
    return _unfold(result, roles[2], into, geometry.groups, size), 0


def _fold(a: jax.Array, role: str, into: str, groups: int) -> jax.Array:
    """``(B, *a)`` with B folded into index ``into``."""
    if into == "N":
        return a.reshape(a.shape[0] * a.shape[1], *a.shape[2:])
    if into == "C" and role == "w":
        a = jnp.moveaxis(a, 0, -3)
        return a.reshape(*a.shape[:-3], a.shape[-3] * a.shape[-2], a.shape[-1])
    outer = 1 if into == "groups" else groups
    a = a.reshape(*a.shape[:-1], outer, a.shape[-1] // outer)
    a = jnp.moveaxis(a, 0, -2)
    return a.reshape(*a.shape[:-3], a.shape[-3] * a.shape[-2] * a.shape[-1])


def _unfold(a: jax.Array, role: str, into: str, groups: int, size: int) -> jax.Array:
    """The inverse: ``(B, *a)``."""
    if into == "N":
        return a.reshape(size, a.shape[0] // size, *a.shape[1:])
    if into == "C" and role == "w":
        a = a.reshape(*a.shape[:-2], size, a.shape[-2] // size, a.shape[-1])
        return jnp.moveaxis(a, -3, 0)
    outer = 1 if into == "groups" else groups
    a = a.reshape(*a.shape[:-1], outer, size, a.shape[-1] // (outer * size))
    a = jnp.moveaxis(a, -2, 0)
    return a.reshape(*a.shape[:-2], a.shape[-2] * a.shape[-1])


def _one_by_one(bind: Any, operands: Any, dims: Any, **params: Any) -> jax.Array:
    """Over an empty or symbolic axis, where no index could be folded into."""
    mapped = [jnp.moveaxis(a, d, 0) for a, d in zip(operands, dims, strict=True) if d is not None]

    def one(slices: list[jax.Array]) -> jax.Array:
        rest = iter(slices)
        pair = (a if d is None else next(rest) for a, d in zip(operands, dims, strict=True))
        result: jax.Array = bind(*pair, **params)
        return result

    results: jax.Array = lax.map(one, mapped)
    return results
