"""XLA's own convolution: how to ask for it, which faults of it to stay clear of, what it costs.

A convolution whose pads are partly negative is cropped first: XLA:CPU reads foreign memory where
one convolution pads with one sign in front and the other behind.

Where the kernel has more cells than the input XLA swaps the operands of a convolution without
groups, or of one that it made of groups, and leaves axes alone that it takes for groups: undilated,
unpadded, their base dilation the kernel's size and their stride one less
(``conv_operand_swapper.cc``).  With inserted zeros these are the axes of kernel and stride 2, and
XLA ends the process when it checks the sizes of what it made.  Such an axis is padded, and its
output cropped.
"""

from __future__ import annotations

import math
from dataclasses import replace

import jax
import jax.numpy as jnp
from jax import lax

from jtconv.algorithms.common import arrays
from jtconv.algorithms.common import work as count
from jtconv.algorithms.common.work import Work
from jtconv.devices import GPUS
from jtconv.problem.geometry import Axis, Geometry
from jtconv.problem.layout import adjoint_kernel
from jtconv.problem.symbolic import at_least, is_symbolic
from jtconv.problem.task import ROLES, Cost, Task

_SPACE = "DHWT"


MOST_AXES_ON_GPUS = 3


def refuse(task: Task, axes: int | None = None) -> str | None:
    """What XLA:GPU cannot hand to its library: an error of the compiler, or the process's end."""
    if task.platform not in GPUS:
        return None
    if jnp.issubdtype(task.dtype, jnp.integer):
        return f"the library on {task.platform} has no convolution of {task.dtype}"
    axes = len(task.geometry) if axes is None else axes
    if axes > MOST_AXES_ON_GPUS:
        return f"the library on {task.platform} has {MOST_AXES_ON_GPUS} spatial axes at most"
    return None


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


def is_taken_for_groups(axis: Axis) -> bool:
    """Whether XLA's swap of operands would misread this axis of a dgrad with inserted zeros."""
    halves = axis.kernel == axis.stride == 2 and axis.dilation == 1
    return halves and min(axis.crops) >= 1


def dgrad(x: jax.Array, w: jax.Array, task: Task) -> jax.Array:
    """dgrad, ``x, w -> y``: ``lhs_dilation = s`` and the flipped kernel."""
    g = task.geometry
    if not _is_heavy(task):
        return _lhs_dilated(x, lax.rev(w, range(len(g))), task)
    space = range(1, 1 + len(g))
    reversed_axes = Geometry(tuple(replace(a, lo=a.hi) for a in g), g.groups)
    y = _lhs_dilated(lax.rev(x, space), w, replace(task, geometry=reversed_axes))
    return lax.rev(y, space)


def fprop(y: jax.Array, w: jax.Array, task: Task) -> jax.Array:
    """fprop, ``y, w -> x``: ``window_strides = s``, the plain strided convolution."""
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


def wgrad(x: jax.Array, y: jax.Array, task: Task) -> jax.Array:
    """wgrad, ``x, y -> w``: ``rhs_dilation = s``, batch and channels exchanged."""
    g = task.geometry
    y, pads = crop_first(y, g.crops)
    w = lax.conv_general_dilated(
        y,
        x,
        window_strides=g.dilation,
        padding=pads,
        rhs_dilation=g.stride,
        dimension_numbers=dimension_numbers(task, "C_N", "I_O", "N_C"),
        batch_group_count=g.groups,
        precision=task.precision,
        preferred_element_type=element_type(task),
    )
    w = w.reshape(task.y_channels_per_group, *g.kernel, g.groups, task.x_channels_per_group)
    w = jnp.moveaxis(w, (-1, -2, 0), (-3, -2, -1))
    return w.reshape(*g.kernel, task.x_channels_per_group, task.y_channels)


