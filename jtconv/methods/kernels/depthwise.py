"""The kernel for depthwise layers on GPUs, dgrad: memory is the limit, so each number moves once.

A warpgroup has a column of the output to itself, some cells wide and as many channels as one line
of memory, and goes down it a few rows at a time.  TMA brings the rows with their halo and fills
what lies outside with zeros; every phase of every cell is summed in registers in float32, from
shifted views of the same rows, and TMA takes each phase to the cells it owns.  The kernel lies in
shared memory all the while, repeated along the width, so that it has the shape of what it
multiplies.  No tensor core would help: there is one channel a group.

Never run on a GPU: it is lowered for CUDA, and interpreted on jax 0.11 and later.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import mosaic_gpu as plgpu

from jtconv.geometry import Axis, Geometry
from jtconv.methods import moves
from jtconv.methods.kernels.interpret import simulation
from jtconv.methods.kernels.walk import Walk, unravel
from jtconv.methods.task import Task

LINE_BYTES = 128
WIDTH, ROWS = 16, 2  # cells of a column, and rows of it at a time
MOST_PRODUCTS = 128  # unrolled for one row
MEMORY_BYTES = 200 * 2**10  # of the 227 KiB of shared memory that a block may have


def refuse(task: Task) -> str | None:
    """Why not."""
    if task.side != "dgrad":
        return "the depthwise kernel is written for dgrad"
    if task.dtype.name not in ("float16", "bfloat16", "float32") or task.result_dtype != task.dtype:
        return f"it takes and gives floats of 16 or 32 bits, not {task.dtype}"
    if len(task.geometry) > 2:
        return "it is written for one or two axes"
    line = LINE_BYTES // task.dtype.itemsize
    if task.channels % line:
        return f"it goes by lines of {line} channels, and there are {task.channels}"
    if math.prod(task.geometry.kernel) > MOST_PRODUCTS:
        return f"it would unroll {math.prod(task.geometry.kernel)} products"
    needed = Column.of(1, task).bytes(task.dtype.itemsize)
    return f"it needs {needed >> 10} KiB of shared memory" if needed > MEMORY_BYTES else None


def dgrad(x: jax.Array, w: jax.Array, task: Task) -> jax.Array:
    """x, w -> y."""
    g, column = task.geometry, Column.of(x.shape[0], task)
    if len(g) == 1:
        x = x[:, None]
    if simulation() is not None:  # there no index may be negative
        x = moves.pad_space(x, [(-low, 0) for low in column.lowest])
    repeated = jnp.repeat(w.reshape(-1, 1, task.channels), WIDTH, axis=1)
    cells = _launch(column, x.dtype)(x, repeated)
    y = cells.reshape(column.batch, *column.whole, task.channels)
    return moves.window(y if len(g) == 2 else y[:, 0], (0,) * len(g), g.output)


@dataclass(frozen=True)
class Column:
    """The work of one launch, as integers; one axis is two, the first of one cell."""

    walk: Walk
    batch: int
    channels: int
    line: int  # channels of one block

    @classmethod
    def of(cls, batch: int, task: Task) -> Column:
        """The columns of one task."""
        axes = task.geometry.axes
        axes = axes if len(axes) == 2 else (Axis(1, 1, 1), *axes)
        walk = Walk.of(Geometry(axes), "dgrad")
        return cls(walk, batch, task.channels, LINE_BYTES // task.dtype.itemsize)

    @property
    def rows(self) -> int:
        """Rows of cells at a time."""
        return min(ROWS, self.walk.results[0])

    @property
    def whole(self) -> tuple[int, ...]:
        """Result sizes with every phase whole."""
        return tuple(a.results * a.phases for a in self.walk.axes)

    @property
    def shifts(self) -> list[list[int]]:
        """Every shift that a step has, per axis."""
        return [
            [a.step(r, j).shift for r in range(a.phases) for j in range(a.count(r))] or [0]
            for a in self.walk.axes
        ]

    @property
    def lowest(self) -> tuple[int, ...]:
        """How far in front of a cell its sources begin: zero or less."""
        return tuple(min(0, *each) for each in self.shifts)

    @property
    def source(self) -> tuple[int, int, int]:
        """The source of some rows of cells, with its halo."""
        highest = [max(0, *each) for each in self.shifts]
        rows, width = (high - low for low, high in zip(self.lowest, highest, strict=True))
        return self.rows + rows, WIDTH + width, self.line

    @property
    def taps(self) -> int:
        """Cells of the kernel."""
        return math.prod(a.axis.kernel for a in self.walk.axes)

    @property
    def grid(self) -> tuple[int, ...]:
        """Blocks: examples, columns and lines of channels."""
        return self.batch, -(-self.walk.results[1] // WIDTH), self.channels // self.line

    def bytes(self, itemsize: int) -> int:
        """Shared memory of one block."""
        cells = self.taps * WIDTH + self.rows * WIDTH * math.prod(self.walk.phases)
        return (math.prod(self.source) + cells * self.line) * itemsize


def _launch(column: Column, dtype: Any) -> Any:
    simulated, walk = simulation(), column.walk
    cells = [n for a in walk.axes for n in (a.results, a.phases)]
    block = math.prod(walk.phases), column.rows, WIDTH, column.line
    return plgpu.kernel(
        partial(_kernel, column=column),
        out_type=jax.ShapeDtypeStruct((column.batch, *cells, column.channels), dtype),
        grid=(math.prod(column.grid),),
        grid_names=("block",),
        scratch_types={
            "rows": plgpu.SMEM(column.source, dtype),
            "taps": plgpu.SMEM((column.taps, WIDTH, column.line), dtype),
            "out": plgpu.SMEM(block, dtype),
            "here": plgpu.Barrier(num_barriers=2),
        },
        compiler_params=plgpu.CompilerParams(lowering_semantics=plgpu.LoweringSemantics.Lane),
        interpret=simulated.how if simulated else None,
    )


def _kernel(x: Any, w: Any, y: Any, *, rows: Any, taps: Any, out: Any, here: Any, column: Column):
    example, first, line = unravel(lax.axis_index("block"), column.grid)
    first, lanes = first * WIDTH, pl.ds(line * column.line, column.line)
    plgpu.copy_gmem_to_smem(w.at[:, :, lanes], taps, here.at[1])
    plgpu.barrier_wait(here.at[1])
    # Where indices may not be negative x was laid as far behind as the lowest of them.
    back = (0, 0) if simulation() is not None else column.lowest

    def strip(number: Any, _: tuple[()]) -> tuple[()]:
        top = number * column.rows
        box = [
            pl.ds(at + low, n) for at, low, n in zip((top, first), back, rows.shape, strict=False)
        ]
        plgpu.copy_gmem_to_smem(x.at[(example, *box, lanes)], rows, here.at[0])
        plgpu.barrier_wait(here.at[0])
        plgpu.wait_smem_to_gmem(0, wait_read_only=True)
        phases = list(itertools.product(*map(range, column.walk.phases)))
        for slot, phase in enumerate(phases):
            for row in range(column.rows):
                out[slot, row] = _cells(rows, taps, column, phase, row).astype(y.dtype)
        plgpu.commit_smem()
        for slot, (a, b) in enumerate(phases):
            to = (example, pl.ds(top, column.rows), a, pl.ds(first, WIDTH), b, lanes)
            plgpu.copy_smem_to_gmem(out.at[slot], y.at[to])
        return ()

    lax.fori_loop(0, -(-column.walk.results[0] // column.rows), strip, ())
    plgpu.wait_smem_to_gmem(0)


def _cells(rows: Any, taps: Any, column: Column, phase: tuple[int, ...], row: int) -> Any:
    """One row of cells of one phase, summed in float32."""
    sums = jnp.zeros((WIDTH, column.line), jnp.float32)
    for number in itertools.product(*map(range, column.walk.counts(phase))):
        tap, (down, across) = column.walk.step(phase, number)
        at = row + down.shift - column.lowest[0], across.shift - column.lowest[1]
        source = rows[at[0], at[1] : at[1] + WIDTH, :]
        sums += source.astype(jnp.float32) * taps[tap].astype(jnp.float32)
    return sums
