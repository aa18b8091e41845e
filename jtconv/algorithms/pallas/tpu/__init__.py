"""The TPU kernels: a block of rows at a time, with its halo, all phases of a position in the lanes.

A program holds the rows of one block in VMEM, and for every shift (see `layout`) multiplies a
shifted view of them by a matrix of ``s^N * C_out`` columns.  The sums stay in VMEM in float32,
begin as the bias, and are written once, each phase of the leading axes to the rows it belongs to,
so that what is left for XLA is a reshape and a crop.  fprop and wgrad read the same blocks with
source and result exchanged.

layout     arrays in positions and phases
blocks     how a task is cut up to fit VMEM, or why it is refused; which block a program has

Never run on a TPU: it is tested in Pallas's TPU interpret mode and lowered.  What it should
reach there is estimated in ``bench/TPU.md``.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from functools import partial, reduce
from operator import or_
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu

from jtconv.algorithms.common import arrays
from jtconv.algorithms.pallas.interpret import simulation
from jtconv.algorithms.pallas.tpu import blocks, layout
from jtconv.algorithms.pallas.tpu.blocks import Blocks, refuse, tiles
from jtconv.problem.geometry import Geometry
from jtconv.problem.task import Task

__all__ = ["dgrad", "fprop", "refuse", "tiles", "wgrad"]


def dgrad(x: jax.Array, w: jax.Array, task: Task, bias: jax.Array | None) -> jax.Array:
    """x, w -> y."""
    g, b, grid = task.geometry, blocks.checked_blocks(task), blocks.chunks_last(x)
    x = layout.x_window(x, g, b.padded, halo=True)
    x = x.reshape(x.shape[0], *_with_phases(x.shape[1:-1]), x.shape[-1])
    w = layout.pack_kernel(w, g)
    w = w.reshape(*w.shape[:3], math.prod(w.shape[3:]))
    begin = _bias_row(bias, task, layout.phase_count(g), task.y_channels_per_group)
    space = layout.split_shape(g, [n * s for n, s in zip(b.counts, g.stride, strict=True)])
    channels = task.y_channels_per_group * g.stride[-1]
    y = jax.ShapeDtypeStruct((x.shape[0], *space, channels), task.result_dtype)
    compute = _call(
        task.side,
        partial(_dgrad_kernel, g=g, b=b),
        (g.groups, x.shape[0] // g.groups, b.steps, task.x_channels_per_group // b.chunk),
        [
            blocks.window_spec(x, b, grid, b.chunk),
            blocks.kernel_spec(w, b, grid, 2),
            blocks.bias_spec(begin, begin.shape[-1], grid),
        ],
        blocks.rows_spec(y, b, grid, y.shape[-1]),
        y,
        [pltpu.VMEM((b.positions, w.shape[-1]), task.accumulator)],
    )
    return layout.to_y(compute(x, w, begin), g)


def fprop(y: jax.Array, w: jax.Array, task: Task, bias: jax.Array | None) -> jax.Array:
    """y, w -> x."""
    g, b, grid = task.geometry, blocks.checked_blocks(task), blocks.chunks_last(y)
    y = layout.y_window(y, g, b.padded)
    w = jnp.swapaxes(layout.pack_kernel(w, g), 2, 3)
    begin = _bias_row(bias, task, 1, task.x_channels_per_group)
    x = jax.ShapeDtypeStruct((y.shape[0], *b.counts, task.x_channels_per_group), task.result_dtype)
    compute = _call(
        task.side,
        partial(_fprop_kernel, g=g, b=b),
        (g.groups, y.shape[0] // g.groups, b.steps, task.x_channels_per_group // b.chunk),
        [
            blocks.window_spec(y, b, grid, y.shape[-1]),
            blocks.kernel_spec(w, b, grid, 3),
            blocks.bias_spec(begin, b.chunk, grid),
        ],
        blocks.rows_spec(x, b, grid, b.chunk),
        x,
    )
    cropped = arrays.window(compute(y, w, begin), (0,) * len(g), g.x_size)
    return arrays.batch_to_groups(cropped, g.groups)


def wgrad(x: jax.Array, y: jax.Array, task: Task) -> jax.Array:
    """x, y -> w."""
    g, b, grid = task.geometry, blocks.checked_blocks(task), blocks.chunks_first(x)
    x, y = layout.x_window(x, g, b.counts, halo=False), layout.y_window(y, g, b.padded)
    channels = task.x_channels_per_group, y.shape[-1]
    shape = len(layout.shifts(g)), len(layout.leading_phases(g)), *channels
    w = jax.ShapeDtypeStruct((g.groups, *shape), task.accumulator)
    compute = _call(
        task.side,
        partial(_wgrad_kernel, g=g, b=b),
        (g.groups, task.x_channels_per_group // b.chunk, x.shape[0] // g.groups, b.steps),
        [blocks.rows_spec(x, b, grid, b.chunk), blocks.window_spec(y, b, grid, y.shape[-1])],
        blocks.kernel_spec(w, b, grid, 3),
        w,
    )
    return layout.unpack_kernel(jnp.swapaxes(compute(x, y), 2, 3), g)


def _bias_row(bias: jax.Array | None, task: Task, phases: int, channels: int) -> jax.Array:
    """What the sums of each group begin as: the bias, in every phase, or zeros."""
    if bias is None:
        bias = jnp.zeros(task.groups * channels)
    lanes = bias.astype(task.accumulator).reshape(task.groups, 1, channels)
    return jnp.tile(lanes, (1, 1, phases))


def _with_phases(sizes: tuple[int, ...]) -> tuple[int, ...]:
    """Sizes with a phase of one after every axis but the last."""
    return (*(n for size in sizes[:-1] for n in (size, 1)), sizes[-1])


def _call(
    name: str, kernel: Any, grid: Any, ins: Any, out: Any, shape: Any, scratch: Any = ()
) -> Any:
    simulated = simulation()
    return pl.pallas_call(
        kernel,
        name=name,
        grid=grid,
        in_specs=ins,
        out_specs=out,
        out_shape=shape,
        scratch_shapes=scratch,
        interpret=simulated.how if simulated else False,
    )


# What a program computes, from references to blocks in VMEM.


def _dgrad_kernel(x: Any, w: Any, bias: Any, y: Any, sums: Any, *, g: Geometry, b: Blocks) -> None:
    """Rows of y, summed over chunks."""
    step, reaches = pl.program_id(3), [a.reach for a in layout.subpixel_axes(g)]

    @pl.when(step == 0)
    def _begin() -> None:
        sums[...] = jnp.broadcast_to(bias[0], sums.shape)

    for number, shift in enumerate(layout.shifts(g)):
        starts = [reach - n for reach, n in zip(reaches, shift, strict=True)]
        rows = x[_window(b, starts, (0,) * (len(g) - 1))].reshape(b.positions, b.chunk)
        product = _dot(rows, w[0, number], (1, 0), sums.dtype)
        sums[...] += _masked(product, tuple(itertools.chain(*layout.output_masks(g, shift))))

    @pl.when(step == pl.num_programs(3) - 1)
    def _write() -> None:
        lanes = y.shape[-1]
        for number, phase in enumerate(layout.leading_phases(g)):
            part = sums[:, number * lanes : (number + 1) * lanes].astype(y.dtype)
            whole = _window(b, (0,) * len(g), phase)
            y[whole] = part.reshape(b.rows, *b.counts[1:], lanes)


def _fprop_kernel(y: Any, w: Any, bias: Any, x: Any, *, g: Geometry, b: Blocks) -> None:
    """Rows of a chunk of x."""
    sums = jnp.broadcast_to(bias[0], (b.positions, b.chunk))
    for shift, phase, mask, rows in _rows_of_y(y, g, b):
        sums += _dot(_masked(rows, mask), w[0, shift, phase], (1, 1), bias.dtype)
    x[...] = sums.astype(x.dtype).reshape(x.shape)


def _wgrad_kernel(x: Any, y: Any, w: Any, *, g: Geometry, b: Blocks) -> None:
    """A chunk of the kernel, summed over programs."""

    @pl.when((pl.program_id(2) == 0) & (pl.program_id(3) == 0))
    def _clear() -> None:
        w[...] = jnp.zeros(w.shape, w.dtype)

    rows_of_x = x[...].reshape(b.positions, b.chunk)
    for shift, phase, _, rows in _rows_of_y(y, g, b):
        w[0, shift, phase] += _dot(rows_of_x, rows, (0, 0), w.dtype)


def _rows_of_y(y: Any, g: Geometry, b: Blocks) -> Iterator[tuple[int, int, layout.Mask, jax.Array]]:
    """What the taps of every shift and leading phase pair with x, as rows of a matrix."""
    for number, shift in enumerate(layout.shifts(g)):
        masks = zip(layout.leading_phases(g), layout.output_masks(g, shift), strict=True)
        for leading, (phase, mask) in enumerate(masks):
            if any(mask):
                rows = y[_window(b, shift, phase)].reshape(b.positions, y.shape[-1])
                yield number, leading, mask, rows


def _window(b: Blocks, starts: Any, phase: tuple[int, ...]) -> tuple[Any, ...]:
    """The index of the block's positions of one phase, from ``starts`` on."""
    sizes = (b.rows, *b.counts[1:])
    space = [pl.ds(start, size) for start, size in zip(starts, sizes, strict=True)]
    index: list[Any] = [0]
    for axis, leading in zip(space, (*phase, None), strict=True):
        index += [axis] if leading is None else [axis, leading]
    return (*index, slice(None))


