"""The static choice, as a table: each rule with the measurement that justifies it."""

from __future__ import annotations

import math

from jax import lax

from jtconv.algorithms import fft
from jtconv.algorithms.common import im2col, subpixel, xla_conv
from jtconv.dispatch.gpu_rules import GPU_RULES
from jtconv.dispatch.rule import Rule
from jtconv.dispatch.tpu_rules import TPU_RULES
from jtconv.problem.task import Cost, Task

# A method is passed over where it would hold more than this many times its operands, and more
# than a cache.
MOST_TIMES = 8
CACHE_BYTES = 16 * 2**20


def holds_too_much(task: Task, cost: Cost) -> bool:
    """Whether a method of this cost would need memory out of proportion."""
    return cost.temporary_bytes > max(MOST_TIMES * task.operand_bytes, CACHE_BYTES)


# Kernels of fewer taps are no case for transforms, whatever else.
MANY_TAPS = 256
DEFAULT_PRECISION = (None, lax.Precision.DEFAULT)


def _sums_far_more_taps(task: Task) -> bool:
    """Useful products many times the arithmetic of transforms, the more the better they run.

    Transforms spread what is not finite and round relative to the largest numbers, so they are for
    problems where all else would take some eight times as long, and for nobody who asked for a
    precision.  Products of wide groups are matrix products, several times as fast.
    """
    times = 8 if task.x_channels_per_group * task.y_channels_per_group <= 4 else 32
    return _has_fewer_products_by_transforms(task, times)


def _has_fewer_products_by_transforms(task: Task, times: int = 2) -> bool:
    if math.prod(task.geometry.kernel) < MANY_TAPS or task.precision not in DEFAULT_PRECISION:
        return False
    return task.multiply_adds >= times * fft.cost(task).multiply_adds


def _has_thin_groups(task: Task) -> bool:
    """A channel or two a group; kernel gradients keep sums per block of taps, so few blocks."""
    few = task.side != "wgrad" or task.geometry.block_count <= 16
    return few and task.x_channels_per_group * task.y_channels_per_group <= 4


def _has_few_x_channels(task: Task) -> bool:
    """Few channels of x against those of a block of y: im2col of x is less to write than of y."""
    g, c = task.geometry, task.x_channels_per_group
    few = c <= 32 and 4 * c <= math.prod(g.stride) * task.y_channels_per_group
    gathered = subpixel.possible(g) and subpixel.taps(g) <= subpixel.MOST_TAPS
    return gathered and few and task.im2col_bytes > 4 * 2**20


def _has_many_taps(task: Task) -> bool:
    """Two axes or more, many taps a phase, and fewer copies along one axis than along all."""
    g, least = task.geometry, 16 if task.side == "fprop" else 9
    most = subpixel.MOST_TAPS
    if len(g) == 1 or not subpixel.possible(g) or not least <= subpixel.taps(g) <= most:
        return False
    return subpixel.mec_elements(task) < task.im2col_elements


def _is_long(task: Task) -> bool:
    """A long signal: one axis, undilated, of which im2col would copy every cell many times."""
    g = task.geometry
    return len(g) == 1 and subpixel.possible(g) and task.rows >= 2048


def _is_library_convolution(task: Task) -> bool:
    """One or two axes, one group, float32."""
    return task.groups == 1 and len(task.geometry) <= 2 and task.dtype.name == "float32"


def _is_wide_library_convolution(task: Task) -> bool:
    wide = task.x_channels_per_group >= 64
    return _is_library_convolution(task) and wide and _outgrows_cache(task)


def _is_stride1_library_convolution(task: Task) -> bool:
    g = task.geometry
    stride1 = all(a.stride == a.dilation == 1 for a in g)
    large = _outgrows_cache(task) or math.prod(g.kernel) > subpixel.MOST_TAPS
    return _is_library_convolution(task) and stride1 and large


def _has_heavy_kernel(task: Task) -> bool:
    """Some tens of rows, not more, and a kernel that XLA's library reads without a transpose."""
    heavy = task.w_elements * task.dtype.itemsize >= im2col.HEAVY_BYTES and 32 < task.rows <= 96
    return _is_library_convolution(task) and heavy and xla_conv.is_custom_transposed(task)


def _outgrows_cache(task: Task) -> bool:
    """im2col too large for it."""
    return task.im2col_bytes > CACHE_BYTES


def _inserts_no_zeros(task: Task) -> bool:
    """Whether XLA's convolution would multiply useful numbers only."""
    stride1 = all(a.stride == 1 for a in task.geometry)
    return task.side == "fprop" or (task.side == "dgrad" and stride1)


