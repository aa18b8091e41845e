"""vjp: the transposed convolution as what its name says, the transpose of a convolution.

    dgrad   ``jax.linear_transpose`` of ``y -> conv(y, w)``
    fprop   the convolution itself
    wgrad   ``jax.linear_transpose`` of ``w -> conv(y, w)``

The second of the three ways.  XLA sees the convolution's own gradient, the form its GPU
compiler knows best.
"""

from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp

from jtconv.algorithms.common import arrays, xla_conv
from jtconv.algorithms.common.work import Work
from jtconv.problem.geometry import Geometry
from jtconv.problem.task import Cost, Task


def refuse(task: Task) -> str | None:
    """Integers have no derivative, so none is taken through."""
    if not jnp.issubdtype(task.dtype, jnp.inexact):
        return f"it differentiates a convolution, and {task.dtype} has no derivative"
    return xla_conv.refuse(task)


def cost(task: Task) -> Cost:
    """That of a convolution as XLA does it."""
    return xla_conv.cost(task)


def spreads(task: Task) -> str:
    """Those that meet the zeros between cells of x, or the padding."""
    return xla_conv.spreads(task)


def work(task: Task) -> Work:
    """That of a convolution, whose kernel JAX transposes and does not only reverse."""
    return xla_conv.work(task, transposes=True)


def dgrad(x: jax.Array, w: jax.Array, task: Task) -> jax.Array:
    """x, w -> y."""
    x, w, task = _wide(x, w, task)
    shape = (x.shape[0], *task.geometry.y_size, task.y_channels)
    y = arrays.zeros(shape, x, x.dtype)
    transposed: jax.Array = jax.linear_transpose(lambda y: _strided(y, w, task), y)(x)[0]
    return transposed


def fprop(y: jax.Array, w: jax.Array, task: Task) -> jax.Array:
    """y, w -> x."""
    return xla_conv.fprop(y, w, task)


def wgrad(x: jax.Array, y: jax.Array, task: Task) -> jax.Array:
    """x, y -> w."""
    x, y, task = _wide(x, y, task)
    w = arrays.zeros(
        (*task.geometry.kernel, task.x_channels_per_group, task.y_channels), x, x.dtype
    )
    transposed: jax.Array = jax.linear_transpose(lambda w: xla_conv.fprop(y, w, task), w)(x)[0]
    return transposed


def _strided(y: jax.Array, w: jax.Array, task: Task) -> jax.Array:
    """The convolution, with zeros written out where XLA would misread its transpose."""
    g = task.geometry
    apart = [xla_conv.is_taken_for_groups(axis) for axis in g]
    pads = [axis.crops if yes else (0, 0) for axis, yes in zip(g, apart, strict=True)]
    axes = tuple(
        replace(axis, lo=0, y_size=axis.y_size + sum(axis.crops)) if yes else axis
        for axis, yes in zip(g, apart, strict=True)
    )
    task = replace(task, geometry=Geometry(axes, task.groups))
    return xla_conv.fprop(arrays.pad_space(y, pads), w, task)


def _wide(a: jax.Array, b: jax.Array, task: Task) -> tuple[jax.Array, jax.Array, Task]:
    """The operands in the dtype that XLA is asked to sum in, if any: a transpose keeps dtypes."""
    wide = task.accumulator
    if xla_conv.element_type(task) is None or wide == task.dtype:
        return a, b, task
    return a.astype(wide), b.astype(wide), replace(task, dtype=wide)
