"""wgrad on Hopper: every tap is a matrix product of what it takes from y with x.

A block contracts boxes of positions: those of x, some channels wide, and for each of its
warpgroups the positions of y that one tap pairs with them.  Rows of the product are channels of y,
its columns channels of x, and what is contracted, the positions, is the slow axis of both; tensor
cores transpose halves as they read, so nothing is transposed in memory.  Of float32 they would
not: it comes as three products of bfloat16, its large part and what that leaves.

Where the result has fewer tiles than there are multiprocessors, the sum is cut into parts
(split-K), each written by itself, and XLA adds them: always in the same order.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import mosaic_gpu as plgpu

from jtconv.algorithms.pallas.hopper import pipeline
from jtconv.algorithms.pallas.hopper.implicit_gemm import (
    gemm_channels,
    gemm_geometry,
    phases_are_channels,
    phases_to_channels,
)
from jtconv.algorithms.pallas.hopper.pipeline import CONSUMERS, SHORT, TALL, TILES, Memory, Tile
from jtconv.algorithms.pallas.schedule import TapSchedule
from jtconv.algorithms.pallas.tiling import Boxes, distinct, unravel
from jtconv.problem.task import Task

POSITIONS = 64  # of x in one step
LINE = 64  # channels of one row of swizzled memory, halves all
LEAST_STEPS = 8  # of a part: with fewer, adding parts up would cost more than it gains


class Place(NamedTuple):
    """One tile of the work: which part of the sum, which channels and taps, and which boxes."""

    part: Any
    group: Any
    pair: Any
    column: Any
    first: Any
    steps: Any


def _cut(task: Task) -> dict[str, Tile]:
    """Every tile, no larger than whole lines of the channels of y and x."""
    most = [-(-size // LINE) * LINE for size in gemm_channels(task)]
    return {
        name: tile._replace(rows=min(tile.rows, most[0]), columns=min(tile.columns, most[1]))
        for name, tile in TILES.items()
    }


def tiles(task: Task) -> tuple[str, ...]:
    """The names of tiles to try: tall ones where y has channels for them."""
    first, found = TALL if gemm_channels(task)[0] > LINE else SHORT, _cut(task)
    return distinct({first: found[first], **found})


@dataclass(frozen=True)
class KernelGradient:
    """wgrad of one task."""

    schedule: TapSchedule  # from positions of x to what taps pair with them in y
    groups: int
    y_channels: int  # of a group: rows of the product
    x_channels: int  # of a group: columns
    tile: Tile
    boxes: Boxes  # of positions of x

    @classmethod
    def of(cls, batch: int, task: Task) -> KernelGradient:
        """In the tile that the task names, or the default; the batch may come more than once."""
        schedule = TapSchedule.of(gemm_geometry(task.geometry), "fprop")
        tile = _cut(task)[task.tile or tiles(task)[0]]
        boxes = Boxes.of((batch, *schedule.positions), POSITIONS)
        return cls(schedule, task.groups, *gemm_channels(task), tile, boxes)

    @property
    def stages(self) -> int:
        """Steps loaded ahead."""
        return self.tile.stages

    @property
    def lines(self) -> tuple[int, int]:
        """Lines of channels of a warpgroup's rows, and of the columns."""
        return self.tile.rows // LINE, self.tile.columns // LINE

    @property
    def squares(self) -> list[tuple[int, ...]]:
        """Lines of y by lines of x."""
        return list(itertools.product(*map(range, self.lines)))

    @property
    def sums(self) -> list[tuple[int, int]]:
        """A square each."""
        return [(LINE, LINE)] * len(self.squares)

    @property
    def tap_tiles(self) -> int:
        """Tiles of rows of one tap: the channels of y in a group."""
        return -(-self.y_channels // self.tile.rows)

    @property
    def row_tiles(self) -> int:
        """Tiles of rows of a group: channels of y, tap by tap, and one more if these are odd."""
        tiles = math.prod(self.schedule.kernel) * self.tap_tiles
        return -(-tiles // CONSUMERS) * CONSUMERS

    @property
    def products(self) -> tuple[int, ...]:
        """Tiles of the result: groups, rows by the pair, columns."""
        return self.groups, self.row_tiles // CONSUMERS, -(-self.x_channels // self.tile.columns)

    @property
    def parts(self) -> int:
        """Parts of the sum: as many as keep all multiprocessors at work."""
        rounds = pipeline.MULTIPROCESSORS // math.prod(self.products)
        return max(1, min(rounds, math.prod(self.boxes.counts) // LEAST_STEPS))

    @property
    def grid(self) -> tuple[int, ...]:
        """Tiles: parts first, so that neighbours in time share what they read."""
        return (self.parts, *self.products)

    @property
    def result(self) -> tuple[int, int]:
        """The shape of all parts one below the other."""
        groups, _, columns = self.products
        rows = self.parts * groups * self.row_tiles * self.tile.rows
        return rows, columns * self.tile.columns

    def place(self, tile: Any) -> Place:
        """Where tile ``tile`` lies."""
        part, group, pair, column = unravel(tile, self.grid)
        boxes = math.prod(self.boxes.counts)
        first = part * boxes // self.parts
        return Place(part, group, pair, column, first, (part + 1) * boxes // self.parts - first)

    def row(self, place: Place, consumer: Any) -> Any:
        """Where a warpgroup's rows begin in the result."""
        pairs = (place.part * self.groups + place.group) * (self.row_tiles // CONSUMERS)
        return ((pairs + place.pair) * CONSUMERS + consumer) * self.tile.rows

    def reads(self, place: Place, consumer: Any) -> tuple[Any, list[tuple[Any, Any]]]:
        """What a warpgroup takes from y: its first channel, and the shift of every axis."""
        number = place.pair * CONSUMERS + consumer
        tap, rows = number // self.tap_tiles, number % self.tap_tiles
        rest = self.schedule.kernel[1:]
        numbers = (tap // math.prod(rest), *unravel(tap % math.prod(rest), rest))
        _, steps = self.schedule.step((0,) * len(numbers), numbers)
        shifts = self.schedule.in_source(steps)
        return place.group * self.y_channels + rows * self.tile.rows, shifts

    def memory(self, dtype: Any) -> Memory:
        """Boxes of y and of x, by lines of channels, and a square of the result."""
        box, stages, (down, across) = self.boxes.shape, self.stages, self.lines
        return Memory(
            a=pipeline.tiled_and_by_axes((stages, CONSUMERS, down), box, LINE, dtype),
            b=pipeline.tiled_and_by_axes((stages, across), box, LINE, dtype),
            out=pipeline.tiled((CONSUMERS, LINE, LINE), jnp.float32),
            **pipeline.ring(CONSUMERS * down + across, stages),
        )

    def load(self, arrays: Any, memory: Memory, place: Place, number: Any, slot: Any) -> None:
        """Boxes of y for each warpgroup, and a box of x."""
        x, y, _ = arrays
        box, corner = self.boxes.shape, self.boxes.corner(place.first + number)
        full, (down, across) = memory.full.at[slot], self.lines
        for consumer in range(CONSUMERS):
            first, shifts = self.reads(place, consumer)
            for line in range(down):
                channels = pl.ds(first + line * LINE, LINE)
                at = pipeline.box_index(box, corner, shifts, channels)
                plgpu.copy_gmem_to_smem(y.at[at], memory.a[1].at[slot, consumer, line], full)
        positions = [pl.ds(start, size) for start, size in zip(corner, box, strict=True)]
        first = place.group * self.x_channels + place.column * self.tile.columns
        for line in range(across):
            at = (*positions, pl.ds(first + line * LINE, LINE))
            plgpu.copy_gmem_to_smem(x.at[at], memory.b[1].at[slot, line], full)

    def multiply(self, sums: Any, memory: Memory, me: Any, slot: Any) -> None:
        """Every line of y by every line of x."""
        pipeline.share_bytes(memory.a[1].at[slot, me], memory.a[0].at[slot, me])
        pipeline.share_bytes(memory.b[1].at[slot], memory.b[0].at[slot])
        for (down, across), total in zip(self.squares, sums, strict=True):
            rows = memory.a[0].at[slot, me, down].transpose((1, 0))
            plgpu.wgmma(total, rows, memory.b[0].at[slot, across])

    def store(self, sums: Any, arrays: Any, memory: Memory, place: Place) -> None:
        """Square by square, each through the same memory."""
        for (down, across), total in zip(self.squares, sums, strict=True):
            me = lax.axis_index("warpgroup")
            row = self.row(place, me) + down * LINE
            column = place.column * self.tile.columns + across * LINE
            plgpu.wait_smem_to_gmem(0, wait_read_only=True)
            memory.out.at[me][...] = total
            plgpu.commit_smem()
            to = arrays[-1].at[pl.ds(row, LINE), pl.ds(column, LINE)]
            plgpu.copy_smem_to_gmem(memory.out.at[me], to)


def wgrad(x: jax.Array, y: jax.Array, task: Task) -> jax.Array:
    """x, y -> w."""
    g = task.geometry
    y = phases_to_channels(y, g)
    if task.dtype == jnp.float32:
        x, y = _in_halves(x, y)
    work = KernelGradient.of(x.shape[0], task)
    kernel = pipeline.launch(jax.ShapeDtypeStruct(work.result, jnp.float32), work, x.dtype)
    w = _joined(kernel(x, work.schedule.split(y)), work)
    if phases_are_channels(g):
        w = jnp.moveaxis(w.reshape(*w.shape[:-1], g.stride[-1], -1), -2, -3)
    w = w.reshape(*g.kernel, task.x_channels_per_group, task.y_channels)
    return w.astype(task.result_dtype)


def _joined(parts: jax.Array, work: KernelGradient) -> jax.Array:
    """Parts of the sum added, without what reaches past channels and taps: ``(taps, c, G*o)``."""
    w = jnp.sum(parts.reshape(work.parts, -1, parts.shape[-1]), axis=0)
    taps, rows = math.prod(work.schedule.kernel), work.tap_tiles * work.tile.rows
    w = w.reshape(work.groups, -1, w.shape[-1])[:, : taps * rows, : work.x_channels]
    w = w.reshape(work.groups, taps, rows, work.x_channels)[:, :, : work.y_channels]
    return jnp.transpose(w, (1, 3, 0, 2)).reshape(taps, work.x_channels, -1)


def _in_halves(x: jax.Array, y: jax.Array) -> tuple[jax.Array, jax.Array]:
    """float32 as bfloat16, thrice: ``large*large + large*rest + rest*large`` err by 2**-16.

    Three parts of a sum like any other, so they are three batches.
    """
    (x, x_rest), (y, y_rest) = _large_and_rest(x), _large_and_rest(y)
    # an infinity times the rest, which may be 0 or of the other sign, would be NaN
    return jnp.concatenate([x, _finite(x), x_rest]), jnp.concatenate([y, y_rest, _finite(y)])


def _large_and_rest(a: jax.Array) -> tuple[jax.Array, jax.Array]:
    # XLA would see through a cast there and back, and find no rest.
    most = jnp.finfo(jnp.bfloat16).max.astype(a.dtype)
    large = lax.reduce_precision(jnp.clip(a, -most, most), exponent_bits=8, mantissa_bits=7)
    large = jnp.where(jnp.isfinite(a), large, a)
    return large.astype(jnp.bfloat16), _finite(a - large).astype(jnp.bfloat16)


def _finite(a: jax.Array) -> jax.Array:
    return jnp.where(jnp.isfinite(a), a, jnp.zeros((), a.dtype))
