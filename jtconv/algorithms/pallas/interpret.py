"""Running kernels where their platform is not: a context, part of the key of every jit cache.

    with interpreted("cuda"):
        y = jtconv.algorithms.pallas.dgrad(x, w, task)

computes on the CPU what the kernels for GPUs would, slowly, for tests and debugging.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax


class Simulation(NamedTuple):
    """The platform to simulate, and what Pallas gets as ``interpret=``."""

    platform: str
    how: Any


_SIMULATION = jax.make_user_context(None)


def interpreted(platform: str, how: Any = None) -> Any:
    """A context in which kernels for ``platform`` are interpreted, on whatever runs here.

    Args:
        platform: "cuda".
        how: what ``interpret=`` of Pallas takes, ``InterpretGPUParams()`` of
            ``pallas.mosaic_gpu`` by default.

    GPU kernels are simulated by callbacks in a fixed order, which JAX takes inside no primitive
    of ours: calls are refused; call ``jtconv.algorithms.pallas`` itself, with a task for cuda.

    Raises:
        ValueError: for another platform, and where JAX cannot: before 0.11.

    >>> interpreted("rocm")
    Traceback (most recent call last):
    ValueError: platform must be 'cuda', got 'rocm'.
    """
    if platform != "cuda":
        raise ValueError(f"platform must be 'cuda', got {platform!r}.")
    return _SIMULATION(Simulation(platform, _gpu_parameters() if how is None else how))


def _gpu_parameters() -> Any:
    from jax.experimental.pallas import mosaic_gpu

    if not hasattr(mosaic_gpu, "InterpretGPUParams"):
        raise ValueError(f"jax {jax.__version__} cannot interpret GPU kernels: 0.11 and later can.")
    return mosaic_gpu.InterpretGPUParams()


def simulation() -> Simulation | None:
    """The simulation in force, if there is one."""
    value: Simulation | None = _SIMULATION.value
    return value
