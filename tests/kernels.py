"""The kernels behind "pallas", called directly: what their tests share."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import pytest
from jax.experimental.pallas import mosaic_gpu

from jtconv.algorithms import pallas
from jtconv.problem.geometry import Geometry
from jtconv.problem.task import Task
from tests import oracle
from tests.cases import Case

can_interpret_gpus = pytest.mark.skipif(
    not hasattr(mosaic_gpu, "InterpretGPUParams"),
    reason=f"jax {jax.__version__} cannot interpret GPU kernels: 0.11 and later can",
)


def task_of(case: Case, side, dtype, platform: str = "cpu", precision=None) -> Task:
    columns = case.x_size, case.kernel, case.stride, case.dilation, case.crops
    geometry, dtype = Geometry.of(*columns, case.groups), jnp.dtype(dtype)
    channels = case.channels, case.features
    return Task(side, geometry, case.batch, *channels, dtype, dtype, platform, precision)


def compute(task: Task, *operands):
    """The method itself, biased where there are three operands.

    Primitives would refuse a platform that is not here.
    """
    assert pallas.refuse(task) is None
    return getattr(pallas, "biased" if len(operands) == 3 else task.side)(*operands, task)


def side_of(case: Case, side, rng, dtype, bias: bool = True):
    """The operands of one side, a bias among them, and what the loop makes of them."""
    x, w, y = (jnp.asarray(a, dtype) for a in case.operands(rng))
    if side == "wgrad":
        return (x, y), oracle.kernel_gradient(x, y, case)
    source, features = (x, case.features) if side == "dgrad" else (y, case.channels)
    want = (oracle.conv_transpose if side == "dgrad" else oracle.conv)(source, w, case)
    if not bias:
        return (source, w), want
    addend = jnp.asarray(rng.normal(size=features), dtype)
    return (source, w, addend), want + oracle.wide(addend)


def lowered(task: Task, operands, platform: str) -> str:
    traced = jax.jit(lambda *operands: compute(task, *operands)).trace(*operands)
    return traced.lower(lowering_platforms=(platform,)).as_text()
