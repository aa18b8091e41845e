"""Three primitives, each the derivative of the other two.

    dgrad   x, w -> y     transposed convolution
    fprop   y, w -> x     convolution
    wgrad   x, y -> w     kernel gradient

They are the three sides of one trilinear form, so each is bilinear and its transposes are the
other two.  That is the whole differentiation rule: it closes under every order and both modes,
and every gradient is itself a task for which a method is chosen.

Beside them stand ``dgrad`` and ``fprop`` plus a bias, for methods that add it as they write.  These
are affine, and are derived as what they are: a side and a sum.

Of ``jax.interpreters`` only this file and ``tag`` know.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from jtconv.algorithms import ALGORITHMS
from jtconv.algorithms.algorithm import WithBias, compute
from jtconv.algorithms.common.infinities import contained
from jtconv.devices import PLATFORMS, platform_of
from jtconv.dispatch import experimental
from jtconv.dispatch.batching import batch
from jtconv.dispatch.choose import choose, keeps_infinities, spreads
from jtconv.dispatch.tag import untagged
from jtconv.problem import dtypes
from jtconv.problem.geometry import Geometry
from jtconv.problem.task import ROLES, Side, Task


def _compute(
    a: jax.Array,
    b: jax.Array,
    bias: jax.Array | None = None,
    *,
    side: Side,
    platform: str,
    geometry: Geometry,
    method: tuple[str, ...],
    precision: Any,
    result: str,
) -> jax.Array:
    """One side by the method chosen for it: what the primitives are lowered to."""
    common = dtypes.common(a.dtype, b.dtype)
    a, b = a.astype(common), b.astype(common)
    shapes = dict(zip(ROLES[side], (a.shape, b.shape), strict=False))
    task = Task.of(side, geometry, shapes, common, result, platform, precision)
    chosen = choose(method, task)
    task, algorithm = replace(task, tile=chosen.tile), ALGORITHMS[chosen.method]
    with jax.named_scope(f"jtconv_{side}_{chosen.method}"):
        if bias is not None and isinstance(algorithm, WithBias):
            return algorithm.biased(a, b, bias, task).astype(task.result_dtype)

        def fast() -> jax.Array:
            return compute(algorithm, a, b, task).astype(task.result_dtype)

        kept = keeps_infinities(method, chosen, task)
        y = contained(fast, a, b, task, spreads(chosen.method, task) if kept else "")
        return _plus(y, bias) if bias is not None else y


# Equal problems of one program are traced once, and are one function of it.
_traced_once = jax.jit(
    _compute, static_argnames=("side", "platform", "geometry", "method", "precision", "result")
)


def _plus(y: jax.Array, bias: jax.Array) -> jax.Array:
    """Half floats are widened for the sum, so that the bias's gradient is summed wide too."""
    bias = jnp.expand_dims(bias.astype(_wide(y)), range(y.ndim - 1))
    return (y.astype(_wide(y)) + bias).astype(y.dtype)


def _wide(y: jax.Array) -> Any:
    return jnp.float32 if y.dtype.name in ("float16", "bfloat16") else y.dtype


def _abstract(*operands: Any, side: Side, **params: Any) -> Any:
    """The result's abstract value.

    Under a mesh it is that of XLA's own convolution: tracing one keeps shardings and manual mesh
    axes right without a rule of ours.
    """
    if all(a.sharding.mesh.empty and not a.mat.varying for a in operands):
        dtype = jax.dtypes.canonicalize_dtype(params["result"])  # what lowering makes of it
        return jax.core.ShapedArray(_result_shape(side, params["geometry"], *operands), dtype)
    reference = partial(_compute, side=side, platform="cpu", **{**params, "method": ("dilated",)})
    return jax.make_jaxpr(reference)(*operands).out_avals[0]


def _result_shape(side: Side, g: Geometry, a: Any, b: Any, *_: Any) -> tuple[Any, ...]:
    if side == "dgrad":
        return a.shape[0], *g.y_size, b.shape[-1]
    if side == "fprop":
        return a.shape[0], *g.x_size, g.groups * b.shape[-2]
    return *g.kernel, a.shape[-1] // g.groups, b.shape[-1]


def _final(rule: Any, context: Any, *operands: Any, **params: Any) -> Any:
    """Lower by ``rule``; a convolution of XLA's that it makes is nothing to accelerate."""
    with untagged(context):
        return rule(context, *operands, **params)


def _primitive(side: Side, suffix: str = "") -> Primitive:
    primitive = Primitive(f"jtconv_{side}{suffix}")

    @lru_cache(maxsize=1024)
    def compiled(**params: Any) -> Callable[..., jax.Array]:
        return jax.jit(partial(primitive.bind, **params))

    def impl(*operands: jax.Array, **params: Any) -> jax.Array:
        if jax.config.jax_disable_jit:  # type: ignore[attr-defined]
            (device, *_) = jnp.asarray(operands[0]).devices()
            with untagged():
                return _compute(*operands, side=side, platform=platform_of(device), **params)
        return compiled(**params)(*operands)

    primitive.def_impl(impl)
    primitive.def_abstract_eval(partial(_abstract, side=side))
    for platform in (*PLATFORMS, None):
        lowered = partial(_traced_once, side=side, platform=platform or "other")
        rule = mlir.lower_fun(lowered, multiple_results=False)
        mlir.register_lowering(primitive, partial(_final, rule), platform=platform)
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
    bound: jax.Array = primitive.bind(*alike, **params)
    return bound


