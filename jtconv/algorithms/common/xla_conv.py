"""XLA's own convolution: how to ask for it, and what it costs.

A convolution whose pads are partly negative is cropped first: XLA:CPU reads foreign memory where
one convolution pads with one sign in front and the other behind.
"""

from __future__ import annotations

import jax
from jax import lax

from jtconv.algorithms.common import arrays
from jtconv.problem.layout import adjoint_kernel
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


def strided(y: jax.Array, w: jax.Array, task: Task) -> jax.Array:
    """fprop, ``y, w -> x``, as ``conv_general_dilated`` with window strides."""
    g = task.geometry
    cut, pads = split_pads(g.crops)
    return lax.conv_general_dilated(
        arrays.pad_space(y, cut),
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
    waste = 1.0
    for axis in task.geometry:
        waste *= axis.y_size * axis.kernel / max(axis.multiply_adds, 1)
    return Cost(round(task.multiply_adds * waste), 0)


def _is_backward_data(task: Task) -> bool:
    """What XLA:GPU makes a backward-data call of cuDNN or MIOpen of.

    ``MatchBackwardInput`` in ``xla/backends/gpu/transforms/conv_rewriter.cc``: one group, no
    dilation, and a padding of the forward convolution that is not negative.
    """
    plain = task.groups == 1 and len(task.geometry) <= 3
    padded = all(a.dilation == 1 and a.lo >= 0 and a.hi > -a.stride for a in task.geometry)
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
