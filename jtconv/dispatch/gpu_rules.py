"""The static choice on GPUs.

Figures are microseconds on an NVIDIA H200 in bfloat16 unless said, dgrad, fprop and wgrad in this
order, medians of `python -m bench --suite gpu` with jax 0.11.2 and cuDNN 9.19, kept in
bench/results/gpu-h200.json.  The rules were made from these layers.  On rocm the same is assumed
of MIOpen.
"""

from __future__ import annotations

import math

import jax.numpy as jnp

from jtconv.algorithms.common import subpixel
from jtconv.devices import GPUS
from jtconv.dispatch.rule import Rule
from jtconv.problem.task import LANES, Task

MOST_TAPS_OF_A_THIN_GROUP = 64


def _has_no_library(task: Task) -> bool:
    """Whole and complex numbers, and more axes than cuDNN's convolutions have."""
    return not jnp.issubdtype(task.dtype, jnp.floating) or len(task.geometry) > 3


def _has_thin_groups(task: Task) -> bool:
    return task.groups > 1 and task.x_channels_per_group * task.y_channels_per_group <= 4


def _has_thin_groups_and_few_taps(task: Task) -> bool:
    return _has_thin_groups(task) and math.prod(task.geometry.kernel) <= MOST_TAPS_OF_A_THIN_GROUP


def _is_grouped(task: Task) -> bool:
    return task.groups > 1


def _has_narrow_groups(task: Task) -> bool:
    """Of which two and more fill a matrix unit's tile."""
    wide = max(task.x_channels_per_group, task.y_channels_per_group)
    return task.groups > 1 and 2 * wide <= LANES


def _has_narrow_groups_in_float32(task: Task) -> bool:
    return _has_narrow_groups(task) and not task.is_half


def _is_dilated_and_strided(task: Task) -> bool:
    return any(a.stride > 1 for a in task.geometry) and any(a.dilation > 1 for a in task.geometry)


def _has_large_stride_and_few_channels(task: Task) -> bool:
    few = min(task.x_channels, task.y_channels) < 32
    return few and max(task.geometry.stride) >= 8


def _has_kernel_beyond_input(task: Task) -> bool:
    """On every axis, with several taps a phase: XLA takes it for a convolution by x."""
    g = task.geometry
    overlapping = any(len(a.blocks) > 1 for a in g)
    return overlapping and all(a.kernel > a.x_size for a in g)


def _is_volume(task: Task) -> bool:
    return len(task.geometry) == 3


def _is_volume_without_overlap(task: Task) -> bool:
    pairs = [(a.kernel, a.stride, a.dilation) for a in task.geometry]
    return _is_volume(task) and all(k == s and d == 1 for k, s, d in pairs)


def _is_volume_of_equal_phases(task: Task) -> bool:
    g = task.geometry
    whole = all(a.kernel % a.stride == 0 for a in g) and any(a.stride > 1 for a in g)
    return _is_volume(task) and whole and subpixel.possible(g)


def _is_strided_volume(task: Task) -> bool:
    return _is_volume(task) and any(a.stride > 1 for a in task.geometry)


def _is_strided_signal_of_halves(task: Task) -> bool:
    g = task.geometry
    return len(g) == 1 and task.is_half and g.stride[0] > 1


# First match wins.
GPU_RULES = (
    # compiled, not run: of complex64 "dilated" makes three convolutions with inserted zeros
    Rule(
        "gemm",
        _has_no_library,
        "cuDNN has no such convolution, and a matrix product can be had",
        platforms=GPUS,
    ),
    # depthwise k4 s2, 16x64x64x64: 52, 40 (dense 55, 55; dilated 1285, 447)
    Rule(
        "taps",
        _has_thin_groups,
        "groups too thin for a matrix product: one fused loop",
        sides=("dgrad", "fprop"),
        platforms=GPUS,
    ),
    # the same: 54 (taps 219, dilated 432, gemm 882)
    Rule(
        "dense",
        _has_thin_groups_and_few_taps,
        "thin groups joined until they fill the matrix unit",
        sides=("wgrad",),
        platforms=GPUS,
    ),
    # 128 -> 128 in 4 groups, k4 s2, 64x32x32: 73 (dilated 200, phases 222); float32 146 (348, 325)
    Rule(
        "dense",
        _has_narrow_groups,
        "cuDNN's gradient is not called with groups: they are joined until they fill the matrix "
        "unit",
        sides=("dgrad",),
        platforms=GPUS,
    ),
    # the same in float32: 194 (dilated 308); in bfloat16 71 (59)
    Rule(
        "dense",
        _has_narrow_groups_in_float32,
        "groups joined until they fill the matrix unit",
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
    # 128 -> 64, k3 s2 d2: 49, 47, 101 (dilated 145, 70, 3933, gemm 108, 95, 103)
    Rule(
        "phases",
        _is_dilated_and_strided,
        "dilated and strided: no inserted zero is multiplied",
        platforms=GPUS,
    ),
    # 21 -> 21, k64 s32, 16x16: 64, 56, 52 (phases 73, 78, 79, dilated 13550, 1200, 526)
    Rule(
        "gemm",
        _has_large_stride_and_few_channels,
        "few channels and a large kernel, which cuDNN is slow at",
        platforms=GPUS,
    ),
    # the same layer's dgrad
    Rule(
        "gemm",
        _has_kernel_beyond_input,
        "a kernel larger than the input, which XLA takes for a convolution by the input",
        sides=("dgrad",),
        platforms=GPUS,
    ),
    # 128 -> 64, k2 s2, 2x32x32x32: 79, 71, 76 (dilated 175, 166, 175)
    Rule(
        "gemm",
        _is_volume_without_overlap,
        "cuDNN would have a volume's channels first, and so two passes more",
        platforms=GPUS,
    ),
    # 64 -> 32, k4 s2, 2x32x32x32: 151 (dilated 181); but k3 s2: 308 (130)
    Rule(
        "phases",
        _is_volume_of_equal_phases,
        "a volume whose phases are one convolution, with more channels and less space",
        sides=("dgrad",),
        platforms=GPUS,
    ),
    # the same: 107 (phases 162, dilated 232); k3 s2: 96 (139). wgrad 178 (185), k3 s2: 166 (132)
    Rule(
        "fold",
        _is_strided_volume,
        "a strided volume as a batch of images, which cuDNN takes with channels last",
        sides=("fprop",),
        platforms=GPUS,
    ),
    # 128 -> 64, k4 s2, 51200 samples: 32, 34 (dilated 44, 44); but dgrad 43 (26)
    Rule(
        "gemm",
        _is_strided_signal_of_halves,
        "a signal of half floats, whose columns are half as long as they are in float32",
        sides=("fprop", "wgrad"),
        platforms=GPUS,
    ),
    # 128 -> 64, k2 s2, 320x480: 72, 46, 57 (gemm 92, 87, 95), float32 135, 68, 89 (154, 145, 152);
    # 128 -> 64, k4 s2, 64x16x16: 37, 41, 43 (48, 36, 40); 2048 -> 256, k4 s2, 32x8x6: 63, 61, 53
    # (58, 77, 59); k7 s1, 16x64x64: 77, 76, 144 (459, 788, 788)
    Rule(
        "dilated",
        lambda task: True,
        "one call of cuDNN, which moves each number once",
        platforms=GPUS,
    ),
)
