"""Inside the Hopper kernel: three warpgroups, which meet only at the barriers.

One thing leans on how Mosaic lays memory out.  Products want boxes in tiles of eight rows, copies
want them by their axes, and as a box is as wide as the swizzle both are the same bytes: they are
two members of a ``RefUnion``, each starting at its first byte.  Where that is simulated members
lie apart, hence ``_same_bytes``.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import mosaic_gpu as plgpu

from jtconv.methods.kernels.hopper.plan import MULTIPLIERS, PROCESSORS, Place, Plan
from jtconv.methods.kernels.interpret import simulation


def launch(result: jax.ShapeDtypeStruct, plan: Plan) -> Any:
    """The kernel as a function of source, kernel and bias, all as ``sides`` lays them."""
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
        "b": plgpu.SMEM((plan.stages, plan.columns, plan.chunk), dtype, transforms=tiled),
        "out": twofold(MULTIPLIERS),
        "full": plgpu.Barrier(num_arrivals=MULTIPLIERS + 1, num_barriers=plan.stages),
        "free": plgpu.Barrier(num_arrivals=MULTIPLIERS, num_barriers=plan.stages),
    }


def _kernel(
    source: Any, w: Any, bias: Any, result: Any, *, plan: Plan, out: Any, **memory: Any
) -> None:
    def fetch() -> None:
        plgpu.set_max_registers(40, action="decrease")
        _fetch(source, w, plan, **memory)

    def multiply() -> None:
        plgpu.set_max_registers(232, action="increase")
        _multiply(bias, result, plan, out, **memory)

    lax.cond(lax.axis_index("warpgroup") == MULTIPLIERS, fetch, multiply)


def _tiles(plan: Plan) -> Any:
    """The tiles of this block; the number of steps done so far is carried along."""
    return plgpu.nd_loop((math.prod(plan.grid),), collective_axes="block", init_carry=jnp.int32(0))


def _fetch(source: Any, w: Any, plan: Plan, a: Any, b: Any, full: Any, free: Any) -> None:
    @_tiles(plan)
    def fetched(loop: Any, carry: Any) -> Any:
        place = plan.place(loop.index[0])
        corners = [plan.corner(place, multiplier) for multiplier in range(MULTIPLIERS)]

        def step(number: Any, done: Any) -> Any:
            slot = done % plan.stages

            @pl.when(done >= plan.stages)
            def _wait() -> None:
                plgpu.barrier_wait(free.at[slot])

            reads = plan.reads(place, number)
            for multiplier, corner in enumerate(corners):
                at = _box(plan, corner, reads.shifts, reads.channel)
                plgpu.copy_gmem_to_smem(source.at[at], a[1].at[slot, multiplier], full.at[slot])
            row, first = reads.kernel
            tile = pl.ds(row, plan.columns), pl.ds(first, plan.chunk)
            plgpu.copy_gmem_to_smem(w.at[tile], b.at[slot], full.at[slot])
            return done + 1

        return lax.fori_loop(0, place.steps, step, carry)

    # What was handed back last must have been before memory is: nobody else waits for it.
    for number in range(plan.stages):
        last = fetched - plan.stages + number

        @pl.when(last >= 0)
        def _drain(last: Any = last) -> None:
            plgpu.barrier_wait(free.at[last % plan.stages])


def _multiply(
    bias: Any, result: Any, plan: Plan, out: Any, a: Any, b: Any, full: Any, free: Any
) -> None:
    me = lax.axis_index("warpgroup")

    def step(number: Any, done: Any, sums: Any) -> Any:
        slot = done % plan.stages
        plgpu.barrier_wait(full.at[slot])
        _same_bytes(a[1].at[slot, me], a[0].at[slot, me])
        plgpu.wgmma(sums, a[0].at[slot, me], b.at[slot].transpose((1, 0)))
        plgpu.wgmma_wait(0)
        plgpu.barrier_arrive(free.at[slot])
        return done + 1

    @_tiles(plan)
    def tile(loop: Any, carry: Any) -> Any:
        place = plan.place(loop.index[0])

        def products(sums: Any) -> Any:
            done = lax.fori_loop(0, place.steps, partial(step, sums=sums), carry)
            return done, sums[...]

        shape = (math.prod(plan.box), plan.columns)
        done, sums = pl.run_scoped(products, plgpu.ACC(shape, jnp.float32))
        sums += _under_each_row(bias.at[pl.ds(place.column, plan.columns)], shape)
        _store(sums.astype(result.dtype), result, plan, place, [part.at[me] for part in out])
        return done

    plgpu.wait_smem_to_gmem(0)


def _under_each_row(bias: Any, shape: tuple[int, int]) -> Any:
    index = () if jax.__version_info__ >= (0, 11) else (...,)
    row = plgpu.load(bias, *index, layout=plgpu.Layout.WGMMA.reduce(0), optimized=False)
    return lax.broadcast_in_dim(row, shape, [1])


def _store(sums: Any, result: Any, plan: Plan, place: Place, out: list[Any]) -> None:
    corner = plan.corner(place, lax.axis_index("warpgroup"))
    phases = [(0, phase) for phase in place.phase]
    for first in range(0, plan.columns, plan.chunk):
        plgpu.wait_smem_to_gmem(0, wait_read_only=True)
        out[0][...] = sums[:, first : first + plan.chunk]
        _same_bytes(out[0], out[1])
        plgpu.commit_smem()
        at = _box(plan, corner, phases, place.column + first)
        plgpu.copy_smem_to_gmem(out[1], result.at[at])


def _box(plan: Plan, corner: Any, shifts: Any, channel: Any) -> tuple[Any, ...]:
    """A box of cells, shifted, of one phase an axis, as an index of an array of cells."""
    first, *starts = corner
    index = [pl.ds(first, plan.box[0])]
    for start, (shift, phase), size in zip(starts, shifts, plan.box[1:], strict=True):
        index += [pl.ds(start + shift, size), phase]
    return (*index, pl.ds(channel, plan.chunk))


def _same_bytes(written: Any, read: Any) -> None:
    """Nothing on a GPU; carried over where members of a union are simulated apart."""
    if simulation() is not None:
        read[...] = written[...].reshape(read.shape)
