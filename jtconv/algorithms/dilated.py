"""dilated: ``lax.conv_general_dilated`` with one of its three dilations, for each side.

    dgrad   lhs_dilation = s: zeros between the cells of x, then a convolution with the flipped
            kernel.  The flip is a literal ``reverse``, which is what XLA:GPU looks for before it
            calls cuDNN's backward-data kernel.  On a CPU x and y are reversed instead where that
            is less to move.
    fprop   window_strides = s: the plain strided convolution.
    wgrad   rhs_dilation = s: y convolved with x, batch and channels exchanged; the form XLA:GPU
            takes for cuDNN's backward-filter kernel.

The first of the three ways this package is founded on (Dumoulin and Visin, "A guide to
convolution arithmetic for deep learning", arXiv:1603.07285, relationship 14).
"""

from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp
from jax import lax

from jtconv.algorithms.common import arrays, xla_conv
from jtconv.problem.geometry import Geometry
from jtconv.problem.task import Cost, Task


def refuse(task: Task) -> str | None:
    """Never: every problem can be written this way."""
    return None


def cost(task: Task) -> Cost:
    """That of a convolution as XLA does it."""
    return xla_conv.cost(task)


def dgrad(x: jax.Array, w: jax.Array, task: Task) -> jax.Array:
    """x, w -> y."""
    g = task.geometry
    if not _is_heavy(task):
        return _lhs_dilated(x, lax.rev(w, range(len(g))), task)
    space = range(1, 1 + len(g))
    reversed_axes = Geometry(tuple(replace(a, lo=a.hi) for a in g), g.groups)
    y = _lhs_dilated(lax.rev(x, space), w, replace(task, geometry=reversed_axes))
    return lax.rev(y, space)


def fprop(y: jax.Array, w: jax.Array, task: Task) -> jax.Array:
    """y, w -> x."""
    return xla_conv.strided(y, w, task)


def wgrad(x: jax.Array, y: jax.Array, task: Task) -> jax.Array:
    """x, y -> w."""
    g = task.geometry
    y, pads = xla_conv.crop_first(y, g.crops)
    w = lax.conv_general_dilated(
        y,
        x,
        window_strides=g.dilation,
        padding=pads,
        rhs_dilation=g.stride,
        dimension_numbers=xla_conv.dimension_numbers(task, "C_N", "I_O", "N_C"),
        batch_group_count=g.groups,
        precision=task.precision,
        preferred_element_type=xla_conv.element_type(task),
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
    if xla_conv.has_unknown_pads(g.crops):  # the full output, and what is cropped from it
        cut, pads = [(-lo, -hi) for lo, hi in g.crops], whole
    else:
        cut, pads = xla_conv.split_pads(
            [(p - lo, p - hi) for (p, _), (lo, hi) in zip(whole, g.crops, strict=True)]
        )
    for number, axis in enumerate(g):
        if xla_conv.is_taken_for_groups(axis, task):
            cut[number], pads[number] = (-1, -1), (1, 1)
    y = lax.conv_general_dilated(
        x,
        flipped,
        window_strides=(1,) * len(g),
        padding=pads,
        lhs_dilation=g.stride,
        rhs_dilation=g.dilation,
        dimension_numbers=xla_conv.dimension_numbers(task, "N_C", "_IO", "N_C"),
        feature_group_count=g.groups,
        precision=task.precision,
        preferred_element_type=xla_conv.element_type(task),
    )
    return arrays.pad_space(y, cut)
