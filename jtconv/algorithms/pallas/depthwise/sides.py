"""The depthwise kernel's sides: what it refuses, and arrays as it reads them."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp

from jtconv.algorithms.common import arrays
from jtconv.algorithms.pallas import phased
from jtconv.algorithms.pallas.depthwise import gradient
from jtconv.algorithms.pallas.depthwise.columns import LINE_BYTES, MOST_SUMS, TILES, Columns, tiles
from jtconv.algorithms.pallas.depthwise.kernel import launch
from jtconv.problem.task import Task

MOST_PRODUCTS = 128  # unrolled for one row


def refuse(task: Task) -> str | None:
    """Why not."""
    if task.dtype.name not in ("float16", "bfloat16", "float32") or task.result_dtype != task.dtype:
        return f"it takes and gives floats of 16 or 32 bits, not {task.dtype}-{task.result_dtype}"
    if len(task.geometry) > 2:
        return "it is written for one or two axes"
    line, taps = LINE_BYTES // task.dtype.itemsize, math.prod(task.geometry.kernel)
    if task.x_channels % line:
        return f"it goes by lines of {line} channels, and there are {task.x_channels}"
    if taps > MOST_PRODUCTS:
        return f"it would unroll {taps} products"
    narrow = min(TILES.values())
    most = MOST_SUMS // narrow.width
    if task.side == "wgrad" and taps > most:
        return f"it keeps the sums of {most} taps at most, not {taps}"
    if not tiles(task):
        needed = Columns.cut(1, task, narrow).line_count * LINE_BYTES
        return f"it needs {needed >> 10} KiB of shared memory"
    return None


def dgrad(x: jax.Array, w: jax.Array, task: Task, bias: jax.Array | None) -> jax.Array:
    """x, w -> y."""
    return arrays.window(_run(x, w, task, bias), (0,) * len(task.geometry), task.geometry.y_size)


def fprop(y: jax.Array, w: jax.Array, task: Task, bias: jax.Array | None) -> jax.Array:
    """y, w -> x."""
    return _run(y, w, task, bias)


def wgrad(x: jax.Array, y: jax.Array, task: Task) -> jax.Array:
    """x, y -> w."""
    columns = Columns.of(x.shape[0], task)
    if len(task.geometry) == 1:
        x, y = x[:, None], y[:, None]
    sums = gradient.launch(columns, x.dtype)(x, phased.split(y, columns.walk))
    w = jnp.sum(sums, (0, 2)).reshape(*task.geometry.kernel, 1, task.x_channels)
    return w.astype(task.result_dtype)


def _run(source: jax.Array, w: jax.Array, task: Task, bias: jax.Array | None) -> jax.Array:
    columns, plain = Columns.of(source.shape[0], task), len(task.geometry) == 1
    source = source[:, None] if plain else source
    last = jnp.zeros(task.x_channels, w.dtype) if bias is None else bias
    taps = jnp.concatenate([w.reshape(-1, task.x_channels), last[None]])
    taps = jnp.repeat(taps[:, None], columns.width, axis=1)
    shape = phased.shape(columns.walk, columns.batch, task.x_channels)
    run = launch(jax.ShapeDtypeStruct(shape, source.dtype), columns)
    result = phased.join(run(phased.split(source, columns.walk), taps), columns.walk)
    return result[:, 0] if plain else result
