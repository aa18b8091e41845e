"""The static choice, as a table: each rule with the measurement that justifies it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from jtconv.algorithms.common import im2col, subpixel, xla_conv
from jtconv.problem.task import Cost, Side, Task


@dataclass(frozen=True)
class Rule:
    """One line of the static choice: on these platforms and sides, when this holds."""

    method: str
    when: Callable[[Task], bool]
    reason: str
    sides: tuple[Side, ...] = ("dgrad", "fprop", "wgrad")
    platforms: tuple[str, ...] = ("cpu",)

    def fits(self, task: Task) -> bool:
        """Whether this rule applies to ``task``."""
        return task.platform in self.platforms and task.side in self.sides and self.when(task)


# A method is passed over where it would hold more than this many times its operands, and more
# than a cache.
MOST_TIMES = 8
CACHE_BYTES = 16 * 2**20


def holds_too_much(task: Task, cost: Cost) -> bool:
    """Whether a method of this cost would need memory out of proportion."""
    return cost.temporary_bytes > max(MOST_TIMES * task.operand_bytes, CACHE_BYTES)


OTHERS = ("cuda", "rocm", "other")


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


def _is_depthwise(task: Task) -> bool:
    """A channel in and one out, in every group."""
    return task.x_channels_per_group == task.y_channels_per_group == 1


def _has_groups(task: Task) -> bool:
    return task.groups > 1


def _has_large_stride_and_few_channels(task: Task) -> bool:
    """Zeros that XLA:TPU does multiply: a stride of 8 and more, and lanes that are mostly idle."""
    channels = sorted((task.x_channels_per_group, task.y_channels_per_group))
    few = channels[1] < 32 or (channels[0] < 32 and task.side != "wgrad")
    return max(task.geometry.stride) >= 8 and few and task.groups == 1


def _makes_an_image(task: Task) -> bool:
    """To a channel or four, such as RGB."""
    strided = max(task.geometry.stride) > 1
    return strided and task.y_channels <= 4 and task.groups == 1


def _is_small_volume(task: Task) -> bool:
    """Three axes, few examples, kernels that overlap."""
    g = task.geometry
    overlapping = any(len(a.blocks) > 1 for a in g)
    return len(g) == 3 and task.batch < 8 and overlapping and task.groups == 1


def _is_deep_signal(task: Task) -> bool:
    """One axis, many channels and fewer examples than a TPU's tile has rows."""
    few = task.batch == 1 if task.side == "dgrad" else task.batch < 8
    return len(task.geometry) == 1 and task.x_channels >= 512 and few and task.groups == 1


def _inserts_no_zeros(task: Task) -> bool:
    """Whether XLA's convolution would multiply useful numbers only."""
    stride1 = all(a.stride == 1 for a in task.geometry)
    return task.side == "fprop" or (task.side == "dgrad" and stride1)


def _is_library_kernel(task: Task) -> bool:
    """What cuDNN has fast kernels for: one or two axes, one group, undilated, overlapping."""
    overlapping = any(len(a.blocks) > 1 for a in task.geometry)
    undilated = all(a.dilation == 1 for a in task.geometry)
    return task.groups == 1 and len(task.geometry) <= 2 and undilated and overlapping


# First match wins. Times are float32 medians on 2 cores, jax 0.10.2, of one side at a time;
# `python -m bench --sides` measures such cases again.
RULES = (
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
    # TPUs: microseconds on a v5e, bfloat16, by the compiler's own count of cycles and bytes, as
    # `python -m bench --compile v5e` shows them; nothing was run.
    # depthwise k4 s2, 16x64x64x64: 126 on all sides, the time its bytes take (taps 3103, 2882, 525)
    Rule(
        "dilated",
        _is_depthwise,
        "one channel a group, for which XLA:TPU has a loop of its own (counted, not run)",
        platforms=("tpu",),
    ),
    # 128 -> 128 in 4 groups, k4 s2, 64x32x32: 182, 181, 162 (dilated 1907, 574, 686); in 32 groups,
    # 256 -> 256, 8x28x28: 115, 113, 55 (1365, 1073, 1150)
    Rule(
        "dense",
        _has_groups,
        "groups joined until they fill the matrix unit (counted, not run)",
        platforms=("tpu",),
    ),
    # 768 -> 3, k16 s16, 8x14x14: 180, 114 (dilated 30112, 141); 21 -> 21, k16 s8, 70x70: 586, 298,
    # 751 (more than 40 s to compile, 588, 1075)
    Rule(
        "phases",
        _has_large_stride_and_few_channels,
        "few channels and a large stride, whose zeros XLA:TPU multiplies (counted, not run)",
        platforms=("tpu",),
    ),
    # 64 -> 3, k4 s2, 64x32x32: 42 (dilated 80)
    Rule(
        "phases",
        _makes_an_image,
        "all phases of an image fill lanes that three channels do not (counted, not run)",
        sides=("dgrad",),
        platforms=("tpu",),
    ),
    # 64 -> 32, k4 s2, 2x16x16x16: 153 (dilated 271)
    Rule(
        "fold",
        _is_small_volume,
        "three axes and few examples: the first axis gives more of them (counted, not run)",
        sides=("dgrad",),
        platforms=("tpu",),
    ),
    # 768 -> 384, k16 s8, 1x860: 83 (dilated 223), 58 (120); between two convolutions 64 (205), 43
    # (887). 512 -> 256, 4x800: wgrad 128 (97), but between two convolutions 89 (3563)
    Rule(
        "gemm",
        _is_deep_signal,
        "a deep signal of few examples, which XLA:TPU would cut into pieces (counted, not run)",
        sides=("dgrad", "wgrad"),
        platforms=("tpu",),
    ),
    # 128 -> 64, k4 s2, 64x16x16: 45, 32, 32 (phases 75, 104, 308, gemm 714, 362, 398); k2 s2,
    # 8x64x64: 63 on all sides (265, 120, 167)
    Rule(
        "dilated",
        lambda task: True,
        "one convolution, in which XLA:TPU multiplies no inserted zero (counted, not run)",
        platforms=("tpu",),
    ),
    # Other accelerators: from the compilers' sources, not from measurements of ours.
    Rule(
        "taps",
        _has_thin_groups,
        "groups too thin for a matrix product: one fused loop (not measured here)",
        platforms=OTHERS,
    ),
    Rule(
        "dilated",
        _is_library_kernel,
        "the form XLA hands to the library, cuDNN or MIOpen (not measured here)",
        platforms=("cuda", "rocm"),
    ),
    Rule(
        "dilated",
        _is_library_kernel,
        "XLA's own convolution, which takes dilated operands as they are (not measured here)",
        platforms=("other",),
    ),
    Rule(
        "gemm",
        lambda task: True,
        "grouped, 3-D, dilated or not overlapping: matrix products (not measured here)",
        platforms=OTHERS,
    ),
)
