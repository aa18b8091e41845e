"""The static choice, as a table: each rule with the measurement that justifies it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from jtconv.methods import Cost, Side, Task, library, merged, stamps


@dataclass(frozen=True)
class Rule:
    """One line of the static choice: on these platforms and sides, when this holds."""

    method: str
    when: Callable[[Task], bool]
    reason: str
    sides: tuple[Side, ...] = ("dgrad", "fprop", "wgrad")
    platforms: tuple[str, ...] = ("cpu",)

    def fits(self, task: Task) -> bool:
        """Whether this rule speaks of ``task``."""
        return task.platform in self.platforms and task.side in self.sides and self.when(task)


# A method is passed over where it would hold more than this many times its operands, and more
# than a cache.
MOST_TIMES = 8
CACHE_BYTES = 16 * 2**20


def holds_too_much(task: Task, cost: Cost) -> bool:
    """Whether a method of this cost would need memory out of proportion."""
    return cost.temporary_bytes > max(MOST_TIMES * task.operand_bytes, CACHE_BYTES)


ACCELERATORS = ("cuda", "rocm", "tpu", "other")


def _is_thin(task: Task) -> bool:
    """A channel or two a group; kernel gradients keep sums per block of taps, so few blocks."""
    few = task.side != "wgrad" or task.geometry.block_count <= 16
    return few and task.depth * task.width <= 4


def _is_narrow(task: Task) -> bool:
    """Few channels against what a cell of y holds: patches of x are less to write than stamps."""
    g = task.geometry
    narrow = task.depth <= 32 and 4 * task.depth <= math.prod(g.stride) * task.width
    gathered = merged.possible(g) and merged.taps(g) <= merged.MOST_TAPS
    return gathered and narrow and task.stamp_bytes > 4 * 2**20


def _has_many_taps(task: Task) -> bool:
    """Two axes or more, many taps a phase, and fewer copies along one axis than stamps."""
    g, least = task.geometry, 16 if task.side == "fprop" else 9
    if len(g) == 1 or not merged.possible(g) or not least <= merged.taps(g) <= merged.MOST_TAPS:
        return False
    return merged.copies(task) * task.accumulator.itemsize < task.stamp_bytes


def _is_long(task: Task) -> bool:
    """A long signal: one axis, undilated, whose cells are read once and added up as patches."""
    g = task.geometry
    return len(g) == 1 and merged.possible(g) and task.batch * g.input[0] >= 2048


def _is_library_convolution(task: Task) -> bool:
    """One or two axes, one group, float32."""
    return task.groups == 1 and len(task.geometry) <= 2 and task.dtype.name == "float32"


def _is_wide_library_convolution(task: Task) -> bool:
    return _is_library_convolution(task) and task.depth >= 64 and _outgrows_cache(task)


def _is_unit_library_convolution(task: Task) -> bool:
    g = task.geometry
    unit = all(a.stride == a.dilation == 1 for a in g)
    large = _outgrows_cache(task) or math.prod(g.kernel) > merged.MOST_TAPS
    return _is_library_convolution(task) and unit and large


def _has_heavy_kernel(task: Task) -> bool:
    """Some tens of rows, not more, meet a kernel that XLA's library reads as it lies."""
    rows = task.batch * math.prod(task.geometry.input)
    heavy = task.w_size * task.dtype.itemsize >= stamps.HEAVY_BYTES and 32 < rows <= 96
    return _is_library_convolution(task) and heavy and library.sums_stamps(task)


def _outgrows_cache(task: Task) -> bool:
    """Stamps, or patches, too large for it."""
    return task.stamp_bytes > CACHE_BYTES


def _inserts_no_zeros(task: Task) -> bool:
    """Whether XLA's convolution would multiply useful numbers only."""
    unit = all(a.stride == 1 for a in task.geometry)
    return task.side == "fprop" or (task.side == "dgrad" and unit)


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
    Rule("taps", _is_thin, "groups too thin for a matrix product: one fused loop"),
    # 21 -> 21, k16 s8, 35x35: dgrad 3.9 ms (gemm 9.3), fprop 5.9 (21), wgrad 11 (21)
    # 21 -> 21, k64 s32, 8x8: 7.8 (27), 13 (30), 8.0 (23); 128 -> 128 in 4 groups: 2.1 (2.8)
    Rule(
        "phases", _is_narrow, "few channels in a group of x: its patches are small, stamps are not"
    ),
    # 128 -> 64, k8 s4, 3000 samples: fprop 3.5 ms (gemm 4.8); k4 s2, 4x2048: 5.0 (6.2)
    Rule(
        "phases",
        _is_long,
        "a long signal: each sample is read once, not once for every stamp that covers it",
        sides=("fprop",),
    ),
    # 128 -> 64, k4 s2, 64x16x16: fprop 26 ms (gemm 38); 2x16384, 1-D: 13 ms (gemm 37)
    Rule(
        "dilated",
        _is_wide_library_convolution,
        "a large strided convolution, which XLA's library does without writing patches",
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
        _is_unit_library_convolution,
        "a large convolution of stride 1, which XLA's library does without writing patches",
        sides=("dgrad", "fprop"),
    ),
    # 768 -> 384, k16 s8, 64 samples: 7.4 ms (gemm 9.2); 512 -> 256, 75 samples: 3.7 (4.3)
    Rule(
        "dilated",
        _has_heavy_kernel,
        "a kernel that outweighs all else, which XLA's library reads as it lies",
        sides=("dgrad",),
    ),
    # 256 -> 128, k3 s2, 2x32x32: dgrad 8.4 ms (phases 17), wgrad 11; 3-D k2 s2: 1.5 ms (phases 1.4)
    Rule("gemm", lambda task: True, "one matrix product and one pass, no zero multiplied"),
    # What follows is for kernels of very many taps, where the others would compile for long.
    Rule("phases", lambda task: True, "gemm refuses, and no zero is multiplied"),
    Rule("dilated", _inserts_no_zeros, "a plain convolution; the others refuse"),
    # Accelerators: from the compilers' sources, not from measurements of ours.
    Rule(
        "taps",
        _is_thin,
        "groups too thin for a matrix product: one fused loop (not measured here)",
        platforms=ACCELERATORS,
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
        platforms=("tpu", "other"),
    ),
    Rule(
        "gemm",
        lambda task: True,
        "grouped, 3-D, dilated or not overlapping: matrix products (not measured here)",
        platforms=ACCELERATORS,
    ),
)
