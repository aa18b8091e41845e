"""The TPU kernel: a block of rows at a time, with its halo, all phases of a cell in the lanes.

A program holds the rows of one block in VMEM, and for every shift (see ``cells``) multiplies a
shifted view of them by a matrix of ``s^N * C_out`` columns.  The sums stay in VMEM in float32 and
are written once, each phase of the leading axes to the rows it belongs to, so that what is left
for XLA is a reshape and a crop.  fprop and wgrad read the same blocks the other way round.

Never run on a TPU: it is tested in Pallas's TPU interpret mode and lowered.  What it should
reach there is reckoned in ``bench/TPU.md``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu

from jtconv.geometry import Geometry
from jtconv.methods import moves
from jtconv.methods.kernels import cells
from jtconv.methods.kernels.interpret import simulation
from jtconv.methods.task import Task

# Of the 16 MiB of VMEM that a v5e gives one kernel unasked, with room for what Mosaic adds.
VMEM_BYTES = 12 * 2**20
# Rows of a product: enough to keep the matrix unit streaming, and no more.
ROWS = 512
CHUNKS = (1024, 512, 256, 128)
MOST_PRODUCTS = 64  # unrolled into one program


@dataclass(frozen=True)
class Blocks:
    """How one task is cut up."""

    counts: tuple[int, ...]  # cells computed per axis, padded
    rows: int  # of the first axis in one block
    window: int  # rows of the source that a block reads
    chunk: int  # channels of x in one step

    @property
    def steps(self) -> int:
        """Blocks along the first axis."""
        return self.counts[0] // self.rows

    @property
    def padded(self) -> tuple[int, ...]:
        """Cells to lay out in front of the kernel: the last window is read whole."""
        return self.counts[0] + self.window, *self.counts[1:]

    @property
    def cells(self) -> int:
        """Cells of a block: the rows of its products."""
        return self.rows * math.prod(self.counts[1:])


def refuse(task: Task) -> str | None:
    """Why not."""
    g = task.geometry
    if simulation() is None and task.dtype.name not in ("bfloat16", "float32"):
        return f"TPUs multiply bfloat16 and float32, and this is {task.dtype}"
    if not jnp.issubdtype(task.dtype, jnp.floating):
        return f"the kernel is written for floats, and this is {task.dtype}"
    products = len(cells.shifts(g)) * len(cells.inner_phases(g))
    if products > MOST_PRODUCTS:
        return f"it would unroll {products} products, more than {MOST_PRODUCTS}"
    if blocks(task) is None:
        return f"one row of it does not fit {VMEM_BYTES // 2**20} MiB of VMEM"
    return None


def blocks(task: Task) -> Blocks | None:
    """The largest blocks that fit, if any do."""
    chunks = [c for c in CHUNKS if c < task.depth and task.depth % c == 0]
    for chunk in (task.depth, *chunks):
        found = _blocks(task, chunk)
        if _bytes(task, found) <= VMEM_BYTES:
            return found
        least = _blocks(task, chunk, rows=1)
        while found.rows > least.rows:
            found = _blocks(task, chunk, rows=found.rows // 2)
            if _bytes(task, found) <= VMEM_BYTES:
                return found
    return None


def _blocks(task: Task, chunk: int, rows: int | None = None) -> Blocks:
    g, tile = task.geometry, max(8, 32 // task.dtype.itemsize)  # sublanes of one tile
    counts = list(g.input)
    if task.side == "dgrad":
        counts = [r.count for r in cells.rasters(g)]
    reach = cells.rasters(g)[0].reach
    if len(g) == 1:
        rows = _up(min(rows or ROWS, counts[0]), tile)
        return Blocks((_up(counts[0], rows),), rows, rows + _up(reach, tile), chunk)
    counts[-1] = _up(counts[-1], tile)
    rows = min(rows or max(ROWS // math.prod(counts[1:]), 1), counts[0])
    return Blocks((_up(counts[0], rows), *counts[1:]), rows, rows + reach, chunk)


def _up(n: int, multiple: int) -> int:
    return -(-n // multiple) * multiple


def _bytes(task: Task, b: Blocks) -> int:
    """VMEM of one program: every block twice, for the pipeline, and the sums."""
    g, size, wide = task.geometry, task.dtype.itemsize, task.accumulator.itemsize
    others = math.prod(c + r.reach for c, r in zip(b.counts[1:], cells.rasters(g)[1:], strict=True))
    lanes, shifts = cells.phases(g) * task.width, len(cells.shifts(g))
    window = b.window * others * size
    kernel = shifts * b.chunk * lanes
    if task.side == "dgrad":
        sums = b.cells * lanes
        return 2 * (window * b.chunk + kernel * size + sums * size) + sums * wide
    source = window * lanes
    if task.side == "fprop":
        return 2 * (source + kernel * size + b.cells * b.chunk * size) + b.cells * b.chunk * wide
    return 2 * (source + b.cells * b.chunk * size + kernel * wide)


def dgrad(x: jax.Array, w: jax.Array, task: Task) -> jax.Array:
    """x, w -> y."""
    g, b, at = task.geometry, _checked(task), _chunks_last(x)
    x = cells.small_window(x, g, b.padded, halo=True)
    x = x.reshape(x.shape[0], *_with_phases(x.shape[1:-1]), x.shape[-1])
    w = cells.from_kernel(w, g)
    w = w.reshape(*w.shape[:3], math.prod(w.shape[3:]))
    space = cells.split_shape(g, [n * s for n, s in zip(b.counts, g.stride, strict=True)])
    y = jax.ShapeDtypeStruct((x.shape[0], *space, task.width * g.stride[-1]), task.result_dtype)
    compute = _call(
        partial(_dgrad_kernel, g=g, b=b),
        (g.groups, x.shape[0] // g.groups, b.steps, task.depth // b.chunk),
        [_window(x, b, at, b.chunk), _kernel(w, b, at, 2)],
        _rows(y, b, at, y.shape[-1]),
        y,
        [pltpu.VMEM((b.cells, w.shape[-1]), task.accumulator)],
    )
    return cells.to_output(compute(x, w), g)


def fprop(y: jax.Array, w: jax.Array, task: Task) -> jax.Array:
    """y, w -> x."""
    g, b, at = task.geometry, _checked(task), _chunks_last(y)
    y = cells.large_window(y, g, b.padded)
    w = jnp.swapaxes(cells.from_kernel(w, g), 2, 3)
    x = jax.ShapeDtypeStruct((y.shape[0], *b.counts, task.depth), task.result_dtype)
    compute = _call(
        partial(_fprop_kernel, g=g, b=b),
        (g.groups, y.shape[0] // g.groups, b.steps, task.depth // b.chunk),
        [_window(y, b, at, y.shape[-1]), _kernel(w, b, at, 3)],
        _rows(x, b, at, b.chunk),
        x,
    )
    return moves.unmerge_groups(moves.window(compute(y, w), (0,) * len(g), g.input), g.groups)


def wgrad(x: jax.Array, y: jax.Array, task: Task) -> jax.Array:
    """x, y -> w."""
    g, b, at = task.geometry, _checked(task), _chunks_first(x)
    x, y = cells.small_window(x, g, b.counts, halo=False), cells.large_window(y, g, b.padded)
    shape = (len(cells.shifts(g)), len(cells.inner_phases(g)), task.depth, y.shape[-1])
    w = jax.ShapeDtypeStruct((g.groups, *shape), task.accumulator)
    compute = _call(
        partial(_wgrad_kernel, g=g, b=b),
        (g.groups, task.depth // b.chunk, x.shape[0] // g.groups, b.steps),
        [_rows(x, b, at, b.chunk), _window(y, b, at, y.shape[-1])],
        _kernel(w, b, at, 3),
        w,
    )
    return cells.to_kernel(jnp.swapaxes(compute(x, y), 2, 3), g)


# Inside: references to blocks in VMEM.


def _dgrad_kernel(x: Any, w: Any, y: Any, sums: Any, *, g: Geometry, b: Blocks) -> None:
    step, reaches = pl.program_id(3), [r.reach for r in cells.rasters(g)]

    @pl.when(step == 0)
    def _clear() -> None:
        sums[...] = jnp.zeros(sums.shape, sums.dtype)

    for number, shift in enumerate(cells.shifts(g)):
        starts = [reach - n for reach, n in zip(reaches, shift, strict=True)]
        rows = x[_at(b, starts, (0,) * (len(g) - 1))].reshape(b.cells, b.chunk)
        sums[...] += _dot(rows, w[0, number], (1, 0), sums.dtype)

    @pl.when(step == pl.num_programs(3) - 1)
    def _write() -> None:
        lanes = y.shape[-1]
        for number, phase in enumerate(cells.inner_phases(g)):
            part = sums[:, number * lanes : (number + 1) * lanes].astype(y.dtype)
            whole = _at(b, (0,) * len(g), phase)
            y[whole] = part.reshape(b.rows, *b.counts[1:], lanes)


def _fprop_kernel(y: Any, w: Any, x: Any, *, g: Geometry, b: Blocks) -> None:
    wide = jnp.promote_types(x.dtype, jnp.float32)
    sums = jnp.zeros((b.cells, b.chunk), wide)
    for shift, phase, rows in _under(y, g, b):
        sums += _dot(rows, w[0, shift, phase], (1, 1), wide)
    x[...] = sums.astype(x.dtype).reshape(x.shape)


def _wgrad_kernel(x: Any, y: Any, w: Any, *, g: Geometry, b: Blocks) -> None:
    @pl.when((pl.program_id(2) == 0) & (pl.program_id(3) == 0))
    def _clear() -> None:
        w[...] = jnp.zeros(w.shape, w.dtype)

    cells_of_x = x[...].reshape(b.cells, b.chunk)
    for shift, phase, rows in _under(y, g, b):
        w[0, shift, phase] += _dot(cells_of_x, rows, (0, 0), w.dtype)


def _under(y: Any, g: Geometry, b: Blocks) -> Iterator[tuple[int, int, jax.Array]]:
    """For every shift and phase, what of y lies under the cells of x."""
    for number, shift in enumerate(cells.shifts(g)):
        for inner, phase in enumerate(cells.inner_phases(g)):
            yield number, inner, y[_at(b, shift, phase)].reshape(b.cells, y.shape[-1])


def _at(b: Blocks, starts: Any, phase: tuple[int, ...]) -> tuple[Any, ...]:
    """The block's cells of one phase, from ``starts`` on."""
    sizes = (b.rows, *b.counts[1:])
    space = [pl.ds(start, size) for start, size in zip(starts, sizes, strict=True)]
    index: list[Any] = [0]
    for axis, inner in zip(space, (*phase, None), strict=True):
        index += [axis] if inner is None else [axis, inner]
    return (*index, slice(None))


