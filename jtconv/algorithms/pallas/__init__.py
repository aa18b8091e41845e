"""pallas: kernels of our own, one family a platform; see ``jtconv/methods/kernels``.

    TPU     rows with their halo, phases in the lanes: ``kernels.tpu``
    CUDA    on Hopper, matrix products that stay in registers: ``kernels.hopper``;
            for depthwise layers a pass over memory: ``kernels.depthwise``

The result is written in one pass, and a bias is added in it, since XLA fuses nothing with a kernel.
Added afterwards y would be read and written once more: 3.5 times its size moved instead of 1.5 for
k = s = 2 and C_in = 2 C_out.

None has been run on the device it is written for, so none is chosen automatically: they are
tested in interpret mode and lowered, and wait for somebody to measure them.
"""

from __future__ import annotations

from dataclasses import replace
from types import ModuleType

import jax

from jtconv.algorithms.pallas.interpret import simulation
from jtconv.algorithms.pallas.meeting import hidden
from jtconv.problem.task import Cost, Task


def refuse(task: Task) -> str | None:
    """The kernel for this platform is asked, where there is one."""
    simulated = simulation()
    if simulated and simulated.platform == "cuda" and task.platform != "cuda":
        return (
            "kernels for GPUs are simulated by callbacks in a fixed order, which JAX takes in no "
            "primitive of ours: ask jtconv.methods.pallas itself, with a task for cuda"
        )
    kernel = _kernel(task)
    if kernel is None:
        return (
            f"its kernels are for TPUs and NVIDIA's Hopper GPUs, and this runs on {task.platform}"
        )
    why: str | None = kernel.refuse(replace(task, tile=None))
    if why is None and task.tile not in (None, *tiles(task)):
        known = ", ".join(tiles(task))
        return f"its tiles for this are {known}, not {task.tile!r}: measure with jtconv.tune again"
    return why


def tiles(task: Task) -> tuple[str, ...]:
    """The tiles that the kernel may cut the task into, the one it takes unasked first."""
    kernel = _kernel(task)
    names: tuple[str, ...] = () if kernel is None else kernel.tiles(task)
    return names


def cost(task: Task) -> Cost:
    """Useful products, and a copy of the kernel: what tiles fill up with zeros is not counted."""
    return Cost(task.multiply_adds, task.w_elements * task.dtype.itemsize)


def dgrad(x: jax.Array, w: jax.Array, task: Task) -> jax.Array:
    """x, w -> y."""
    return biased(x, w, None, task)


def fprop(y: jax.Array, w: jax.Array, task: Task) -> jax.Array:
    """y, w -> x."""
    return biased(y, w, None, task)


def wgrad(x: jax.Array, y: jax.Array, task: Task) -> jax.Array:
    """x, y -> w."""
    x, y = hidden(x, y, task.geometry)
    w: jax.Array = getattr(_kernel(task), task.side)(x, y, task)
    return w


def biased(a: jax.Array, w: jax.Array, bias: jax.Array | None, task: Task) -> jax.Array:
    """dgrad or fprop with a bias, one number for every channel of the result."""
    result: jax.Array = getattr(_kernel(task), task.side)(a, w, task, bias)
    return result


def _kernel(task: Task) -> ModuleType | None:
    """The kernels for the platform, loaded only now: Pallas takes a while to import."""
    simulated = simulation()
    platform = simulated.platform if simulated else task.platform
    if platform == "tpu":
        from jtconv.algorithms.pallas import tpu

        return tpu
    if platform == "cuda":
        from jtconv.algorithms.pallas import depthwise, hopper

        return depthwise if task.x_channels_per_group == task.y_channels_per_group == 1 else hopper
    return None
