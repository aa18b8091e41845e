"""XLA's own convolution: how to ask for it, which faults of it to stay clear of, what it costs.

A convolution whose pads are partly negative is cropped first: XLA:CPU reads foreign memory where
one convolution pads with one sign in front and the other behind.

Where the kernel has more cells than the input XLA swaps the operands of a convolution without
groups, and leaves axes alone that it takes for groups: undilated, unpadded, their base dilation the
kernel's size and their stride one less (``conv_operand_swapper.cc``).  With inserted zeros these
are the axes of kernel and stride 2, and XLA ends the process when it checks the sizes of what it
made.  Such an axis is padded, and its output cropped.
"""

from __future__ import annotations

import math

import jax
from jax import lax

from jtconv.algorithms.common import arrays
from jtconv.problem.geometry import Axis
from jtconv.problem.layout import adjoint_kernel
from jtconv.problem.symbolic import at_least, is_symbolic
from jtconv.problem.task import Cost, Task

_SPACE = "DHWT"


def dimension_numbers(task: Task, lhs: str, rhs: str, out: str) -> lax.ConvDimensionNumbers:
    """Dimension numbers from three strings in which ``_`` stands for the spatial axes."""
    rank = len(task.geometry)
    specs = tuple(spec.replace("_", _SPACE[:rank]) for spec in (lhs, rhs, out))
    dummy = (1,) * (rank + 2)
    return lax.conv_dimension_numbers(dummy, dummy, specs)


def element_type(task: Task) -> jax.typing.DTypeLike | None:
    """The dtype to ask XLA for: its convolutions of half floats sum in float32 unasked."""
    rounds_at_once = task.is_half and task.result_dtype == task.dtype
    return None if rounds_at_once else task.accumulator


def split_pads(pads: arrays.Pads) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Pads as cells to cut off (all <= 0) and zeros to add (all >= 0)."""
    cut = [(min(lo, 0), min(hi, 0)) for lo, hi in pads]
    return cut, [(max(lo, 0), max(hi, 0)) for lo, hi in pads]


def has_unknown_pads(pads: arrays.Pads) -> bool:
    """Whether pads depend on a symbolic size, so that their signs are not known."""
    return any(is_symbolic(lo) or is_symbolic(hi) for lo, hi in pads)


def crop_first(y: jax.Array, pads: arrays.Pads) -> tuple[jax.Array, list[tuple[int, int]]]:
    """``y`` without what negative pads cut off, and the pads that are left.

    Where a crop is longer than ``y``, or nobody knows before sizes are numbers, all is written out,
    behind a barrier: XLA would fold it back.
    """
    if not has_unknown_pads(pads):
        cut, zeros = split_pads(pads)
        left = [n + lo + hi for n, (lo, hi) in zip(y.shape[1:-1], cut, strict=True)]
        if all(at_least(n, 1) for n in left):
            return arrays.pad_space(y, cut), zeros
    return lax.optimization_barrier(arrays.pad_space(y, pads)), [(0, 0)] * len(pads)


def is_taken_for_groups(axis: Axis, task: Task) -> bool:
    """Whether XLA's swap of operands would misread this axis of a dgrad with inserted zeros."""
    halves = axis.kernel == axis.stride == 2 and axis.dilation == 1
    return task.groups == 1 and halves and axis.crops == (1, 1)


def strided(y: jax.Array, w: jax.Array, task: Task) -> jax.Array:
    """fprop, ``y, w -> x``, as ``conv_general_dilated`` with window strides."""
    g = task.geometry
    y, pads = crop_first(y, g.crops)
    return lax.conv_general_dilated(
        y,
        adjoint_kernel(w, g.groups),
        window_strides=g.stride,
        padding=pads,
        rhs_dilation=g.dilation,
        dimension_numbers=dimension_numbers(task, "N_C", "_IO", "N_C"),
        feature_group_count=g.groups,
        precision=task.precision,
        preferred_element_type=element_type(task),
    )


def cost(task: Task) -> Cost:
    """What XLA multiplies depends on the platform, and on whether it finds a form it knows.

    Zeros inserted between the cells of x are numbers like any other, but for two forms of dgrad:
    the one that XLA:GPU hands to cuDNN, and the one that XLA:CPU computes as a matrix product and
    col2im.
    """
    if task.side != "dgrad" or _is_backward_data(task):
        return Cost(task.multiply_adds, 0)
    if is_custom_transposed(task):
        columns = task.im2col_elements
        return Cost(columns * task.x_channels_per_group, 4 * columns)
    per_cell = math.prod(task.geometry.kernel) * task.x_channels_per_group
    return Cost(task.y_elements * per_cell, 0)


def _is_backward_data(task: Task) -> bool:
    """What XLA:GPU makes a backward-data call of cuDNN or MIOpen of.

    ``MatchBackwardInput`` in ``xla/backends/gpu/transforms/conv_rewriter.cc``: one group, no
    dilation, and a padding of the forward convolution that is not negative.
    """
    plain = task.groups == 1 and len(task.geometry) <= 3
    padded = all(
        a.dilation == 1 and at_least(a.lo, 0) and at_least(a.hi, 1 - a.stride)
        for a in task.geometry
    )
    return task.platform in ("cuda", "rocm") and plain and padded


def is_custom_transposed(task: Task) -> bool:
    """What XLA:CPU computes as a matrix product and col2im.

    ``CanUseCustomTransposedConv`` in ``xla/backends/cpu/runtime/convolution_lib.h``.
    """
    strided = any(a.stride > 1 for a in task.geometry)
    plain = task.groups == 1 and len(task.geometry) <= 2
    known = task.is_half or task.dtype.name == "float32"
    undilated = all(a.dilation == 1 for a in task.geometry)
    return task.platform == "cpu" and strided and plain and known and undilated
