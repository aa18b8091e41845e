"""The depthwise kernel's sides: what it refuses, and arrays as it reads them."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp

from jtconv.methods import moves
from jtconv.methods.kernels import phased
from jtconv.methods.kernels.depthwise.columns import LINE_BYTES, WIDTH, Columns
from jtconv.methods.kernels.depthwise.kernel import launch
from jtconv.methods.task import Task

MOST_PRODUCTS = 128  # unrolled for one row
MEMORY_BYTES = 200 * 2**10  # of the 227 KiB of shared memory that a block may have


def refuse(task: Task) -> str | None:
    """Why not."""
    if task.side == "wgrad":
        return "the depthwise kernel goes down one column, and a kernel gradient sums over all"
    if task.dtype.name not in ("float16", "bfloat16", "float32") or task.result_dtype != task.dtype:
        return f"it takes and gives floats of 16 or 32 bits, not {task.dtype}-{task.result_dtype}"
    if len(task.geometry) > 2:
        return "it is written for one or two axes"
    line = LINE_BYTES // task.dtype.itemsize
    if task.channels % line:
        return f"it goes by lines of {line} channels, and there are {task.channels}"
    if math.prod(task.geometry.kernel) > MOST_PRODUCTS:
        return f"it would unroll {math.prod(task.geometry.kernel)} products"
    needed = Columns.of(1, task).line_count * LINE_BYTES
    return f"it needs {needed >> 10} KiB of shared memory" if needed > MEMORY_BYTES else None


def dgrad(x: jax.Array, w: jax.Array, task: Task, bias: jax.Array | None) -> jax.Array:
    """x, w -> y."""
    return moves.window(_run(x, w, task, bias), (0,) * len(task.geometry), task.geometry.output)


def fprop(y: jax.Array, w: jax.Array, task: Task, bias: jax.Array | None) -> jax.Array:
    """y, w -> x."""
    return _run(y, w, task, bias)


def _run(source: jax.Array, w: jax.Array, task: Task, bias: jax.Array | None) -> jax.Array:
    columns, plain = Columns.of(source.shape[0], task), len(task.geometry) == 1
    source = source[:, None] if plain else source
    last = jnp.zeros(task.channels, w.dtype) if bias is None else bias
    taps = jnp.concatenate([w.reshape(-1, task.channels), last[None]])
    taps = jnp.repeat(taps[:, None], WIDTH, axis=1)
    shape = phased.shape(columns.walk, columns.batch, task.channels)
    run = launch(jax.ShapeDtypeStruct(shape, source.dtype), columns)
    result = phased.join(run(phased.split(source, columns.walk), taps), columns.walk)
    return result[:, 0] if plain else result
