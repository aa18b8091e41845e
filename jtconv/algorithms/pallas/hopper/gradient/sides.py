"""The kernel gradient's arrays as it reads them, and its parts put together."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from jax import lax

from jtconv.algorithms.pallas import phased
from jtconv.algorithms.pallas.hopper.channels import merges, with_merged_phases
from jtconv.algorithms.pallas.hopper.gradient.multiply import load, multiply, scratch
from jtconv.algorithms.pallas.hopper.gradient.plan import Plan
from jtconv.algorithms.pallas.hopper.kernel import launch
from jtconv.problem.task import Task


def wgrad(x: jax.Array, y: jax.Array, task: Task) -> jax.Array:
    """x, y -> w."""
    g = task.geometry
    y = with_merged_phases(y, g)
    if task.dtype == jnp.float32:
        x, y = _in_halves(x, y)
    plan = Plan.of(x.shape[0], task)
    shape = jax.ShapeDtypeStruct(plan.result, jnp.float32)
    run = launch(shape, plan, scratch(plan, x.dtype), load, multiply)
    w = _whole(run(x, phased.split(y, plan.walk)), plan)
    if merges(g):
        w = jnp.moveaxis(w.reshape(*w.shape[:-1], g.stride[-1], -1), -2, -3)
    return w.reshape(*g.kernel, task.x_channels_per_group, task.y_channels).astype(
        task.result_dtype
    )


def _whole(parts: jax.Array, plan: Plan) -> jax.Array:
    """Parts of the sum added, without what reaches past channels and taps: ``(taps, c, G*o)``."""
    w = jnp.sum(parts.reshape(plan.parts, -1, parts.shape[-1]), axis=0)
    taps, rows = math.prod(plan.taps), -(-plan.width // plan.tile.rows) * plan.tile.rows
    w = w.reshape(plan.groups, -1, w.shape[-1])[:, : taps * rows, : plan.depth]
    w = w.reshape(plan.groups, taps, rows, plan.depth)[:, :, : plan.width]
    return jnp.transpose(w, (1, 3, 0, 2)).reshape(taps, plan.depth, -1)


def _in_halves(x: jax.Array, y: jax.Array) -> tuple[jax.Array, jax.Array]:
    """float32 as bfloat16, thrice: ``large*large + large*rest + rest*large`` err by 2**-16.

    Three parts of a sum like any other, so they are three batches.
    """
    (x, x_rest), (y, y_rest) = _split(x), _split(y)
    # an infinity times the rest, which may be 0 or of the other sign, would be NaN
    return jnp.concatenate([x, _finite(x), x_rest]), jnp.concatenate([y, y_rest, _finite(y)])


def _split(a: jax.Array) -> tuple[jax.Array, jax.Array]:
    # XLA would see through a cast there and back, and find no rest.
    most = jnp.finfo(jnp.bfloat16).max.astype(a.dtype)
    large = lax.reduce_precision(jnp.clip(a, -most, most), exponent_bits=8, mantissa_bits=7)
    large = jnp.where(jnp.isfinite(a), large, a)
    return large.astype(jnp.bfloat16), _finite(a - large).astype(jnp.bfloat16)


def _finite(a: jax.Array) -> jax.Array:
    return jnp.where(jnp.isfinite(a), a, jnp.zeros((), a.dtype))
