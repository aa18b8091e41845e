"""The Hopper kernel: outputs stay in registers, and everything that adds to them is fetched.

Every multiprocessor runs one block for as long as there are tiles.  Two warpgroups multiply, each
a box of result cells of one phase by a tile of columns; a third one fetches, some steps ahead,
the shifted box of the source (TMA fills what lies outside with zeros) and the tile of the kernel.
Sums are in float32, are rounded once and stored by TMA, each phase to the cells it owns: the
result is written once and nothing else is.  dgrad and fprop are the same walk (see ``walk``).

One thing leans on how Mosaic lays memory out.  Products want boxes in tiles of eight rows, copies
want them by their axes, and as a box is as wide as the swizzle both are the same bytes: they are
two members of a ``RefUnion``, each starting at its first byte.

Never run on a GPU: it is lowered for CUDA, and interpreted on jax 0.11 and later.  There members
of a union lie apart and no index may be negative, hence the two places that ask ``simulation``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import mosaic_gpu as plgpu

from jtconv.geometry import Axis, Geometry
from jtconv.methods import moves
from jtconv.methods.kernels.interpret import simulation
from jtconv.methods.kernels.walk import Walk, box, unravel
from jtconv.methods.task import Task

PROCESSORS = 132  # of an H100 or H200; where one is at hand it is asked
MULTIPLIERS = 2  # warpgroups that multiply
SWIZZLES = (64, 32, 16)  # 16-bit channels in one row of a tile
COLUMNS = 128


@dataclass(frozen=True)
class Tiles:
    """A product's rows for each warpgroup, and steps fetched ahead."""

    rows: int
    stages: int


# Tall tiles reuse the kernel's more, where there are enough of them to go round.
TALL, SHORT = Tiles(128, 3), Tiles(64, 4)


def refuse(task: Task) -> str | None:
    """Why not."""
    source, result = _channels(task)
    if simulation() is None and _foreign():
        return f"the kernel is written for Hopper, compute capability 9.0, and this is {_foreign()}"
    if task.side == "wgrad":
        return "the kernel keeps outputs in registers, and those of a kernel gradient are too many"
    if not task.is_half or task.result_dtype != task.dtype:
        return f"it takes and gives 16-bit floats, not {task.dtype} and {task.result_dtype}"
    if task.groups > 1 or len(task.geometry) > 3:
        return "it is written for one group and at most three axes"
    if source % SWIZZLES[-1] or result % SWIZZLES[-1]:
        return f"its tiles hold channels by the 16, and these are {source} and {result}"
    return None


def _foreign() -> str | None:
    """The capability of the GPU here, if there is one and it is no Hopper."""
    if jax.default_backend() != "gpu":
        return None
    capability = str(getattr(jax.devices()[0], "compute_capability", "unknown"))
    return None if capability.startswith("9.") else capability


def _channels(task: Task) -> tuple[int, int]:
    """Channels of the source and of the result, once the last axis's phases are merged."""
    width = task.out_channels * (task.geometry.stride[-1] if _merges(task.geometry) else 1)
    return (task.channels, width) if task.side == "dgrad" else (width, task.channels)


def _merges(g: Geometry) -> bool:
    """Whether all phases of the last axis come from one input cell: then they are channels."""
    a = g.axes[-1]
    return a.kernel == a.stride > 1 and a.dilation == 1 and a.lo == 0


def dgrad(x: jax.Array, w: jax.Array, task: Task) -> jax.Array:
    """x, w -> y."""
    g = task.geometry
    if _merges(g):
        w = jnp.moveaxis(w, -3, -2).reshape(*w.shape[:-3], 1, w.shape[-2], -1)
    plan = Plan.of(x.shape[0], task)
    y = _run(x, w.reshape(-1, w.shape[-1]), plan)
    y = y.reshape(*y.shape[:-2], -1, task.out_channels)
    return moves.window(y, (0,) * len(g), g.output)


