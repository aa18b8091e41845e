"""dgrad and fprop on Hopper: implicit GEMM.

Two warpgroups each multiply a box of result positions of one phase by a tile of columns, the
channels of the result.  What is contracted comes in steps: a shifted box of the source, some
channels wide (TMA fills what lies outside with zeros), and the tile of the kernel for one tap.
Sums are in float32, are rounded once, with the bias, and stored by TMA, each phase to the
positions it owns: the result is written once and nothing else is.

The work is planned in integers, Python's own or traced ones: a block knows which tile it is at
only while it runs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import mosaic_gpu as plgpu

from jtconv.algorithms.common import arrays
from jtconv.algorithms.pallas.hopper import pipeline
from jtconv.algorithms.pallas.hopper.pipeline import CONSUMERS, SHORT, TALL, TILES, Memory, Tile
from jtconv.algorithms.pallas.schedule import TapSchedule
from jtconv.algorithms.pallas.tiling import Boxes, distinct, unravel
from jtconv.problem.geometry import Axis, Geometry
from jtconv.problem.task import Task

SWIZZLES = (128, 64, 32)  # bytes that shared memory can be swizzled by: one row of a tile


def phases_are_channels(g: Geometry) -> bool:
    """Whether all phases of the last axis come from one input: then they are so many channels."""
    a = g.axes[-1]
    return g.groups == 1 and a.kernel == a.stride > 1 and a.dilation == 1 and a.lo == 0


def gemm_geometry(g: Geometry) -> Geometry:
    """The geometry once phases that are channels are gone."""
    if not phases_are_channels(g):
        return g
    *others, last = g.axes
    return Geometry((*others, Axis(last.x_size, 1, -(-last.y_size // last.stride))))


def gemm_channels(task: Task) -> tuple[int, int]:
    """Channels of a group of source and result, phases among them; for wgrad those of y and x."""
    phases = task.geometry.stride[-1] if phases_are_channels(task.geometry) else 1
    x, y = task.x_channels_per_group, task.y_channels_per_group * phases
    return (x, y) if task.side == "dgrad" else (y, x)


def phases_to_channels(y: jax.Array, g: Geometry) -> jax.Array:
    """y with those phases as channels, if they are."""
    if not phases_are_channels(g):
        return y
    positions = -(-g.y_size[-1] // g.stride[-1])
    y = arrays.window(y, (0,) * len(g), (*g.y_size[:-1], positions * g.stride[-1]))
    return y.reshape(*y.shape[:-2], positions, -1)


def _chunk(task: Task) -> int:
    """Channels of one step: as many as one row of swizzled memory holds."""
    counts = (size // task.dtype.itemsize for size in SWIZZLES)
    return next(n for n in counts if all(size % n == 0 for size in gemm_channels(task)))


def _cut(task: Task) -> dict[str, Tile]:
    """Every tile, no wider than the task, whose columns it divides."""
    step, channels = _chunk(task), gemm_channels(task)[1]

    def columns(most: int) -> int:
        return max(n for n in range(step, most + 1, step) if channels % n == 0)

    return {name: tile._replace(columns=columns(tile.columns)) for name, tile in TILES.items()}


def tiles(task: Task) -> tuple[str, ...]:
    """The names of tiles to try: tall ones reuse the kernel more, if enough to go round."""
    schedule, found = TapSchedule.of(gemm_geometry(task.geometry), task.side), _cut(task)
    positions = task.batch * math.prod(schedule.positions) * math.prod(schedule.phases)
    rows = positions * task.groups * gemm_channels(task)[1] // found[TALL].columns
    enough = 2 * CONSUMERS * pipeline.MULTIPROCESSORS * TILES[TALL].rows
    first = TALL if rows >= enough else SHORT
    return distinct({first: found[first], **found})


class Place(NamedTuple):
    """One tile of the work: phase, first column, boxes and steps."""

    phase: tuple[Any, ...]
    column: Any
    pair: Any
    counts: tuple[Any, ...]
    steps: Any


@dataclass(frozen=True)
class ImplicitGemm:
    """One side of one task."""

    schedule: TapSchedule
    groups: int
    source_channels: int  # of a group: contracted
    result_channels: int  # of a group
    chunk: int  # channels of one step
    columns: int
    boxes: Boxes  # of result positions, one for a warpgroup
    stages: int

    @classmethod
    def of(cls, batch: int, task: Task) -> ImplicitGemm:
        """In the tile that the task names, or the default."""
        schedule = TapSchedule.of(gemm_geometry(task.geometry), task.side)
        tile = _cut(task)[task.tile or tiles(task)[0]]
        boxes = Boxes.of((batch, *schedule.positions), tile.rows)
        sizes = task.groups, *gemm_channels(task), _chunk(task), tile.columns
        return cls(schedule, *sizes, boxes, tile.stages)

    @property
    def grid(self) -> tuple[int, ...]:
        """Tiles: boxes by the pair, phases, columns; neighbours in time share their source."""
        pairs = -(-math.prod(self.boxes.counts) // CONSUMERS)
        return (pairs, *self.schedule.phases, self.groups * self.result_channels // self.columns)

    @property
    def sums(self) -> list[tuple[int, int]]:
        """A box by a tile of columns."""
        return [(math.prod(self.boxes.shape), self.columns)]

    def place(self, tile: Any) -> Place:
        """Where tile ``tile`` lies."""
        pair, *phase, column = unravel(tile, self.grid)
        taps = self.schedule.counts(tuple(phase))
        counts = (*taps, self.source_channels // self.chunk)
        return Place(tuple(phase), column * self.columns, pair, counts, math.prod(counts))

    def memory(self, dtype: Any) -> Memory:
        """Boxes of the source, tiles of the kernel, and boxes of the result."""
        box, stages = self.boxes.shape, self.stages
        return Memory(
            a=pipeline.tiled_and_by_axes((stages, CONSUMERS), box, self.chunk, dtype),
            b=pipeline.tiled((stages, self.columns, self.chunk), dtype),
            out=pipeline.tiled_and_by_axes((CONSUMERS,), box, self.chunk, dtype),
            **pipeline.ring(CONSUMERS + 1, stages),
        )

    def load(self, arrays: Any, memory: Memory, place: Place, number: Any, slot: Any) -> None:
        """A shifted box of the source for each warpgroup, and a tile of the kernel."""
        source, w, *_ = arrays
        *numbers, chunk = unravel(number, place.counts)
        tap, steps = self.schedule.step(place.phase, tuple(numbers))
        first = chunk * self.chunk
        group = place.column // self.result_channels
        row = tap * (self.groups * self.result_channels) + place.column
        shifts = self.schedule.in_source(steps)
        channels = pl.ds(group * self.source_channels + first, self.chunk)
        for consumer in range(CONSUMERS):
            corner = self._corner(place, consumer)
            at = pipeline.box_index(self.boxes.shape, corner, shifts, channels)
            to = memory.a[1].at[slot, consumer]
            plgpu.copy_gmem_to_smem(source.at[at], to, memory.full.at[slot])
        tile = pl.ds(row, self.columns), pl.ds(first, self.chunk)
        plgpu.copy_gmem_to_smem(w.at[tile], memory.b.at[slot], memory.full.at[slot])

    def _corner(self, place: Place, consumer: Any) -> tuple[Any, ...]:
        """The first position of a warpgroup's box; past the batch where no box is left."""
        return self.boxes.corner(place.pair * CONSUMERS + consumer)

    def multiply(self, sums: Any, memory: Memory, me: Any, slot: Any) -> None:
        """The box by the tile of the kernel."""
        pipeline.share_bytes(memory.a[1].at[slot, me], memory.a[0].at[slot, me])
        plgpu.wgmma(sums[0], memory.a[0].at[slot, me], memory.b.at[slot].transpose((1, 0)))

    def store(self, sums: Any, arrays: Any, memory: Memory, place: Place) -> None:
        """The box with its bias, some channels at a time."""
        *_, bias, result = arrays
        row = _load_row(bias.at[pl.ds(place.column, self.columns)])
        total = sums[0] + lax.broadcast_in_dim(row, self.sums[0], [1])
        total = total.astype(result.dtype)
        me = lax.axis_index("warpgroup")
        corner, phases = self._corner(place, me), [(0, phase) for phase in place.phase]
        in_tiles, by_axes = (part.at[me] for part in memory.out)
        for first in range(0, self.columns, self.chunk):
            plgpu.wait_smem_to_gmem(0, wait_read_only=True)
            in_tiles[...] = total[:, first : first + self.chunk]
            pipeline.share_bytes(in_tiles, by_axes)
            plgpu.commit_smem()
            channels = pl.ds(place.column + first, self.chunk)
            at = pipeline.box_index(self.boxes.shape, corner, phases, channels)
            plgpu.copy_smem_to_gmem(by_axes, result.at[at])


def _load_row(bias: Any) -> Any:
    # jax 0.10 wants an index apart from the reference, later versions none.
    index = () if jax.__version_info__ >= (0, 11) else (...,)
    return plgpu.load(bias, *index, layout=plgpu.Layout.WGMMA.reduce(0), optimized=False)


def run(source: jax.Array, w: jax.Array, task: Task, bias: jax.Array | None) -> jax.Array:
    """Result from source; ``w`` has what is contracted last, and before it taps and results."""
    gemm = ImplicitGemm.of(source.shape[0], task)
    channels = gemm.groups * gemm.result_channels
    bias = jnp.zeros(channels) if bias is None else jnp.tile(bias, channels // bias.size)
    shape = gemm.schedule.result_shape(source.shape[0], channels)
    kernel = pipeline.launch(jax.ShapeDtypeStruct(shape, source.dtype), gemm, source.dtype)
    source, w = gemm.schedule.split(source), w.reshape(-1, gemm.source_channels)
    return gemm.schedule.join(kernel(source, w, bias.astype(jnp.float32)))
