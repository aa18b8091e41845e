"""The kernels for depthwise layers on GPUs: memory is the limit, so each number moves once.

A warpgroup has a column of the result to itself, some positions wide and as many channels as one
line of memory, and goes down it a few rows at a time.  TMA brings the rows with their halo, each of
their phases, and fills what lies outside with zeros; every position is summed in registers in
float32, from shifted views of the same rows, and TMA takes each phase to the positions it owns.
The kernel lies in shared memory all the while, repeated along the width, so that it has the shape
of what it multiplies, and the bias after its last tap.  No tensor core would help: there is one
channel a group.

columns          the work in integers, and the kernel of dgrad and fprop
kernel_gradient  the same for wgrad

Never run on a GPU: they are lowered for CUDA, and interpreted on jax 0.11 and later.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp

from jtconv.algorithms.common import arrays
from jtconv.algorithms.pallas.depthwise import columns, kernel_gradient
from jtconv.algorithms.pallas.depthwise.columns import LINE_BYTES, MOST_SUMS, TILES, Columns, tiles
from jtconv.problem.task import Task

__all__ = ["dgrad", "fprop", "refuse", "tiles", "wgrad"]

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
    cut = Columns.of(x.shape[0], task)
    if len(task.geometry) == 1:
        x, y = x[:, None], y[:, None]
    sums = kernel_gradient.launch(cut, x.dtype)(x, cut.schedule.split(y))
    w = jnp.sum(sums, (0, 2)).reshape(*task.geometry.kernel, 1, task.x_channels)
    return w.astype(task.result_dtype)


def _run(source: jax.Array, w: jax.Array, task: Task, bias: jax.Array | None) -> jax.Array:
    cut, plain = Columns.of(source.shape[0], task), len(task.geometry) == 1
    source = source[:, None] if plain else source
    last = jnp.zeros(task.x_channels, w.dtype) if bias is None else bias
    taps = jnp.concatenate([w.reshape(-1, task.x_channels), last[None]])
    taps = jnp.repeat(taps[:, None], cut.width, axis=1)
    shape = cut.schedule.result_shape(cut.batch, task.x_channels)
    kernel = columns.launch(jax.ShapeDtypeStruct(shape, source.dtype), cut)
    result = cut.schedule.join(kernel(cut.schedule.split(source), taps))
    return result[:, 0] if plain else result
