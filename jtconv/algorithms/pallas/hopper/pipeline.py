"""The pipeline of the Hopper kernels: three warpgroups, warp-specialised, that meet at barriers.

A producer starts TMA copies into a ring of steps in shared memory, as far ahead as the ring has
room; two consumers multiply what has arrived with WGMMA, each with sums of its own in registers.
The kernel is persistent: every multiprocessor runs one block for as long as there are tiles.

One thing relies on how Mosaic lays memory out.  WGMMA wants boxes in tiles of eight rows, TMA
wants them by their axes, and as a box is as wide as the swizzle both are the same bytes: they are
two members of a ``RefUnion``, each starting at its first byte.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import mosaic_gpu as plgpu

from jtconv import devices
from jtconv.algorithms.pallas.interpret import simulation

MULTIPROCESSORS = 132  # of an H100 or H200; where there is a GPU it tells
CONSUMERS = 2  # warpgroups that multiply


class Tile(NamedTuple):
    """A product's rows for each warpgroup, its columns, and steps loaded ahead."""

    rows: int
    columns: int
    stages: int


# Sums of at most 128 numbers a thread, and as many steps as 227 KiB of shared memory hold; `tune`
# finds the best.
TILES = {
    "128x128": Tile(128, 128, 3),
    "64x128": Tile(64, 128, 4),
    "64x256": Tile(64, 256, 3),
    "128x64": Tile(128, 64, 4),
    "64x64": Tile(64, 64, 6),
}
TALL, SHORT = "128x128", "64x128"


class Memory(NamedTuple):
    """Shared memory of one block, or the types of it."""

    a: Any  # the operand that consumers have to themselves: a ring of steps, by warpgroups
    b: Any  # the one they share, a ring of steps
    out: Any  # results on their way out, by warpgroups
    full: Any  # barriers of the ring: a step has arrived
    free: Any  # and has been multiplied


@runtime_checkable
class Work(Protocol):
    """What one launch computes: a grid of tiles, each a number of steps."""

    @property
    def grid(self) -> tuple[int, ...]:
        """Tiles."""

    @property
    def stages(self) -> int:
        """Steps loaded ahead: slots of the ring."""

    @property
    def sums(self) -> list[tuple[int, int]]:
        """The shapes of what a consumer sums in registers."""

    def place(self, tile: Any) -> Any:
        """Where tile ``tile`` lies, and how many ``steps`` it takes."""

    def memory(self, dtype: Any) -> Memory:
        """The types of the memory it needs."""

    def load(self, arrays: Any, memory: Memory, place: Any, number: Any, slot: Any) -> None:
        """Start the copies of one step; the last of ``arrays`` is the result."""

    def multiply(self, sums: Any, memory: Memory, me: Any, slot: Any) -> None:
        """Add the products of one step."""

    def store(self, sums: Any, arrays: Any, memory: Memory, place: Any) -> None:
        """Write a finished tile."""


def launch(result: jax.ShapeDtypeStruct, work: Work, dtype: Any) -> Any:
    """The kernel as a function of arrays of ``dtype``."""
    simulated, here = simulation(), devices.of_platform("cuda")
    multiprocessors = getattr(here, "core_count", MULTIPROCESSORS)
    return plgpu.kernel(
        partial(_kernel, work=work),
        out_type=result,
        grid=(min(multiprocessors, math.prod(work.grid)),),
        grid_names=("block",),
        num_threads=CONSUMERS + 1,
        thread_name="warpgroup",
        scratch_types=work.memory(dtype)._asdict(),
        compiler_params=plgpu.CompilerParams(lowering_semantics=plgpu.LoweringSemantics.Lane),
        interpret=simulated.how if simulated else None,
    )


def _kernel(*arrays: Any, work: Work, **shared: Any) -> None:
    memory = Memory(**shared)

    def produce() -> None:
        plgpu.set_max_registers(40, action="decrease")
        _produce(work, arrays, memory)

    def consume() -> None:
        plgpu.set_max_registers(232, action="increase")
        _consume(work, arrays, memory)

    lax.cond(lax.axis_index("warpgroup") == CONSUMERS, produce, consume)


