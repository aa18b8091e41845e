"""The TPU kernel's sides: arrays laid out, programs called, results taken apart."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu

from jtconv.algorithms.common import arrays
from jtconv.algorithms.pallas.interpret import simulation
from jtconv.algorithms.pallas.tpu import cells, grids, programs
from jtconv.algorithms.pallas.tpu.blocks import checked
from jtconv.problem.task import Task


def dgrad(x: jax.Array, w: jax.Array, task: Task, bias: jax.Array | None) -> jax.Array:
    """x, w -> y."""
    g, b, at = task.geometry, checked(task), grids.chunks_last(x)
    x = cells.small_window(x, g, b.padded, halo=True)
    x = x.reshape(x.shape[0], *_with_phases(x.shape[1:-1]), x.shape[-1])
    w = cells.from_kernel(w, g)
    w = w.reshape(*w.shape[:3], math.prod(w.shape[3:]))
    begin = _row(bias, task, cells.phases(g), task.y_channels_per_group)
    space = cells.split_shape(g, [n * s for n, s in zip(b.counts, g.stride, strict=True)])
    y = jax.ShapeDtypeStruct(
        (x.shape[0], *space, task.y_channels_per_group * g.stride[-1]), task.result_dtype
    )
    compute = _call(
        partial(programs.dgrad, g=g, b=b),
        (g.groups, x.shape[0] // g.groups, b.steps, task.x_channels_per_group // b.chunk),
        [
            grids.window(x, b, at, b.chunk),
            grids.kernel(w, b, at, 2),
            grids.bias(begin, begin.shape[-1], at),
        ],
        grids.rows(y, b, at, y.shape[-1]),
        y,
        [pltpu.VMEM((b.cells, w.shape[-1]), task.accumulator)],
    )
    return cells.to_output(compute(x, w, begin), g)


def fprop(y: jax.Array, w: jax.Array, task: Task, bias: jax.Array | None) -> jax.Array:
    """y, w -> x."""
    g, b, at = task.geometry, checked(task), grids.chunks_last(y)
    y = cells.large_window(y, g, b.padded)
    w = jnp.swapaxes(cells.from_kernel(w, g), 2, 3)
    begin = _row(bias, task, 1, task.x_channels_per_group)
    x = jax.ShapeDtypeStruct((y.shape[0], *b.counts, task.x_channels_per_group), task.result_dtype)
    compute = _call(
        partial(programs.fprop, g=g, b=b),
        (g.groups, y.shape[0] // g.groups, b.steps, task.x_channels_per_group // b.chunk),
        [
            grids.window(y, b, at, y.shape[-1]),
            grids.kernel(w, b, at, 3),
            grids.bias(begin, b.chunk, at),
        ],
        grids.rows(x, b, at, b.chunk),
        x,
    )
    cropped = arrays.window(compute(y, w, begin), (0,) * len(g), g.x_size)
    return arrays.unmerge_groups(cropped, g.groups)


def wgrad(x: jax.Array, y: jax.Array, task: Task) -> jax.Array:
    """x, y -> w."""
    g, b, at = task.geometry, checked(task), grids.chunks_first(x)
    x, y = cells.small_window(x, g, b.counts, halo=False), cells.large_window(y, g, b.padded)
    shape = (
        len(cells.shifts(g)),
        len(cells.inner_phases(g)),
        task.x_channels_per_group,
        y.shape[-1],
    )
    w = jax.ShapeDtypeStruct((g.groups, *shape), task.accumulator)
    compute = _call(
        partial(programs.wgrad, g=g, b=b),
        (g.groups, task.x_channels_per_group // b.chunk, x.shape[0] // g.groups, b.steps),
        [grids.rows(x, b, at, b.chunk), grids.window(y, b, at, y.shape[-1])],
        grids.kernel(w, b, at, 3),
        w,
    )
    return cells.to_kernel(jnp.swapaxes(compute(x, y), 2, 3), g)


def _row(bias: jax.Array | None, task: Task, phases: int, channels: int) -> jax.Array:
    """What the sums of each group begin as: the bias, in every phase, or zeros."""
    if bias is None:
        bias = jnp.zeros(task.groups * channels)
    lanes = bias.astype(task.accumulator).reshape(task.groups, 1, channels)
    return jnp.tile(lanes, (1, 1, phases))


def _with_phases(sizes: tuple[int, ...]) -> tuple[int, ...]:
    """Sizes with a phase of one after every axis but the last."""
    return (*(n for size in sizes[:-1] for n in (size, 1)), sizes[-1])


def _call(kernel: Any, grid: Any, ins: Any, out: Any, shape: Any, scratch: Any = ()) -> Any:
    simulated = simulation()
    return pl.pallas_call(
        kernel,
        grid=grid,
        in_specs=ins,
        out_specs=out,
        out_shape=shape,
        scratch_shapes=scratch,
        interpret=simulated.how if simulated else False,
    )
