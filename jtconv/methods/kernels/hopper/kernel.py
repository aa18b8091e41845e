"""The Hopper kernel as a function, with its memory: three warpgroups, which meet at barriers."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import jax
from jax import lax
from jax.experimental.pallas import mosaic_gpu as plgpu

from jtconv.methods.kernels.hopper.fetch import fetch
from jtconv.methods.kernels.hopper.memory import Memory, scratch
from jtconv.methods.kernels.hopper.multiply import multiply
from jtconv.methods.kernels.hopper.plan import MULTIPLIERS, PROCESSORS, Plan
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
        scratch_types=scratch(plan, result.dtype)._asdict(),
        compiler_params=plgpu.CompilerParams(lowering_semantics=plgpu.LoweringSemantics.Lane),
        interpret=simulated.how if simulated else None,
    )


def _kernel(source: Any, w: Any, bias: Any, result: Any, *, plan: Plan, **shared: Any) -> None:
    memory = Memory(**shared)

    def fetches() -> None:
        plgpu.set_max_registers(40, action="decrease")
        fetch(source, w, plan, memory)

    def multiplies() -> None:
        plgpu.set_max_registers(232, action="increase")
        multiply(bias, result, plan, memory)

    lax.cond(lax.axis_index("warpgroup") == MULTIPLIERS, fetches, multiplies)
