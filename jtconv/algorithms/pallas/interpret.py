"""Running kernels where their platform is not: a context, part of the key of every jit cache.

    with interpreted("tpu"):
        y = jtconv.conv_transpose(x, w, method="pallas")

computes on the CPU what the kernel for TPUs would, slowly, for tests and debugging.
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
        platform: "tpu" or "cuda".
        how: what ``interpret=`` of Pallas takes. By default True, Pallas's plain interpreter,
            for "tpu", and for "cuda" ``InterpretGPUParams()`` of ``pallas.mosaic_gpu``.

    GPU kernels are simulated by callbacks in a fixed order, which JAX takes inside no primitive
    of ours: calls are refused; call ``jtconv.algorithms.pallas`` itself, with a task for cuda.

    Raises:
        ValueError: for another platform, and for "cuda" where JAX cannot: before 0.11.

    >>> import jax.numpy as jnp, jtconv
    >>> x, w = jnp.ones((1, 4, 2)), jnp.ones((2, 2, 3))
    >>> with interpreted("tpu"):
    ...     y = jtconv.conv_transpose(x, w, stride=2, method="pallas")
    >>> y.shape
    (1, 8, 3)
    """
    if platform not in ("tpu", "cuda"):
        raise ValueError(f"platform must be 'tpu' or 'cuda', got {platform!r}.")
    if how is None:
        how = True if platform == "tpu" else _gpu_parameters()
    return _SIMULATION(Simulation(platform, how))


def _gpu_parameters() -> Any:
    from jax.experimental.pallas import mosaic_gpu

    if not hasattr(mosaic_gpu, "InterpretGPUParams"):
        raise ValueError(f"jax {jax.__version__} cannot interpret GPU kernels: 0.11 and later can.")
    return mosaic_gpu.InterpretGPUParams()


def simulation() -> Simulation | None:
    """The simulation in force, if there is one."""
    value: Simulation | None = _SIMULATION.value
    return value
