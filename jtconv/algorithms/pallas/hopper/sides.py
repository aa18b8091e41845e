"""The Hopper kernels' sides: what they refuse, and arrays as they read them."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax

from jtconv.algorithms.common import arrays
from jtconv.algorithms.pallas import phased
from jtconv.algorithms.pallas.hopper import gradient
from jtconv.algorithms.pallas.hopper import plan as products
from jtconv.algorithms.pallas.hopper.channels import LINES, channels, merges, with_merged_phases
from jtconv.algorithms.pallas.hopper.kernel import launch
from jtconv.algorithms.pallas.hopper.multiply import load, multiply, scratch
from jtconv.algorithms.pallas.interpret import simulation
from jtconv.problem.task import Task


def refuse(task: Task) -> str | None:
    """Why not."""
    if simulation() is None and _foreign():
        return f"the kernel is written for Hopper, compute capability 9.0, and this is {_foreign()}"
    if task.dtype.name not in ("float16", "bfloat16", "float32") or task.result_dtype != task.dtype:
        return f"it takes and gives floats of 16 or 32 bits, not {task.dtype}-{task.result_dtype}"
    if task.dtype.itemsize == 4 and _is_exact(task):
        made = "from products of bfloat16" if task.side == "wgrad" else "as TF32"
        return f"it multiplies float32 {made}, and the highest precision is asked for"
    if len(task.geometry) > 3:
        return "it is written for at most three axes"
    least = LINES[-1] // task.dtype.itemsize
    contracted, given = channels(task)
    if contracted % least or given % least:
        return f"its tiles hold channels by the {least}, and a group has {contracted} and {given}"
    return None


def _foreign() -> str | None:
    """The capability of the GPU here, if there is one and it is no Hopper."""
    if jax.default_backend() != "gpu":
        return None
    capability = str(getattr(jax.devices()[0], "compute_capability", "unknown"))
    return None if capability.startswith("9.") else capability


def _is_exact(task: Task) -> bool:
    """Whether products must keep all bits of float32."""
    asked = task.precision or getattr(jax.config, "jax_default_matmul_precision", None)
    return asked in (lax.Precision.HIGHEST, "highest", "float32")


def tiles(task: Task) -> tuple[str, ...]:
    """The names of tiles a task may be cut into, the one it is cut into unasked first."""
    return gradient.tiles(task) if task.side == "wgrad" else products.tiles(task)


def dgrad(x: jax.Array, w: jax.Array, task: Task, bias: jax.Array | None) -> jax.Array:
    """x, w -> y."""
    y = _run(x, jnp.swapaxes(w, -1, -2), task, bias)
    y = y.reshape(*y.shape[:-2], -1, task.y_channels)
    return arrays.window(y, (0,) * len(task.geometry), task.geometry.y_size)


def fprop(y: jax.Array, w: jax.Array, task: Task, bias: jax.Array | None) -> jax.Array:
    """y, w -> x."""
    g = task.geometry
    if merges(g):
        w = jnp.moveaxis(w, -3, -2)
    else:
        w = jnp.moveaxis(w.reshape(*w.shape[:-1], g.groups, -1), -2, -3)
    return _run(with_merged_phases(y, g), w, task, bias)


def _run(source: jax.Array, w: jax.Array, task: Task, bias: jax.Array | None) -> jax.Array:
    """Result from source; ``w`` has what is contracted last, and before it taps and results."""
    plan = products.Plan.of(source.shape[0], task)
    wide = plan.groups * plan.width
    bias = jnp.zeros(wide) if bias is None else jnp.tile(bias, wide // bias.size)
    shape = jax.ShapeDtypeStruct(phased.shape(plan.walk, source.shape[0], wide), source.dtype)
    run = launch(shape, plan, scratch(plan, source.dtype), load, multiply)
    cells = run(
        phased.split(source, plan.walk), w.reshape(-1, plan.depth), bias.astype(jnp.float32)
    )
    return phased.join(cells, plan.walk)
