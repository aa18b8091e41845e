"""A Hopper kernel as a function, with its memory: three warpgroups, which meet at barriers."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
from jax import lax
from jax.experimental.pallas import mosaic_gpu as plgpu

from jtconv.algorithms.pallas.hopper.fetch import fetch
from jtconv.algorithms.pallas.hopper.memory import Memory
from jtconv.algorithms.pallas.hopper.tile import MULTIPLIERS, PROCESSORS
from jtconv.algorithms.pallas.interpret import simulation


def launch(
    result: jax.ShapeDtypeStruct,
    plan: Any,
    scratch: Memory,
    load: Callable[..., None],
    multiply: Callable[..., None],
) -> Any:
    """The kernel as a function of arrays.

    Inside, ``load(arrays, plan, memory, place, number, slot)`` starts the copies of one step, and
    ``multiply(arrays, plan, memory)`` is what the others do; the result is the last of ``arrays``.
    """
    simulated, here = simulation(), jax.devices()[0]
    return plgpu.kernel(
        partial(_kernel, plan=plan, load=load, multiply=multiply),
        out_type=result,
        grid=(min(getattr(here, "core_count", PROCESSORS), math.prod(plan.grid)),),
        grid_names=("block",),
        num_threads=MULTIPLIERS + 1,
        thread_name="warpgroup",
        scratch_types=scratch._asdict(),
        compiler_params=plgpu.CompilerParams(lowering_semantics=plgpu.LoweringSemantics.Lane),
        interpret=simulated.how if simulated else None,
    )


def _kernel(*arrays: Any, plan: Any, load: Any, multiply: Any, **shared: Any) -> None:
    memory = Memory(**shared)

    def fetches() -> None:
        plgpu.set_max_registers(40, action="decrease")
        fetch(partial(load, arrays, plan, memory), plan, memory)

    def multiplies() -> None:
        plgpu.set_max_registers(232, action="increase")
        multiply(arrays, plan, memory)

    lax.cond(lax.axis_index("warpgroup") == MULTIPLIERS, fetches, multiplies)
