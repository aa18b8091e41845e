"""The Hopper kernels: results stay in registers, and everything that adds to them is loaded by TMA.

pipeline         a producer that loads, consumers that multiply, the memory they share, and tiles
implicit_gemm    dgrad and fprop, with the matrix product that a task is
kernel_gradient  wgrad

Tested by interpreting them, on jax 0.11 and later, and by lowering for CUDA; they ran, checked, on
an H200 (``python -m bench --suite gpu --method pallas``).
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax

from jtconv import devices
from jtconv.algorithms.common import arrays
from jtconv.algorithms.pallas.hopper import implicit_gemm, kernel_gradient
from jtconv.algorithms.pallas.hopper.implicit_gemm import (
    SWIZZLES,
    gemm_channels,
    phases_are_channels,
    phases_to_channels,
)
from jtconv.algorithms.pallas.hopper.kernel_gradient import wgrad
from jtconv.algorithms.pallas.interpret import simulation
from jtconv.problem.task import Task

__all__ = ["dgrad", "fprop", "refuse", "tiles", "wgrad"]


def refuse(task: Task) -> str | None:
    """Why not."""
    if simulation() is None and (other := _other_gpu()):
        return f"the kernel is written for Hopper, compute capability 9.0, and this is {other}"
    if task.dtype.name not in ("float16", "bfloat16", "float32") or task.result_dtype != task.dtype:
        return f"it takes and gives floats of 16 or 32 bits, not {task.dtype}-{task.result_dtype}"
    if task.dtype.itemsize == 4 and _is_exact(task):
        made = "from products of bfloat16" if task.side == "wgrad" else "as TF32"
        return f"it multiplies float32 {made}, and the highest precision is required"
    if len(task.geometry) > 2:
        return "its copies take at most two axes besides those of the batch, phases and channels"
    least = SWIZZLES[-1] // task.dtype.itemsize
    first, second = gemm_channels(task)
    if first % least or second % least:
        return f"its tiles hold channels by the {least}, and a group has {first} and {second}"
    return None


def _other_gpu() -> str | None:
    """The capability of the GPU here, if there is one and it is no Hopper."""
    here = devices.of_platform("cuda")
    capability = str(getattr(here, "compute_capability", "unknown"))
    return None if here is None or capability.startswith("9.") else capability


def _is_exact(task: Task) -> bool:
    """Whether products must keep all bits of float32."""
    precision = task.precision or getattr(jax.config, "jax_default_matmul_precision", None)
    return precision in (lax.Precision.HIGHEST, "highest", "float32")


def tiles(task: Task) -> tuple[str, ...]:
    """The names of tiles a task may be cut into, the default first."""
    return kernel_gradient.tiles(task) if task.side == "wgrad" else implicit_gemm.tiles(task)


def dgrad(x: jax.Array, w: jax.Array, task: Task, bias: jax.Array | None) -> jax.Array:
    """x, w -> y."""
    y = implicit_gemm.run(x, jnp.swapaxes(w, -1, -2), task, bias)
    y = y.reshape(*y.shape[:-2], -1, task.y_channels)
    return arrays.window(y, (0,) * len(task.geometry), task.geometry.y_size)


def fprop(y: jax.Array, w: jax.Array, task: Task, bias: jax.Array | None) -> jax.Array:
    """y, w -> x."""
    g = task.geometry
    if phases_are_channels(g):
        w = jnp.moveaxis(w, -3, -2)
    else:
        w = jnp.moveaxis(w.reshape(*w.shape[:-1], g.groups, -1), -2, -3)
    return implicit_gemm.run(phases_to_channels(y, g), w, task, bias)
