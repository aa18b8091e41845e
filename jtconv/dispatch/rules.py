"""The static choice, as a table: each rule with the measurement that justifies it."""

from __future__ import annotations

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


OTHERS = ("cuda", "rocm", "other")  # accelerators besides TPUs


def _has_thin_groups(task: Task) -> bool:
    """A channel or two a group; kernel gradients keep sums per block of taps, so few blocks."""
    few = task.side != "wgrad" or task.geometry.block_count <= 16
    return few and task.x_channels_per_group * task.y_channels_per_group <= 4


def _is_library_kernel(task: Task) -> bool:
    """What cuDNN has fast kernels for: one or two axes, one group, undilated, overlapping."""
    overlapping = any(len(a.blocks) > 1 for a in task.geometry)
    undilated = all(a.dilation == 1 for a in task.geometry)
    return task.groups == 1 and len(task.geometry) <= 2 and undilated and overlapping


# First match wins. CPUs have a model instead (`dispatch.model`).
RULES = (
    *TPU_RULES,
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
