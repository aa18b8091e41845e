"""The static choice on TPUs.

Nothing was run: figures are microseconds on a v5e in bfloat16 unless said, dgrad, fprop and wgrad
in this order, by what the compiler wrote, as ``python -m bench --compile v5e`` counts it.
``bench/README.md`` says what that does not see.
"""

from __future__ import annotations

from jtconv.algorithms.common import subpixel
from jtconv.dispatch.rule import Rule
from jtconv.problem.task import LANES, SUBLANES, Task


def _is_depthwise(task: Task) -> bool:
    """A channel in and one out, in every group."""
    return task.x_channels_per_group == task.y_channels_per_group == 1


def _has_narrow_groups(task: Task) -> bool:
    """Groups of at most half the lanes, so that two fit where one is."""
    wide = max(task.x_channels_per_group, task.y_channels_per_group)
    return task.groups > 1 and 2 * wide <= LANES


def _has_large_stride_and_few_channels(task: Task) -> bool:
    """Zeros that XLA:TPU does multiply: a stride of 8 and more, and lanes that are mostly idle.

    Without zeros inserted, only where the batch is too small to fill a tile's rows, and up to as
    many phases as compile in a minute.  Phases that read different inputs are as many convolutions.
    """
    least, most = sorted((task.x_channels_per_group, task.y_channels_per_group))
    stride = max(task.geometry.stride)
    if stride < 8 or task.groups > 1 or not subpixel.possible(task.geometry):
        return False
    if task.side == "dgrad":
        return least < 32
    return most < 32 and task.batch < SUBLANES and stride <= 16


def _makes_an_image(task: Task) -> bool:
    """To a channel or four, such as RGB; or to eight, where all phases read the same inputs."""
    strided = max(task.geometry.stride) > 1
    most = 8 if subpixel.possible(task.geometry) else 4
    return strided and task.y_channels <= most and task.groups == 1


def _is_small_volume(task: Task) -> bool:
    """Three axes and few examples: few channels, overlap (dgrad), or much space (fprop)."""
    g = task.geometry
    if len(g) != 3 or task.groups > 1 or task.batch > SUBLANES:
        return False
    overlapping = any(len(a.blocks) > 1 for a in g)
    few = task.y_channels <= 16 and task.batch < SUBLANES
    if task.side == "fprop":
        large = task.batch < SUBLANES and task.rows >= 8192
        return large or (few and not overlapping)
    return few or (task.side == "dgrad" and overlapping)


def _is_deep_signal(task: Task) -> bool:
    """One axis, many channels and fewer examples than a TPU's tile has rows."""
    if len(task.geometry) != 1 or task.batch >= SUBLANES:
        return False
    if task.side == "wgrad":
        return task.x_channels >= 512 and (task.groups > 1 or task.rows <= 4096)
    return task.x_channels >= (256 if task.side == "dgrad" else LANES) and task.batch <= 2


# First match wins.
TPU_RULES = (
    # depthwise k4 s2, 16x64x64x64: 126 on all sides, the time its bytes take (taps 3103, 2882, 525)
    Rule(
        "dilated",
        _is_depthwise,
        "one channel a group, for which XLA:TPU has a loop of its own (counted, not run)",
        platforms=("tpu",),
    ),
    # 768 -> 384, k16 s8, 1x860: 83, 55, 58 (dilated 223, 64, 120); between two convolutions 64, 41,
    # 43 (205, 45, 887). 512 -> 256, 1x800: 35, 24, 28 (108, 26, 51). With batch 4: wgrad 128 (97),
    # but between two convolutions 89 (3563). 512 -> 192 in 4 groups, k2 s2, 2x4193: 60, 61
    # (96, 66). 256 -> 128, k16 s8, 1x6400: dgrad 85 (196); 128 -> 64, k4 s2, 1x51200:
    # fprop 117 (229). But wgrad of 768 -> 384, 1x6880: 650 (429)
    Rule(
        "gemm",
        _is_deep_signal,
        "a deep signal of few examples, which XLA:TPU would cut into pieces (counted, not run)",
        platforms=("tpu",),
    ),
    # 64 -> 32, k4 s2, 2x16x16x16: dgrad 153 (dilated 271); 512 -> 21, k4 s2, 8x15x4x10: 120 (303).
    # 64 -> 32, k4 s2, 2x32x32x32: 942, 430 (1500, 1200); 128 -> 64, k2 s2: fprop 348 (1238), but
    # dgrad 1440 (1187) and wgrad 320 (229). On a v6e in float32, 384 -> 8, k2 s2,
    # 2x12x17x20: 19, 21, 16 (46, 50, 35); in bfloat16 256 -> 16, k4 s2, 4x19x6x6: 23, 12, 12
    # (30, 8, 13)
    Rule(
        "fold",
        _is_small_volume,
        "three axes and few examples: the first axis gives more of them (counted, not run)",
        platforms=("tpu",),
    ),
    # 128 -> 128 in 4 groups, k4 s2, 64x32x32: 182, 181, 162 (dilated 1907, 574, 686); in 32 groups,
    # 256 -> 256, 8x28x28: 115, 113, 55 (1365, 1073, 1150). But 96 -> 384 in 4 groups, k7 s1: 134
    # (74), so no groups of more than 64 channels
    Rule(
        "dense",
        _has_narrow_groups,
        "groups joined until they fill the matrix unit (counted, not run)",
        platforms=("tpu",),
    ),
    # 768 -> 3, k16 s16, 8x14x14: dgrad 180 (dilated 30112); 21 -> 21, k16 s8, 70x70: 586, 298, 751
    # (more than 40 s to compile, 588, 1075); but fprop of 3 -> 21 with batch 16: 1311 (535), and
    # 21 -> 384, k16 s8 dilated twice, 1x14x26: dgrad 430 (321)
    Rule(
        "phases",
        _has_large_stride_and_few_channels,
        "few channels and a large stride, whose zeros XLA:TPU multiplies (counted, not run)",
        platforms=("tpu",),
    ),
    # 64 -> 3, k4 s2, 64x32x32: 42 (dilated 80); on a v6e 96 -> 3, 64x11x18x12: 119 (1103), and in
    # float32 32 -> 8, k4 s2, 64x45x40: 67 (83)
    Rule(
        "phases",
        _makes_an_image,
        "all phases of an image fill lanes that three channels do not (counted, not run)",
        sides=("dgrad",),
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
)
