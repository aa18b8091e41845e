"""pallas: kernels written by hand in Pallas for NVIDIA's Hopper GPUs.

    hopper      implicit GEMM, sums in registers
    schedule    the taps of every phase as integer arithmetic
    tiling      how results are cut up
    interpret   kernels simulated where their hardware is not

The result is written in one pass, and a bias is added in it, since XLA fuses nothing with a kernel:
added afterwards y would be read and written once more, 3.5 times its size moved instead of 1.5 for
k = s = 2 and C_in = 2 C_out.

On an H200 in bfloat16 they took, against the best of XLA's forms (``bench/results/gpu-h200.json``),
for dgrad, fprop and wgrad: 0.60, 0.85, 0.81 (k2 s2, 128 -> 64, 320x480), 0.85, 0.45, 0.41 (k3 s2
d2, 128 -> 64, 64x64), 1.01, 0.82, 1.03 (k4 s2, 2048 -> 256), 0.81, 1.11, 1.42 (k4 s2 in 4 groups).
None is chosen automatically: a program is chosen for a platform, and "cuda" may be an older GPU.
``method=("pallas", "auto")`` asks for them, and :func:`jtconv.tune` measures them with the others.

There are none for TPUs, where by the compiler's own count of cycles XLA's convolution is at its
floor, and none for depthwise layers, where on the H200 they took 1.5 times as long as XLA's loop.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jtconv.algorithms.common import arrays
from jtconv.algorithms.pallas.interpret import simulation
from jtconv.problem.geometry import Axis, Geometry
from jtconv.problem.task import Cost, Task


def refuse(task: Task) -> str | None:
    """Other platforms, and what the kernels for Hopper refuse."""
    simulated = simulation()
    if simulated and simulated.platform == "cuda" and task.platform != "cuda":
        return (
            "kernels for GPUs are simulated by callbacks in a fixed order, which JAX takes in no "
            "primitive of ours: call jtconv.algorithms.pallas itself, with a task for cuda"
        )
    if not _is_for_gpu(task):
        ahead = ", where XLA's own convolutions are ahead of kernels" * (task.platform == "tpu")
        return f"its kernels are for NVIDIA's Hopper GPUs, and this runs on {task.platform}{ahead}"
    why: str | None = _hopper().refuse(replace(task, tile=None))
    if why is None and task.tile not in (None, *tiles(task)):
        known = ", ".join(tiles(task))
        return f"its tiles for this are {known}, not {task.tile!r}: measure with jtconv.tune again"
    return why


def tiles(task: Task) -> tuple[str, ...]:
    """The names of the tiles that suit a task, the default first."""
    found: tuple[str, ...] = _hopper().tiles(task) if _is_for_gpu(task) else ()
    return found


def cost(task: Task) -> Cost:
    """Useful products, and a copy of the kernel: the zeros that fill tiles are not counted."""
    return Cost(task.multiply_adds, task.w_elements * task.dtype.itemsize)


def spreads(task: Task) -> str:
    """Of kernel gradients, both; numbers that take part in no product are masked."""
    return "xy" if task.side == "wgrad" else ""


def dgrad(x: jax.Array, w: jax.Array, task: Task) -> jax.Array:
    """x, w -> y."""
    return biased(x, w, None, task)


def fprop(y: jax.Array, w: jax.Array, task: Task) -> jax.Array:
    """y, w -> x."""
    return biased(y, w, None, task)


def wgrad(x: jax.Array, y: jax.Array, task: Task) -> jax.Array:
    """x, y -> w."""
    if x.shape[0] == 0:  # a grid of no programs: Pallas takes none
        shape = (*task.geometry.kernel, task.x_channels_per_group, task.y_channels)
        return arrays.zeros(shape, x, task.accumulator)
    x, y = _mask_unused(x, y, task.geometry)
    w: jax.Array = _hopper().wgrad(x, y, task)
    return w


def biased(a: jax.Array, w: jax.Array, bias: jax.Array | None, task: Task) -> jax.Array:
    """dgrad or fprop with a bias, one number for every channel of the result."""
    g, dgrad = task.geometry, task.side == "dgrad"
    if a.shape[0] == 0:
        size, channels = (g.y_size, task.y_channels) if dgrad else (g.x_size, task.x_channels)
        return arrays.zeros((0, *size, channels), a, task.accumulator)
    out: jax.Array = (_hopper().dgrad if dgrad else _hopper().fprop)(a, w, task, bias)
    return out


def _is_for_gpu(task: Task) -> bool:
    simulated = simulation()
    return (simulated.platform if simulated else task.platform) == "cuda"


def _hopper() -> Any:
    """Imported only now: Pallas takes a while to import."""
    from jtconv.algorithms.pallas import hopper

    return hopper


# Kernels multiply positions past an edge by the zeros that lie there, and an infinity times zero
# is NaN.  So a kernel gradient is computed with zeros for whatever no tap pairs with anything.


def _mask_unused(x: jax.Array, y: jax.Array, g: Geometry) -> tuple[jax.Array, jax.Array]:
    """x and y with zeros at positions that take part in no product; most often as they are."""
    for number, (x_used, y_used) in enumerate([_used(axis) for axis in g], 1):
        x, y = _select(x, x_used, number), _select(y, y_used, number)
    return x, y


def _used(a: Axis) -> tuple[np.ndarray, np.ndarray]:
    """Which positions of x and which of y some tap pairs, along one axis."""
    x_used, y_used = np.zeros(a.x_size, bool), np.zeros(a.y_size, bool)
    for tap in range(a.kernel):
        inputs = a.inputs_of_tap(tap)
        if inputs:
            x_used[inputs.start : inputs.stop] = True
            first, last = (a.stride * i + a.dilation * tap - a.lo for i in (inputs[0], inputs[-1]))
            y_used[first : last + 1 : a.stride] = True
    return x_used, y_used


def _select(a: jax.Array, used: np.ndarray, axis: int) -> jax.Array:
    if used.all():
        return a
    shape = [-1 if number == axis else 1 for number in range(a.ndim)]
    return jnp.where(used.reshape(shape), a, jnp.zeros((), a.dtype))