def _masked(rows: jax.Array, mask: layout.Mask) -> jax.Array:
    """``(rows, phases*channels)`` with zeros for phases that have no tap.

    A kernel that is no multiple of its stride, or dilated, has no tap for some phases; in its
    place stands a zero, and an infinity times zero is NaN.  So these are selected, not multiplied.
    """
    if all(mask):
        return rows
    channels, lane = rows.shape[1] // len(mask), lax.broadcasted_iota(jnp.int32, rows.shape, 1)
    runs = [(a * channels <= lane) & (lane < b * channels) for a, b in _runs(mask)]
    # Selected at 32 bits at least: masks of the lanes of halves are another matter.
    wide = jnp.float32 if rows.dtype.itemsize < 4 else rows.dtype
    return jnp.where(reduce(or_, runs), rows.astype(wide), jnp.zeros((), wide)).astype(rows.dtype)


def _runs(mask: layout.Mask) -> Iterator[tuple[int, int]]:
    """Where phases that have taps begin and end."""
    start = 0
    for valid, group in itertools.groupby(mask):
        stop = start + len(list(group))
        if valid:
            yield start, stop
        start = stop


def _dot(a: jax.Array, b: jax.Array, over: tuple[int, int], dtype: Any) -> jax.Array:
    # The precision in force where a kernel is traced is that of jax.config: the default of
    # TPUs rounds float32 to bfloat16.
    exact = lax.Precision.HIGHEST if a.dtype == jnp.float32 else None
    numbers = (((over[0],), (over[1],)), ((), ()))
    return lax.dot_general(a, b, numbers, precision=exact, preferred_element_type=dtype)