dgrad = partial(_bind, dgrad_p)
fprop = partial(_bind, fprop_p)
wgrad = partial(_bind, wgrad_p)
dgrad_biased = partial(_bind, dgrad_biased_p)
fprop_biased = partial(_bind, fprop_biased_p)


# Derivatives.  A cotangent has the dtype of the operand it belongs to.


def _dgrad_x(y: jax.Array, x: Any, w: jax.Array, *_: Any, **params: Any) -> jax.Array:
    return fprop(y, w, **{**params, "result": x.aval.dtype.name})


def _dgrad_w(y: jax.Array, x: jax.Array, w: Any, *_: Any, **params: Any) -> jax.Array:
    return wgrad(x, y, **{**params, "result": w.aval.dtype.name})


def _fprop_y(x: jax.Array, y: Any, w: jax.Array, *_: Any, **params: Any) -> jax.Array:
    return dgrad(x, w, **{**params, "result": y.aval.dtype.name})


def _fprop_w(x: jax.Array, y: jax.Array, w: Any, *_: Any, **params: Any) -> jax.Array:
    return wgrad(x, y, **{**params, "result": w.aval.dtype.name})


def _wgrad_x(w: jax.Array, x: Any, y: jax.Array, **params: Any) -> jax.Array:
    return fprop(y, w, **{**params, "result": x.aval.dtype.name})


def _wgrad_y(w: jax.Array, x: jax.Array, y: Any, **params: Any) -> jax.Array:
    return dgrad(x, w, **{**params, "result": y.aval.dtype.name})


def _bias(cotangent: jax.Array, a: Any, w: Any, bias: Any, **_: Any) -> jax.Array:
    total = jnp.sum(cotangent.astype(_wide(cotangent)), axis=range(cotangent.ndim - 1))
    return total.astype(bias.aval.dtype)


def _transpose(rules: Any, cotangent: Any, *operands: Any, **params: Any) -> list[Any]:
    """Cotangents of the operands that the result is linear in: one of the two, and the bias."""
    linear = [ad.is_undefined_primal(operand) for operand in operands]
    if linear[0] and linear[1]:
        raise TypeError(
            "a convolution is linear in its input or in its kernel, not in both at once: "
            "transpose it with one of them fixed, or take its gradient by jax.vjp."
        )

    def of(rule: Any, operand: Any) -> Any:
        if type(cotangent) is ad.Zero:
            return ad.Zero(operand.aval.to_ct_aval())
        return rule(cotangent, *operands, **params)

    columns = zip(rules, operands, linear, strict=True)
    return [of(rule, operand) if is_linear else None for rule, operand, is_linear in columns]


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


def _define_derivatives(side: Any, primitive: Primitive, *rules: Any) -> None:
    ad.defjvp(
        primitive,
        lambda g, _, b, **params: side(g, b, **params),
        lambda g, a, _, **params: side(a, g, **params),
    )
    ad.primitive_transposes[primitive] = partial(_transpose, rules)


_define_derivatives(dgrad, dgrad_p, _dgrad_x, _dgrad_w)
_define_derivatives(fprop, fprop_p, _fprop_y, _fprop_w)
_define_derivatives(wgrad, wgrad_p, _wgrad_x, _wgrad_y)
ad.primitive_jvps[dgrad_biased_p] = partial(_biased_jvp, dgrad_biased, dgrad)
ad.primitive_jvps[fprop_biased_p] = partial(_biased_jvp, fprop_biased, fprop)
ad.primitive_transposes[dgrad_biased_p] = partial(_transpose, (_dgrad_x, _dgrad_w, _bias))
ad.primitive_transposes[fprop_biased_p] = partial(_transpose, (_fprop_y, _fprop_w, _bias))


def _biased_batch(
    biased: Any, bare: Any, side: Side, operands: Any, dims: Any, **params: Any
) -> tuple[jax.Array, int]:
    """Examples are more of the batch; under another kernel or bias the sum stands by itself."""
    *pair, bias = operands
    if all(dim is None for dim in dims[1:]):

        def bind(a: jax.Array, w: jax.Array, **params: Any) -> jax.Array:
            y: jax.Array = biased(a, w, bias, **params)
            return y

        return batch(bind, side, pair, dims[:2], **params)
    return jax.vmap(lambda a, w, bias: _plus(bare(a, w, **params), bias), dims)(*operands), 0


batching.primitive_batchers[dgrad_p] = partial(batch, dgrad, "dgrad")
batching.primitive_batchers[fprop_p] = partial(batch, fprop, "fprop")
batching.primitive_batchers[wgrad_p] = partial(batch, wgrad, "wgrad")
batching.primitive_batchers[dgrad_biased_p] = partial(_biased_batch, dgrad_biased, dgrad, "dgrad")
batching.primitive_batchers[fprop_biased_p] = partial(_biased_batch, fprop_biased, fprop, "fprop")

experimental.register(dgrad_p, dgrad, dgrad)
experimental.register(fprop_p, fprop, fprop)
experimental.register(wgrad_p, wgrad, wgrad)
experimental.register(dgrad_biased_p, dgrad_biased, dgrad)
experimental.register(fprop_biased_p, fprop_biased, fprop)