def _dot(a: jax.Array, b: jax.Array, over: tuple[int, int], dtype: Any) -> jax.Array:
    # The precision in force where a kernel is traced is that of jax.config: the default of
    # TPUs rounds float32 to bfloat16.
    exact = lax.Precision.HIGHEST if a.dtype == jnp.float32 else None
    numbers = (((over[0],), (over[1],)), ((), ()))
    return lax.dot_general(a, b, numbers, precision=exact, preferred_element_type=dtype)


# Outside: which block of each array a program of the grid has.


class _Program(NamedTuple):
    group: Any
    example: Any  # groups are so many more examples
    block: Any  # of rows
    chunk: Any  # of the channels of x


_At = Callable[..., _Program]


def _chunks_last(a: jax.Array) -> _At:
    """Grids of dgrad, which sums over chunks, and of fprop, which keeps its window for all."""
    return lambda group, n, h, c: _Program(group, group * a.shape[0] + n, h, c)


def _chunks_first(a: jax.Array) -> _At:
    """Grids of wgrad, which sums over all examples and rows."""
    return lambda group, c, n, h: _Program(group, group * a.shape[0] + n, h, c)


def _with_phases(sizes: tuple[int, ...]) -> tuple[int, ...]:
    """Sizes with a phase of one after every axis but the last."""
    return (*(n for size in sizes[:-1] for n in (size, 1)), sizes[-1])


