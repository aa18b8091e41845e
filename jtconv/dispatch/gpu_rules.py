"""The static choice on GPUs.

Nothing was run: figures are megabytes moved and microseconds of a model on an H100 in bfloat16,
by what XLA and ptxas wrote for it, dgrad, fprop and wgrad in this order.  On rocm the same is
assumed of MIOpen.
"""

from __future__ import annotations

import jax.numpy as jnp

from jtconv.dispatch.rule import Rule
from jtconv.problem.task import Task

GPUS = ("cuda", "rocm")


def _has_no_library(task: Task) -> bool:
    """Whole and complex numbers, for which cuDNN has no convolution."""
    return not jnp.issubdtype(task.dtype, jnp.floating)


def _has_thin_groups(task: Task) -> bool:
    return task.groups > 1 and task.x_channels_per_group * task.y_channels_per_group <= 4


def _is_grouped(task: Task) -> bool:
    return task.groups > 1


def _is_dilated_and_strided(task: Task) -> bool:
    return any(a.stride > 1 for a in task.geometry) and any(a.dilation > 1 for a in task.geometry)


def _has_kernel_beyond_input(task: Task) -> bool:
    """On every axis, with several taps a phase: XLA takes it for a convolution by x."""
    g = task.geometry
    overlapping = any(len(a.blocks) > 1 for a in g)
    return overlapping and all(a.kernel > a.x_size for a in g)


def _is_volume_without_overlap(task: Task) -> bool:
    g = task.geometry
    return len(g) == 3 and all(a.kernel == a.stride and a.dilation == 1 for a in g)


# First match wins.
GPU_RULES = (
    Rule(
        "gemm",
        _has_no_library,
        "cuDNN has no convolution of this dtype, and cuBLAS has a product",
        platforms=GPUS,
    ),
    Rule(
        "taps",
        _has_thin_groups,
        "groups too thin for a matrix product: one fused loop",
        sides=("dgrad", "fprop"),
        platforms=GPUS,
    ),
    Rule(
        "gemm",
        _has_thin_groups,
        "groups too thin for a matrix product: two passes, where a loop a tap takes eight",
        sides=("wgrad",),
        platforms=GPUS,
    ),
    Rule(
        "phases",
        _is_grouped,
        "cuDNN's gradient is not called with groups, and phases multiply no inserted zero",
        sides=("dgrad",),
        platforms=GPUS,
    ),
    Rule(
        "phases",
        _is_dilated_and_strided,
        "dilated and strided: the form without inserted zeros",
        platforms=GPUS,
    ),
    Rule(
        "phases",
        _has_kernel_beyond_input,
        "a kernel larger than the input, which XLA takes for a convolution by the input",
        sides=("dgrad",),
        platforms=GPUS,
    ),
    Rule(
        "gemm",
        _is_volume_without_overlap,
        "cuDNN would have a volume's channels first, and so two passes more",
        platforms=GPUS,
    ),
    Rule(
        "dilated",
        lambda task: True,
        "one call of cuDNN, which moves each number once",
        platforms=GPUS,
    ),
)