def _is_heavy(task: Task) -> bool:
    """Whether the kernel is more to reverse than x and y, which give the same reversed both."""
    kernel_bytes = task.w_elements * task.dtype.itemsize
    known = task.platform == "cpu" and not task.geometry.is_symbolic
    return known and 2 * kernel_bytes > task.operand_bytes


def _lhs_dilated(x: jax.Array, flipped: jax.Array, task: Task) -> jax.Array:
    """Zeros between the cells of x, then a convolution with a kernel that is flipped already."""
    g = task.geometry
    whole = [(a.effective_kernel - 1,) * 2 for a in g]
    if has_unknown_pads(g.crops):  # the full output, and what is cropped from it
        cut, pads = [(-lo, -hi) for lo, hi in g.crops], whole
    else:
        cut, pads = split_pads(
            [(p - lo, p - hi) for (p, _), (lo, hi) in zip(whole, g.crops, strict=True)]
        )
        for number, axis in enumerate(g):
            if is_taken_for_groups(axis):
                cut[number], pads[number] = (-axis.lo, -axis.hi), whole[number]
    y = lax.conv_general_dilated(
        x,
        flipped,
        window_strides=(1,) * len(g),
        padding=pads,
        lhs_dilation=g.stride,
        rhs_dilation=g.dilation,
        dimension_numbers=dimension_numbers(task, "N_C", "_IO", "N_C"),
        feature_group_count=g.groups,
        precision=task.precision,
        preferred_element_type=element_type(task),
    )
    return arrays.pad_space(y, cut)


def spreads(task: Task) -> str:
    """The operand that meets zeros beside or between the cells of the other.

    Some of XLA's convolutions pass over these; which, differs from one compiler to the next.
    Groups may be made one, with zeros in the kernel between them.
    """
    pointwise = all(a.kernel == a.stride == 1 for a in task.geometry)
    if task.groups > 1 or task.side == "wgrad":
        return ROLES[task.side][:2]
    met = not task.geometry.has_misses and (task.side == "fprop" or pointwise)
    return "" if met else "w"


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


def work(task: Task, transposes: bool = False) -> Work:
    """By the way that XLA:CPU takes: YNNPACK, Eigen, or a loop of its own.

    ``ynn_support.cc`` and ``ir_emission_utils.cc`` in ``xla/backends/cpu`` decide which.
    ``transposes`` tells that dgrad's kernel is transposed and not only reversed.
    """
    g, c, o = task.geometry, task.x_channels_per_group, task.y_channels_per_group
    if not len(g):
        return _work_of_product(task)
    if task.side == "wgrad":
        return _work_of_wgrad(task)
    touched = count.total(count.CALL, {"read and written": task.x_elements + task.y_elements})
    taps = math.prod(g.kernel)
    if task.groups == 1 and taps > math.prod(g.y_size if task.side == "fprop" else g.x_size):
        return count.total(touched, _work_of_swapped(task))
    if task.side == "fprop":
        fits = all(max(a.x_size, a.effective_kernel) <= a.y_size for a in g)
        kernel = count.transposed(task.w_elements) if c * o > 1 else {}
        way = _way(task, fits)
        return count.total(touched, kernel, _convolved(way, task.rows, taps, o, c, task))
    if is_custom_transposed(task):
        columns = task.im2col_elements
        transposed = {
            "transposed convolution, products": columns * c,
            "transposed convolution, columns": columns,
            "transposed convolution, runs": columns / max(o, 1),
            "transposed convolution, kernel": task.w_elements,
        }
        return count.total(touched, transposed)
    fits = all(max(a.y_size, a.effective_kernel) <= a.x_size and a.stride == 1 for a in g)
    least = min(task.w_elements, task.x_elements + task.y_elements)
    kernel = count.transposed(task.w_elements) if transposes else count.moved("copied", least, o)
    positions = task.batch * math.prod(g.y_size)
    return count.total(touched, kernel, _convolved(_way(task, fits), positions, taps, c, o, task))