def fprop(y: jax.Array, w: jax.Array, task: Task) -> jax.Array:
    """y, w -> x."""
    g = task.geometry
    whole = [-(-n // s) * s for n, s in zip(g.output, g.stride, strict=True)]
    y, w = moves.window(y, (0,) * len(g), whole), jnp.swapaxes(w, -1, -2)
    plan = Plan.of(y.shape[0], task)
    return _run(y, w.reshape(-1, w.shape[-1]), plan)


class Place(NamedTuple):
    """One tile of the work: phase, columns, boxes and steps."""

    phase: tuple[Any, ...]
    column: Any
    pair: Any
    counts: tuple[Any, ...]
    steps: Any


@dataclass(frozen=True)
class Plan:
    """The work of one launch, as integers."""

    walk: Walk
    batch: int
    source: int  # channels, contracted
    result: int
    chunk: int  # channels of one step
    columns: int
    box: tuple[int, ...]  # result cells of one warpgroup, batch first
    stages: int
    front: tuple[int, ...]  # source cells laid in front, per axis

    @classmethod
    def of(cls, batch: int, task: Task) -> Plan:
        """The plan of one side."""
        walk = Walk.of(_as_multiplied(task.geometry), task.side)
        source, result = _channels(task)
        chunk = next(c for c in SWIZZLES if source % c == result % c == 0)
        columns = max(n for n in range(chunk, COLUMNS + 1, chunk) if result % n == 0)
        sizes = (batch, *walk.results)
        rows = math.prod(sizes) * math.prod(walk.phases) * (result // columns) // MULTIPLIERS
        tiles = TALL if rows >= 2 * PROCESSORS * TALL.rows else SHORT
        front = tuple(a.front if simulation() else 0 for a in walk.axes)
        cells = box(sizes, tiles.rows)
        return cls(walk, batch, source, result, chunk, columns, cells, tiles.stages, front)

    @property
    def boxes(self) -> tuple[int, ...]:
        """Boxes per axis, batch first."""
        sizes = (self.batch, *self.walk.results)
        return tuple(-(-n // b) for n, b in zip(sizes, self.box, strict=True))

    @property
    def grid(self) -> tuple[int, ...]:
        """Tiles: boxes by the pair, phases, columns; neighbours in time share their source."""
        pairs = -(-math.prod(self.boxes) // MULTIPLIERS)
        return (pairs, *self.walk.phases, self.result // self.columns)

    def place(self, tile: Any) -> Place:
        """Where tile ``tile`` lies."""
        pair, *phase, column = unravel(tile, self.grid)
        counts = (*self.walk.counts(tuple(phase)), self.source // self.chunk)
        return Place(tuple(phase), column * self.columns, pair, counts, math.prod(counts))

    def corner(self, place: Place, multiplier: Any) -> tuple[Any, ...]:
        """The first result cell of a warpgroup's box; past the batch where no box is left."""
        sizes = self.boxes
        number = place.pair * MULTIPLIERS + multiplier
        rest = math.prod(sizes[1:])
        index = (number // rest, *unravel(number % rest, sizes[1:]))
        return tuple(i * b for i, b in zip(index, self.box, strict=True))

    def step(self, place: Place, number: Any) -> tuple[Any, Any, list[tuple[Any, Any]]]:
        """Row of the kernel, first channel, and shift and phase of the source per axis."""
        *numbers, chunk = unravel(number, place.counts)
        tap, steps = self.walk.step(place.phase, tuple(numbers))
        channel = chunk * self.chunk
        fronts = zip(steps, self.front, strict=True)
        return tap * self.source + channel, channel, [(s.shift + f, s.phase) for s, f in fronts]


def _as_multiplied(g: Geometry) -> Geometry:
    if not _merges(g):
        return g
    *others, last = g.axes
    cells = -(-last.output // last.stride)
    return Geometry((*others, Axis(last.input, 1, cells)), g.groups)


def _run(source: jax.Array, w: jax.Array, plan: Plan) -> jax.Array:
    """Cut the source into cells and phases, launch, and join the phases of the result."""
    walk = plan.walk
    *outer, last = (a.source_phases for a in walk.axes)
    pairs = [n for size, s in zip(source.shape[1:-2], outer, strict=True) for n in (size // s, s)]
    cells = source.reshape(source.shape[0], *pairs, -1, last, plan.source)
    margins = [pair for front in plan.front for pair in ((front, 0), (0, 0))]
    cells = moves.pad(cells, [(0, 0), *margins, (0, 0)])
    pairs = [n for a in walk.axes for n in (a.results, a.phases)]
    result = jax.ShapeDtypeStruct((plan.batch, *pairs, plan.result), source.dtype)
    sizes = [a.results * a.phases for a in walk.axes]
    return _launch(result, plan)(cells, w).reshape(plan.batch, *sizes, plan.result)


def _launch(result: jax.ShapeDtypeStruct, plan: Plan) -> Any:
    simulated, here = simulation(), jax.devices()[0]
    return plgpu.kernel(
        partial(_kernel, plan=plan),
        out_type=result,
        grid=(min(getattr(here, "core_count", PROCESSORS), math.prod(plan.grid)),),
        grid_names=("block",),
        num_threads=MULTIPLIERS + 1,
        thread_name="warpgroup",
        scratch_types=_memory(plan, result.dtype),
        compiler_params=plgpu.CompilerParams(lowering_semantics=plgpu.LoweringSemantics.Lane),
        interpret=simulated.how if simulated else None,
    )


def _memory(plan: Plan, dtype: Any) -> dict[str, Any]:
    swizzle = (plgpu.SwizzleTransform(plan.chunk * dtype.itemsize),)
    tiled = (plgpu.TilingTransform((8, plan.chunk)), *swizzle)
    rows = math.prod(plan.box)

    def twofold(*slots: int) -> Any:
        """A box as rows in tiles, and the same bytes by its axes."""
        return plgpu.RefUnion(
            plgpu.SMEM((*slots, rows, plan.chunk), dtype, transforms=tiled),
            plgpu.SMEM((*slots, *plan.box, plan.chunk), dtype, transforms=swizzle),
        )

    return {
        "a": twofold(plan.stages, MULTIPLIERS),
        "b": plgpu.SMEM((plan.stages, plan.chunk, plan.columns), dtype, transforms=tiled),
        "out": twofold(MULTIPLIERS),
        "full": plgpu.Barrier(num_arrivals=MULTIPLIERS + 1, num_barriers=plan.stages),
        "free": plgpu.Barrier(num_arrivals=MULTIPLIERS, num_barriers=plan.stages),
    }


# Inside: three warpgroups, which meet only at the barriers.


def _kernel(source: Any, w: Any, result: Any, *, plan: Plan, **memory: Any) -> None:
    def fetch() -> None:
        plgpu.set_max_registers(40, action="decrease")
        _fetch(source, w, plan, **memory)

    def multiply() -> None:
        plgpu.set_max_registers(232, action="increase")
        _multiply(result, plan, **memory)

    lax.cond(lax.axis_index("warpgroup") == MULTIPLIERS, fetch, multiply)


def _tiles(plan: Plan) -> Any:
    """The tiles of this block; the number of steps done so far is carried along."""
    return plgpu.nd_loop((math.prod(plan.grid),), collective_axes="block", init_carry=jnp.int32(0))


def _fetch(source: Any, w: Any, plan: Plan, a: Any, b: Any, full: Any, free: Any, out: Any) -> None:
    @_tiles(plan)
    def fetched(loop: Any, carry: Any) -> Any:
        place = plan.place(loop.index[0])
        corners = [plan.corner(place, multiplier) for multiplier in range(MULTIPLIERS)]

        def step(number: Any, done: Any) -> Any:
            slot = done % plan.stages

            @pl.when(done >= plan.stages)
            def _wait() -> None:
                plgpu.barrier_wait(free.at[slot])

            row, channel, shifts = plan.step(place, number)
            for multiplier, corner in enumerate(corners):
                at = _box(plan, corner, shifts, channel, plan.chunk)
                plgpu.copy_gmem_to_smem(source.at[at], a[1].at[slot, multiplier], full.at[slot])
            tile_of_w = pl.ds(row, plan.chunk), pl.ds(place.column, plan.columns)
            plgpu.copy_gmem_to_smem(w.at[tile_of_w], b.at[slot], full.at[slot])
            return done + 1

        return lax.fori_loop(0, place.steps, step, carry)

    # What was handed back last must have been before memory is: nobody else waits for it.
    for number in range(plan.stages):
        last = fetched - plan.stages + number

        @pl.when(last >= 0)
        def _drain(last: Any = last) -> None:
            plgpu.barrier_wait(free.at[last % plan.stages])


def _multiply(result: Any, plan: Plan, a: Any, b: Any, full: Any, free: Any, out: Any) -> None:
    me = lax.axis_index("warpgroup")

    @_tiles(plan)
    def tile(loop: Any, carry: Any) -> Any:
        place = plan.place(loop.index[0])

        def step(number: Any, done: Any, sums: Any) -> Any:
            slot = done % plan.stages
            plgpu.barrier_wait(full.at[slot])
            _same_bytes(a[1].at[slot, me], a[0].at[slot, me])
            plgpu.wgmma(sums, a[0].at[slot, me], b.at[slot])
            plgpu.wgmma_wait(0)
            plgpu.barrier_arrive(free.at[slot])
            return done + 1

        def products(sums: Any) -> Any:
            done = lax.fori_loop(0, place.steps, partial(step, sums=sums), carry)
            return done, sums[...]

        shape = (math.prod(plan.box), plan.columns)
        done, sums = pl.run_scoped(products, plgpu.ACC(shape, jnp.float32))
        _store(sums.astype(result.dtype), result, plan, place, [part.at[me] for part in out])
        return done

    plgpu.wait_smem_to_gmem(0)


def _store(sums: Any, result: Any, plan: Plan, place: Place, out: list[Any]) -> None:
    corner = plan.corner(place, lax.axis_index("warpgroup"))
    phases = [(0, phase) for phase in place.phase]
    for first in range(0, plan.columns, plan.chunk):
        plgpu.wait_smem_to_gmem(0, wait_read_only=True)
        out[0][...] = sums[:, first : first + plan.chunk]
        _same_bytes(out[0], out[1])
        plgpu.commit_smem()
        at = _box(plan, corner, phases, place.column + first, plan.chunk)
        plgpu.copy_smem_to_gmem(out[1], result.at[at])


def _box(plan: Plan, corner: Any, shifts: Any, channel: Any, width: int) -> tuple[Any, ...]:
    """A box of cells, shifted, of one phase an axis, as an index of an array of cells."""
    first, *starts = corner
    index = [pl.ds(first, plan.box[0])]
    for start, (shift, phase), size in zip(starts, shifts, plan.box[1:], strict=True):
        index += [pl.ds(start + shift, size), phase]
    return (*index, pl.ds(channel, width))


def _same_bytes(written: Any, read: Any) -> None:
    """Nothing on a GPU; carried over where members of a union are simulated apart."""
    if simulation() is not None:
        read[...] = written[...].reshape(read.shape)
