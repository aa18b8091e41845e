"""Stride-1 problems as XLA's own convolution: what `phases` is made of."""

from __future__ import annotations

from dataclasses import replace

import jax
from jax import lax

from jtconv.algorithms.common import arrays, im2col, xla_conv
from jtconv.algorithms.common.work import Work
from jtconv.problem.geometry import Axis, Geometry
from jtconv.problem.layout import adjoint_kernel
from jtconv.problem.task import Task


def dgrad(x: jax.Array, w: jax.Array, task: Task) -> jax.Array:
    """x, w -> y: a convolution with the flipped kernel."""
    g = task.geometry
    pads = [(a.effective_kernel - 1 - a.lo, a.effective_kernel - 1 - a.hi) for a in g]
    return _convolved(x, lax.rev(w, range(len(g))), pads, task)


def fprop(y: jax.Array, w: jax.Array, task: Task) -> jax.Array:
    """y, w -> x."""
    return _convolved(y, adjoint_kernel(w, task.groups), task.geometry.crops, task)


def wgrad(x: jax.Array, y: jax.Array, task: Task) -> jax.Array:
    """x, y -> w: im2col of y against x."""
    return im2col.correlated(x, y, task)


def work_of(task: Task) -> Work:
    """That of XLA's convolution, of one axis as of two, and of im2col for the kernel gradient."""
    if task.side == "wgrad":
        return im2col.work_of(task)
    axes = task.geometry.axes
    two = Geometry((Axis(1, 1, 1), *axes), task.groups) if len(axes) == 1 else task.geometry
    return xla_conv.work(replace(task, geometry=two))


def _convolved(x: jax.Array, w: jax.Array, pads: arrays.Pads, task: Task) -> jax.Array:
    """Convolution of ``x`` with these pads; one spatial axis runs faster as two.

    XLA:CPU's library is several times slower where the zeros are written out beforehand.  But
    it reads foreign memory where one convolution pads with one sign in front and the other
    behind; the barrier keeps XLA from folding such pads into it.
    """
    g = task.geometry
    if any(zeros < 0 for pair in pads for zeros in pair):
        x, pads = lax.optimization_barrier(arrays.pad_space(x, pads)), [(0, 0)] * len(g)
    thin = len(g) == 1
    if thin:
        x, w, pads = x[:, None], w[None], [(0, 0), *pads]
    layout = ("NHWC", "HWIO", "NHWC")
    y = lax.conv_general_dilated(
        x,
        w,
        window_strides=(1,) * (x.ndim - 2),
        padding=pads,
        rhs_dilation=(1, *g.dilation) if thin else g.dilation,
        dimension_numbers=layout if thin else xla_conv.dimension_numbers(task, "N_C", "_IO", "N_C"),
        feature_group_count=g.groups,
        precision=task.precision,
        preferred_element_type=xla_conv.element_type(task),
    )
    return y[:, 0] if thin else y