def _way(task: Task, fits: bool) -> str:
    """Who computes a convolution; ``fits`` tells that its result is not larger than its input."""
    g, known = task.geometry, task.is_half or task.dtype.name == "float32"
    inserted = task.side == "dgrad" and any(a.stride > 1 for a in g)
    apart = len(g) == 3 and (g.groups > 1 or inserted or any(a.dilation > 1 for a in g))
    if apart or len(g) > 3 or not known:
        return "plain loop"
    wide = max(task.x_channels, task.y_channels) > count.LANES
    if len(g) == 2 and fits and wide:
        return "YNNPACK"
    return "Eigen 3-D" if len(g) == 3 else "Eigen"


def _convolved(
    way: str, positions: count.Amount, taps: int, depth: int, width: int, task: Task
) -> Work:
    """``positions`` results, each the sum over ``taps`` of ``depth`` channels, ``width`` wide."""
    patches = positions * taps * task.groups
    if task.groups > 1 and way != "plain loop":
        way = f"{way} in groups"
    sums = {
        f"{way}, products": patches * depth * width,
        f"{way}, patches": patches * depth,
        f"{way}, runs": patches,
    }
    return count.total(sums, {f"{way}, groups": task.groups} if task.groups > 1 else {})


def _work_of_swapped(task: Task) -> Work:
    """Where the kernel has more cells than the input, XLA takes the one for the other."""
    if task.side == "fprop":
        met = task.x_elements * math.prod(task.geometry.y_size) * task.y_channels
    else:
        met = task.y_elements * math.prod(task.geometry.x_size) * task.x_channels
    return {"swapped operands, products": met, "swapped operands, kernel": task.w_elements}


def _work_of_wgrad(task: Task) -> Work:
    """A convolution whose batch are channels, and whose channels are the batch."""
    g, c = task.geometry, task.x_channels_per_group
    patches = task.im2col_elements
    if g.groups > 1:
        sums = {
            "kernel gradient in groups, products": patches * c,
            "kernel gradient in groups, with zeros": patches * c * g.groups,
            "kernel gradient in groups, runs": patches,
            "kernel gradient in groups, groups": g.groups,
        }
        return count.total(count.CALL, sums)
    way = "Eigen 3-D" if len(g) == 3 else "Eigen"
    if len(g) == 2 and max(task.batch, c) > count.LANES:
        way = "YNNPACK"
    return count.total(
        count.CALL,
        {
            f"kernel gradient by {way}, products": patches * c,
            f"kernel gradient by {way}, patches": patches,
            f"kernel gradient by {way}, runs": patches / max(task.batch, 1),
            "transposed": task.w_elements + task.y_elements,
            "read and written": task.x_elements,
        },
    )


def _work_of_product(task: Task) -> Work:
    """Without a spatial axis, a matrix product; in groups, a loop."""
    c, o = task.x_channels_per_group, task.y_channels_per_group
    if task.groups > 1:
        return count.total(count.CALL, _convolved("plain loop", task.batch, 1, c, o, task))
    if task.side == "wgrad":
        return count.total(count.CALL, count.product(task.groups, c, task.batch, o, True))
    inner = (c, o) if task.side == "dgrad" else (o, c)
    return count.total(count.CALL, count.product(task.groups, task.batch, *inner))


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
    return task.platform in GPUS and plain and padded


def is_custom_transposed(task: Task) -> bool:
    """What XLA:CPU computes as a matrix product and col2im.

    ``CanUseCustomTransposedConv`` in ``xla/backends/cpu/runtime/convolution_lib.h``.
    """
    strided = any(a.stride > 1 for a in task.geometry)
    plain = task.groups == 1 and len(task.geometry) <= 2
    known = task.is_half or task.dtype.name == "float32"
    undilated = all(a.dilation == 1 for a in task.geometry)
    return task.platform == "cpu" and strided and plain and known and undilated