# First match wins. Times are float32 medians on 2 cores, jax 0.10.2, of one side at a time;
# `python -m bench --sides` measures such cases again.
RULES = (
    # one channel, k40, 60x60: 0.08 ms (phases 1.0, scipy.signal.fftconvolve 0.11 to 0.23); k65,
    # 128x128: 0.16 (phases 12); k100, 150x150: 0.5 (24); 1-D k1024, 16384: 0.3 (8.0)
    # depthwise k31, 64x64, 64 channels: 3.4 (phases 58), 3.3 (40), 3.7 (42); 8 -> 8, 1-D k512,
    # 4096: 0.8 (6.9)
    Rule(
        "fft",
        _sums_far_more_taps,
        "so many taps that transforms need a small part of the arithmetic (errors are relative to "
        "the largest numbers, inf and NaN spread: name a method or a precision to do without)",
    ),
    # depthwise k4 s2, 2x64x64x64: dgrad 0.4 ms (gemm 0.8, phases 29), wgrad 3.3 (gemm 31)
    # depthwise k7 s1, 32x32x16: fprop 0.1 ms (gemm 1.1), but wgrad 1.3 (phases 0.5)
    Rule("taps", _has_thin_groups, "groups too thin for a matrix product: one fused loop"),
    # 21 -> 21, k16 s8, 35x35: dgrad 3.9 ms (gemm 9.3), fprop 5.9 (21), wgrad 11 (21)
    # 21 -> 21, k64 s32, 8x8: 7.8 (27), 13 (30), 8.0 (23); 128 -> 128 in 4 groups: 2.1 (2.8)
    Rule(
        "phases",
        _has_few_x_channels,
        "few channels in a group of x: im2col of x is small, that of y is not",
    ),
    # 128 -> 64, k8 s4, 3000 samples: fprop 3.5 ms (gemm 4.8); k4 s2, 4x2048: 5.0 (6.2)
    Rule(
        "phases",
        _is_long,
        "a long signal: each sample is read once, not once for every position of x that reads it",
        sides=("fprop",),
    ),
    # 128 -> 64, k4 s2, 64x16x16: fprop 26 ms (gemm 38); 2x16384, 1-D: 13 ms (gemm 37)
    Rule(
        "dilated",
        _is_wide_library_convolution,
        "a large strided convolution, which XLA's library does without im2col",
        sides=("fprop",),
    ),
    # 64 -> 64, k7 s1, 32x32: dgrad 3.6 ms (gemm 4.9), fprop 4.5 (6.1), wgrad 4.3 (6.7); in
    # bfloat16 1.6 (4.3), 1.5 (3.5), 1.7 (2.9); k10 s2, 24x24, 32 -> 32: 1.6 (2.9), 1.5 (2.0)
    Rule(
        "phases",
        _has_many_taps,
        "many taps a phase: copies of x and of y along one axis each, not of one along all",
    ),
    # 128 -> 128, k3 s1, 2x64x64: dgrad 14 ms (gemm 25), fprop 16 (21); 64 -> 3, k9 s1, 96x96:
    # 5.0, 4.2; 3 -> 64, k7 s1, 2x64x64: dgrad 1.7 (35)
    Rule(
        "dilated",
        _is_stride1_library_convolution,
        "a large convolution of stride 1, which XLA's library does without im2col",
        sides=("dgrad", "fprop"),
    ),
    # 768 -> 384, k16 s8, 64 samples: 7.4 ms (gemm 9.2); 512 -> 256, 75 samples: 3.7 (4.3)
    Rule(
        "dilated",
        _has_heavy_kernel,
        "a kernel that outweighs all else, which XLA's library reads without a transpose",
        sides=("dgrad",),
    ),
    # 256 -> 128, k3 s2, 2x32x32: dgrad 8.4 ms (phases 17), wgrad 11; 3-D k2 s2: 1.5 ms (phases 1.4)
    Rule("gemm", lambda task: True, "one matrix product and one pass, no zero multiplied"),
    # What follows is for kernels of very many taps, where the others would compile for long.
    Rule("phases", lambda task: True, "gemm refuses, and no zero is multiplied"),
    Rule("dilated", _inserts_no_zeros, "a plain convolution; the others refuse"),
    # 1-D k256, 16384, one channel, wgrad: 0.3 ms (scatter 18); k1024 s4, 4096: 7.0 (128)
    Rule(
        "fft",
        _has_fewer_products_by_transforms,
        "the others refuse, and transforms need less arithmetic (errors are relative to the "
        "largest numbers, inf and NaN spread: name a method or a precision to do without)",
    ),
    *TPU_RULES,
    *GPU_RULES,
    Rule("dilated", lambda task: True, "XLA's own convolution (assumed)", platforms=("other",)),
)
