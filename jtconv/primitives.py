"""Three primitives, each the derivative of the other two.

    dgrad   x, w -> y     transposed convolution
    fprop   y, w -> x     convolution
    wgrad   x, y -> w     kernel gradient

They are the three sides of one trilinear form, so each is bilinear and its transposes are the
other two.  That is the whole differentiation rule: it closes under every order and both modes,
and every gradient is itself a task for which a method is chosen.

Beside them stand ``dgrad`` and ``fprop`` plus a bias, for methods that add it as they write.  These
are affine, and are derived as what they are: a side and a sum.

This is the only file that touches ``jax.interpreters``.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from jtconv.batching import batch
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
    *bias: jax.Array,
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
    chosen = choose(method, task)
    task, algorithm = replace(task, tile=chosen.tile), METHODS[chosen.method]
    with jax.named_scope(f"jtconv_{side}_{chosen.method}"):
        if bias and hasattr(algorithm, "biased"):
            return algorithm.biased(a, b, *bias, task).astype(task.result_dtype)
        y = getattr(algorithm, side)(a, b, task).astype(task.result_dtype)
        return _plus(y, *bias) if bias else y


def _plus(y: jax.Array, bias: jax.Array) -> jax.Array:
    """Half floats are widened for the sum, so that the bias's gradient is summed wide too."""
    half = y.dtype.name in ("float16", "bfloat16")
    wide = jnp.float32 if half else y.dtype
    return (y.astype(wide) + bias.astype(wide)).astype(y.dtype)


def _abstract(*operands: Any, side: Side, **params: Any) -> Any:
    """The result's abstract value, as XLA's own convolution would have it.

    Tracing that convolution keeps shardings and manual mesh axes right without a rule of ours.
    """
    reference = partial(_compute, side=side, platform="cpu", **{**params, "method": ("dilated",)})
    return jax.make_jaxpr(reference)(*operands).out_avals[0]


def _primitive(side: Side, suffix: str = "") -> Primitive:
    primitive = Primitive(f"jtconv_{side}{suffix}")

    @lru_cache(maxsize=1024)
    def compiled(**params: Any) -> Any:
        return jax.jit(partial(primitive.bind, **params))

    primitive.def_impl(lambda *operands, **params: compiled(**params)(*operands))
    primitive.def_abstract_eval(partial(_abstract, side=side))
    for platform in ("cpu", "cuda", "rocm", "tpu", None):
        lowered = partial(_compute, side=side, platform=platform or "other")
        rule = mlir.lower_fun(lowered, multiple_results=False)
        mlir.register_lowering(primitive, rule, platform=platform)
    return primitive


dgrad_p = _primitive("dgrad")
fprop_p = _primitive("fprop")
wgrad_p = _primitive("wgrad")
dgrad_biased_p = _primitive("dgrad", "_biased")
fprop_biased_p = _primitive("fprop", "_biased")


def _bind(primitive: Primitive, *operands: jax.Array, **params: Any) -> jax.Array:
    """``bind`` once all operands vary over the same manual mesh axes.

    Without this a gradient under shard_map would miss the sum over an axis that only some
    operands vary over.
    """
    varying = [jax.typeof(operand).mat.varying for operand in operands]
    missing = [tuple(frozenset().union(*varying) - own) for own in varying]
    alike = (
        lax.pcast(operand, axes, to="varying") if axes else operand
        for operand, axes in zip(operands, missing, strict=True)
    )
    return primitive.bind(*alike, **params)


dgrad = partial(_bind, dgrad_p)
fprop = partial(_bind, fprop_p)
wgrad = partial(_bind, wgrad_p)
dgrad_biased = partial(_bind, dgrad_biased_p)
fprop_biased = partial(_bind, fprop_biased_p)


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


def _biased_jvp(
    biased: Any, side: Any, primals: Any, tangents: Any, **params: Any
) -> tuple[jax.Array, jax.Array]:
    (a, w, _), (da, dw, dbias) = primals, tangents
    y = biased(*primals, **params)
    parts = []
    if type(da) is not ad.Zero:
        parts.append(side(da, w, **params))
    if type(dw) is not ad.Zero:
        parts.append(side(a, dw, **params))
    if type(dbias) is not ad.Zero:
        parts.append(_plus(jnp.zeros_like(y), dbias))
    return y, sum(parts[1:], parts[0])


ad.primitive_jvps[dgrad_biased_p] = partial(_biased_jvp, dgrad_biased, dgrad)
ad.primitive_jvps[fprop_biased_p] = partial(_biased_jvp, fprop_biased, fprop)


def _biased_batch(biased: Any, side: Any, roles: str, operands: Any, dims: Any, **params: Any):
    """Examples are more of the batch; under another kernel or bias the sum stands by itself."""
    *pair, bias = operands
    if all(dim is None for dim in dims[1:]):

        def bind(a: jax.Array, w: jax.Array, **params: Any) -> jax.Array:
            return biased(a, w, bias, **params)

        return batch(bind, roles, pair, dims[:2], **params)
    return jax.vmap(lambda a, w, bias: _plus(side(a, w, **params), bias), dims)(*operands), 0


batching.primitive_batchers[dgrad_p] = partial(batch, dgrad, "xwy")
batching.primitive_batchers[fprop_p] = partial(batch, fprop, "ywx")
batching.primitive_batchers[wgrad_p] = partial(batch, wgrad, "xyw")
batching.primitive_batchers[dgrad_biased_p] = partial(_biased_batch, dgrad_biased, dgrad, "xwy")
batching.primitive_batchers[fprop_biased_p] = partial(_biased_batch, fprop_biased, fprop, "ywx")