def _for_each_tile(work: Work, body: Callable[[Any, Any], Any]) -> Any:
    """``done = body(place, done)`` for this block's tiles, where ``done`` counts steps."""

    def tile(loop: Any, carry: Any) -> Any:
        return body(work.place(loop.index[0]), carry)

    size = (math.prod(work.grid),)
    loop: Any = plgpu.nd_loop(size, collective_axes="block", init_carry=jnp.int32(0))
    return loop(tile)


def _produce(work: Work, arrays: Any, memory: Memory) -> None:
    """Load everything that this block multiplies, in order."""

    def tile(place: Any, done: Any) -> Any:
        def step(number: Any, done: Any) -> Any:
            slot = done % work.stages
            _wait_if(done >= work.stages, memory.free.at[slot])
            work.load(arrays, memory, place, number, slot)
            return done + 1

        return lax.fori_loop(0, place.steps, step, done)

    done = _for_each_tile(work, tile)
    # The last steps must be multiplied before memory is given back: nobody else waits for that.
    for number in range(work.stages):
        last = done - work.stages + number
        _wait_if(last >= 0, memory.free.at[last % work.stages])


def _wait_if(needed: Any, barrier: Any) -> None:
    pl.when(needed)(partial(plgpu.barrier_wait, barrier))


def _consume(work: Work, arrays: Any, memory: Memory) -> None:
    """Multiply this warpgroup's half of every tile."""

    def tile(place: Any, done: Any) -> Any:
        def products(*sums: Any) -> Any:
            def step(_: Any, done: Any) -> Any:
                me, slot = lax.axis_index("warpgroup"), done % work.stages
                plgpu.barrier_wait(memory.full.at[slot])
                work.multiply(sums, memory, me, slot)
                plgpu.wgmma_wait(0)
                plgpu.barrier_arrive(memory.free.at[slot])
                return done + 1

            after = lax.fori_loop(0, place.steps, step, done)
            return after, *(each[...] for each in sums)

        zeros = [plgpu.ACC(shape, jnp.float32) for shape in work.sums]  # type: ignore[attr-defined]
        after, *sums = pl.run_scoped(products, *zeros)
        work.store(sums, arrays, memory, place)
        return after

    _for_each_tile(work, tile)
    plgpu.wait_smem_to_gmem(0)


def tiled(shape: tuple[int, ...], dtype: Any) -> Any:
    """Memory in tiles, as WGMMA wants it; a row of a tile is as wide as the swizzle."""
    size = jnp.dtype(dtype).itemsize
    line = min(shape[-1], 128 // size)
    transforms = plgpu.TilingTransform((8, line)), plgpu.SwizzleTransform(line * size)
    return plgpu.SMEM(shape, dtype, transforms=transforms)


def tiled_and_by_axes(slots: tuple[int, ...], box: tuple[int, ...], line: int, dtype: Any) -> Any:
    """Boxes in tiles, and the same bytes by their axes."""
    swizzle = (plgpu.SwizzleTransform(line * jnp.dtype(dtype).itemsize),)
    by_axes = plgpu.SMEM((*slots, *box, line), dtype, transforms=swizzle)
    return plgpu.RefUnion(tiled((*slots, math.prod(box), line), dtype), by_axes)


def ring(copies: int, stages: int) -> dict[str, Any]:
    """The barriers of a ring whose steps take so many copies."""
    return {
        "full": plgpu.Barrier(num_arrivals=copies, num_barriers=stages),
        "free": plgpu.Barrier(num_arrivals=CONSUMERS, num_barriers=stages),
    }


def share_bytes(written: Any, read: Any) -> None:
    """Nothing on a GPU; a copy where members of a union are simulated apart."""
    if simulation() is not None:
        read[...] = written[...].reshape(read.shape)


def box_index(
    box: tuple[int, ...], corner: tuple[Any, ...], shifts: Any, channels: Any
) -> tuple[Any, ...]:
    """A box of positions, shifted, of one phase an axis, as an index of an array in phases."""
    first, *starts = corner
    index = [pl.ds(first, box[0])]
    for start, (shift, phase), size in zip(starts, shifts, box[1:], strict=True):
        index += [pl.ds(start + shift, size), phase]
    return (*index, channels)
