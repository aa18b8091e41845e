"""dgrad and fprop of depthwise layers: columns of the result, and the warpgroup that goes down one.

Columns are the work of one launch in integers, with the shared memory they take.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import mosaic_gpu as plgpu

from jtconv.algorithms.pallas.interpret import simulation
from jtconv.algorithms.pallas.schedule import TapSchedule
from jtconv.algorithms.pallas.tiling import distinct, unravel
from jtconv.problem.geometry import Axis, Geometry
from jtconv.problem.task import Side, Task

LINE_BYTES = 128
MEMORY_BYTES = 200 * 2**10  # of the 227 KiB of shared memory that a block may have
MOST_SUMS = 256  # of a kernel gradient in registers, taps by positions across


class Tile(NamedTuple):
    """Positions across a column, and rows of it at a time."""

    width: int
    rows: int


# The first that fits is taken; `tune` finds the best.  Higher ones read less halo.
TILES = {"16x2": Tile(16, 2), "16x4": Tile(16, 4), "32x2": Tile(32, 2), "8x2": Tile(8, 2)}


@dataclass(frozen=True)
class Columns:
    """The columns of one side; one axis is two, the first of one position."""

    schedule: TapSchedule
    batch: int
    channels: int
    line: int  # channels of one block
    tile: Tile

    @classmethod
    def of(cls, batch: int, task: Task) -> Columns:
        """The columns of one task, in the tile it names or the first that fits."""
        return cls.cut(batch, task, TILES[task.tile or tiles(task)[0]])

    @classmethod
    def cut(cls, batch: int, task: Task, tile: Tile) -> Columns:
        """The columns of a tile; a kernel gradient goes down those of x, as fprop does."""
        axes = task.geometry.axes
        axes = axes if len(axes) == 2 else (Axis(1, 1, 1), *axes)
        side: Side = "dgrad" if task.side == "dgrad" else "fprop"
        schedule = TapSchedule.of(Geometry(axes), side)
        return cls(schedule, batch, task.x_channels, LINE_BYTES // task.dtype.itemsize, tile)

    @property
    def width(self) -> int:
        """Positions across."""
        return self.tile.width

    @property
    def rows(self) -> int:
        """Rows of positions at a time."""
        return min(self.tile.rows, self.schedule.positions[0])

    @property
    def row_tiles(self) -> int:
        """Tiles of so many rows down a column."""
        return -(-self.schedule.positions[0] // self.rows)

    @property
    def source(self) -> tuple[int, ...]:
        """The source of some rows of positions, with its halo: every phase by itself."""
        halo = [sum(a.halo) for a in self.schedule.axes]
        phases = math.prod(self.schedule.source_phases)
        return phases, self.rows + halo[0], self.width + halo[1], self.line

    @property
    def taps(self) -> tuple[int, ...]:
        """The kernel, repeated along the width, and the bias behind it."""
        return math.prod(self.schedule.kernel) + 1, self.width, self.line

    @property
    def result(self) -> tuple[int, ...]:
        """Some rows of positions, every phase by itself."""
        return math.prod(self.schedule.phases), self.rows, self.width, self.line

    @property
    def grid(self) -> tuple[int, ...]:
        """Blocks: examples, columns and lines of channels."""
        across = -(-self.schedule.positions[1] // self.width)
        return self.batch, across, self.channels // self.line

    @property
    def line_count(self) -> int:
        """Lines of shared memory that one block takes; sums of taps are twice as wide as halves."""
        shapes = self.source, self.taps, self.taps, self.result
        return sum(math.prod(shape[:-1]) for shape in shapes)


def tiles(task: Task) -> tuple[str, ...]:
    """The names of tiles that fit; those that a task has too few rows for are the same."""
    fitting: dict[str, tuple[int, int]] = {}
    for name, tile in TILES.items():
        columns = Columns.cut(1, task, tile)
        few = task.side != "wgrad" or math.prod(task.geometry.kernel) * tile.width <= MOST_SUMS
        if few and columns.line_count * LINE_BYTES <= MEMORY_BYTES:
            fitting[name] = tile.width, columns.rows
    return distinct(fitting)


def launch(result: jax.ShapeDtypeStruct, columns: Columns) -> Any:
    """The kernel as a function of the source in positions and phases, and of taps and bias."""
    simulated, dtype = simulation(), result.dtype
    return plgpu.kernel(
        partial(_kernel, columns=columns),
        out_type=result,
        grid=(math.prod(columns.grid),),
        grid_names=("block",),
        scratch_types={
            "rows": plgpu.SMEM(columns.source, dtype),
            "taps": plgpu.SMEM(columns.taps, dtype),
            "out": plgpu.SMEM(columns.result, dtype),
            "arrived": plgpu.Barrier(num_arrivals=columns.source[0]),
            "begun": plgpu.Barrier(),
        },
        compiler_params=plgpu.CompilerParams(lowering_semantics=plgpu.LoweringSemantics.Lane),
        interpret=simulated.how if simulated else None,
    )


def _kernel(source: Any, w: Any, result: Any, *, columns: Columns, **memory: Any) -> None:
    example, column, line = unravel(lax.axis_index("block"), columns.grid)
    first, channels = column * columns.width, pl.ds(line * columns.line, columns.line)
    plgpu.copy_gmem_to_smem(w.at[:, :, channels], memory["taps"], memory["begun"])
    plgpu.barrier_wait(memory["begun"])

    def row_tile(number: Any, _: tuple[()]) -> tuple[()]:
        at = example, number * columns.rows, first, channels
        load_with_halo(source, memory["rows"], memory["arrived"], columns, at)
        plgpu.barrier_wait(memory["arrived"])
        _row_tile(result, columns, at, memory["rows"], memory["taps"], memory["out"])
        return ()

    lax.fori_loop(0, columns.row_tiles, row_tile, ())
    plgpu.wait_smem_to_gmem(0)


def _row_tile(
    result: Any, columns: Columns, at: tuple[Any, ...], rows: Any, taps: Any, out: Any
) -> None:
    """Every phase of some rows, and on to where it belongs."""
    example, top, first, channels = at
    plgpu.wait_smem_to_gmem(0, wait_read_only=True)
    for slot, phase in enumerate(each(columns.schedule.phases)):
        for row in range(columns.rows):
            out[slot, row] = _sums(rows, taps, columns, phase, row).astype(out.dtype)
    plgpu.commit_smem()
    for slot, (a, b) in enumerate(each(columns.schedule.phases)):
        to = (example, pl.ds(top, columns.rows), a, pl.ds(first, columns.width), b, channels)
        plgpu.copy_smem_to_gmem(out.at[slot], result.at[to])


def _sums(rows: Any, taps: Any, columns: Columns, phase: tuple[int, ...], row: int) -> Any:
    """One row of one phase, summed in float32, the bias first."""
    schedule = columns.schedule
    sums = taps[columns.taps[0] - 1].astype(jnp.float32)
    for number in each(schedule.counts(phase)):
        tap, _ = schedule.step(phase, number)
        source = rows[source_index(columns, phase, number, row)]
        sums += source.astype(jnp.float32) * taps[tap].astype(jnp.float32)
    return sums


def each(sizes: tuple[int, ...]) -> Any:
    """Every index of an array of these sizes."""
    return itertools.product(*map(range, sizes))


def source_index(
    columns: Columns, phase: tuple[int, ...], number: tuple[int, ...], row: int
) -> tuple[Any, ...]:
    """What one step multiplies with a row of a phase: phase, row and positions of the source."""
    schedule = columns.schedule
    _, (down, across) = schedule.step(phase, number)
    slot = down.phase * schedule.source_phases[1] + across.phase
    top, left = (s.shift + a.halo[0] for s, a in zip((down, across), schedule.axes, strict=True))
    return slot, row + top, slice(left, left + columns.width)


def load_with_halo(
    source: Any, rows: Any, arrived: Any, columns: Columns, at: tuple[Any, ...]
) -> None:
    """Load rows with their halo, every phase of them."""
    example, *corner, channels = at
    schedule = columns.schedule
    laid = zip(corner, schedule.axes, schedule.pads, rows.shape[1:3], strict=True)
    down, across = (pl.ds(start - axis.halo[0] + pad, n) for start, axis, pad, n in laid)
    for slot, (a, b) in enumerate(each(schedule.source_phases)):
        index = (example, down, a, across, b, channels)
        plgpu.copy_gmem_to_smem(source.at[index], rows.at[slot], arrived)
