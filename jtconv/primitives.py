"""Three primitives, each the derivative of the other two.

    dgrad   x, w -> y     transposed convolution
    fprop   y, w -> x     convolution
    wgrad   x, y -> w     kernel gradient

They are the three sides of one trilinear form, so each is bilinear and its transposes are the
other two.  That is the whole differentiation rule: it closes under every order and both modes,
and every gradient is itself a task for which a method is chosen.

This is the only file that touches ``jax.interpreters``.
"""

from __future__ import annotations

from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from jtconv.choose import choose
from jtconv.geometry import Geometry
from jtconv.methods import METHODS, NOMINAL_BATCH, Side, Task


def _task(
    side: Side, a: Any, b: Any, geometry: Geometry, precision: Any, result: str, platform: str
) -> Task:
    """The task of one bind: ``a`` and ``b`` are arrays or their abstract values."""
    batch = a.shape[0] if isinstance(a.shape[0], int) else NOMINAL_BATCH
    x_channels = geometry.groups * b.shape[-2] if side != "wgrad" else a.shape[-1]
    return Task(
        side,
        geometry,
        batch,
        x_channels,
        b.shape[-1],
        jnp.dtype(a.dtype),
        jnp.dtype(result),
        platform,
        precision,
    )


def _compute(
    a: jax.Array,
    b: jax.Array,
    *,
    side: Side,
    platform: str,
    geometry: Geometry,
    method: tuple[str, ...],
    precision: Any,
    result: str,
) -> jax.Array:
    """One side by the method chosen for it: what the primitives are lowered to."""
    common = jnp.promote_types(a.dtype, b.dtype)
    a, b = a.astype(common), b.astype(common)
    task = _task(side, a, b, geometry, precision, result, platform)
    chosen = choose(method, task).method
    with jax.named_scope(f"jtconv_{side}_{chosen}"):
        return getattr(METHODS[chosen], side)(a, b, task).astype(task.result_dtype)


def _abstract(a: Any, b: Any, *, side: Side, **params: Any) -> Any:
    """The result's abstract value, as XLA's own convolution would have it.

    Tracing that convolution keeps shardings and manual mesh axes right without a rule of ours.
    """
    reference = partial(_compute, side=side, platform="cpu", **{**params, "method": ("dilated",)})
    return jax.make_jaxpr(reference)(a, b).out_avals[0]


def _primitive(side: Side) -> Primitive:
    primitive = Primitive(f"jtconv_{side}")

    @lru_cache(maxsize=1024)
    def compiled(**params: Any) -> Any:
        return jax.jit(partial(primitive.bind, **params))

    primitive.def_impl(lambda a, b, **params: compiled(**params)(a, b))
    primitive.def_abstract_eval(partial(_abstract, side=side))
    for platform in ("cpu", "cuda", "rocm", "tpu", None):
        lowered = partial(_compute, side=side, platform=platform or "other")
        rule = mlir.lower_fun(lowered, multiple_results=False)
        mlir.register_lowering(primitive, rule, platform=platform)
    return primitive


dgrad_p = _primitive("dgrad")
fprop_p = _primitive("fprop")
wgrad_p = _primitive("wgrad")


def _bind(primitive: Primitive, a: jax.Array, b: jax.Array, **params: Any) -> jax.Array:
    """``bind`` once both operands vary over the same manual mesh axes.

    Without this a gradient under shard_map would miss the sum over an axis that only one
    operand varies over.
    """
    varying = [jax.typeof(operand).mat.varying for operand in (a, b)]
    a, b = (
        lax.pcast(operand, tuple(missing), to="varying") if missing else operand
        for operand, missing in (
            (a, varying[1] - varying[0]),
            (b, varying[0] - varying[1]),
        )
    )
    return primitive.bind(a, b, **params)


dgrad = partial(_bind, dgrad_p)
fprop = partial(_bind, fprop_p)
wgrad = partial(_bind, wgrad_p)


# Derivatives.  A cotangent has the dtype of the operand it belongs to.


def _dgrad_x(y: jax.Array, x: Any, w: jax.Array, **params: Any) -> jax.Array:
    return fprop(y, w, **{**params, "result": x.aval.dtype.name})


def _dgrad_w(y: jax.Array, x: jax.Array, w: Any, **params: Any) -> jax.Array:
    return wgrad(x, y, **{**params, "result": w.aval.dtype.name})


def _fprop_y(x: jax.Array, y: Any, w: jax.Array, **params: Any) -> jax.Array:
    return dgrad(x, w, **{**params, "result": y.aval.dtype.name})


def _fprop_w(x: jax.Array, y: jax.Array, w: Any, **params: Any) -> jax.Array:
    return wgrad(x, y, **{**params, "result": w.aval.dtype.name})


def _wgrad_x(w: jax.Array, x: Any, y: jax.Array, **params: Any) -> jax.Array:
    return fprop(y, w, **{**params, "result": x.aval.dtype.name})


def _wgrad_y(w: jax.Array, x: jax.Array, y: Any, **params: Any) -> jax.Array:
    return dgrad(x, w, **{**params, "result": y.aval.dtype.name})


ad.defbilinear(dgrad_p, _dgrad_x, _dgrad_w)
ad.defbilinear(fprop_p, _fprop_y, _fprop_w)
ad.defbilinear(wgrad_p, _wgrad_x, _wgrad_y)


# Batching.  A mapped axis is shared by two of x, w and y, or by all three, and folds into the
# index those share: N of x and y, C of x and w, O of w and y, or else the groups.

_SHARED = {frozenset("xy"): "N", frozenset("xw"): "C", frozenset("wy"): "O"}


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
    """The way back: ``(B, *a)``."""
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
        return bind(*pair, **params)

    return lax.map(one, mapped)


def _batch(bind: Any, roles: str, operands: Any, dims: Any, *, geometry: Geometry, **params: Any):
    """Batching rule; ``roles`` names the operands and then the result, ``"xwy"`` say."""
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


batching.primitive_batchers[dgrad_p] = partial(_batch, dgrad, "xwy")
batching.primitive_batchers[fprop_p] = partial(_batch, fprop, "ywx")
batching.primitive_batchers[wgrad_p] = partial(_batch, wgrad, "xyw")