def _window(a: jax.Array, b: Blocks, at: _At, channels: int) -> pl.BlockSpec:
    """Rows with their halo: windows of neighbouring blocks overlap, so counted in elements."""
    shape = (1, b.window, *a.shape[2:-1], channels)
    chunked = channels < a.shape[-1]

    def index(*program: Any) -> tuple[Any, ...]:
        p = at(*program)
        rest = (0,) * (len(shape) - 3)
        return (p.example, p.block * b.rows, *rest, p.chunk * channels if chunked else 0)

    return pl.BlockSpec(tuple(pl.Element(size) for size in shape), index)


def _rows(a: Any, b: Blocks, at: _At, channels: int) -> pl.BlockSpec:
    """Rows that no other block has."""
    shape = (1, b.rows, *a.shape[2:-1], channels)
    chunked = channels < a.shape[-1]

    def index(*program: Any) -> tuple[Any, ...]:
        p = at(*program)
        return (p.example, p.block, *(0,) * (len(shape) - 3), p.chunk if chunked else 0)

    return pl.BlockSpec(shape, index)


def _kernel(w: Any, b: Blocks, at: _At, channels: int) -> pl.BlockSpec:
    """The whole kernel of one group, but a chunk of its axis ``channels``."""
    before, after = w.shape[1:channels], w.shape[channels + 1 :]

    def index(*program: Any) -> tuple[Any, ...]:
        p = at(*program)
        return (p.group, *(0,) * len(before), p.chunk, *(0,) * len(after))

    return pl.BlockSpec((1, *before, b.chunk, *after), index)


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


def _checked(task: Task) -> Blocks:
    found = blocks(task)
    if found is None:
        raise ValueError(f"no blocks of {task} fit VMEM: refuse() was not asked.")
    return found
