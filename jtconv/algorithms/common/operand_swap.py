"""Operand swap: a stride-1 problem with x and y exchanged and the kernel flipped.

A stride-1 transposed convolution is a convolution with the flipped kernel, so where x has fewer
channels, im2col of x holds less than im2col of y, and its products are the fast ones of XLA:CPU.
"""

from __future__ import annotations

import math
from dataclasses import replace

import jax
from jax import lax

from jtconv.algorithms.common import im2col, work
from jtconv.algorithms.common.work import Work
from jtconv.problem.geometry import Axis, Geometry
from jtconv.problem.layout import adjoint_kernel
from jtconv.problem.task import Side, Task

_SWAPPED_SIDE: dict[Side, Side] = {"dgrad": "fprop", "fprop": "dgrad", "wgrad": "wgrad"}


def dgrad(x: jax.Array, w: jax.Array, task: Task) -> jax.Array:
    """x, w -> y."""
    return im2col.fprop(x, _flipped(w, task), _swapped(task))


def fprop(y: jax.Array, w: jax.Array, task: Task) -> jax.Array:
    """y, w -> x."""
    return im2col.dgrad(y, _flipped(w, task), _swapped(task))


def wgrad(x: jax.Array, y: jax.Array, task: Task) -> jax.Array:
    """x, y -> w."""
    return _flipped(im2col.wgrad(y, x, _swapped(task)), task)


def swapped_axis(a: Axis) -> Axis:
    """A stride-1 axis with x and y exchanged."""
    return Axis(a.y_size, a.kernel, a.x_size, 1, a.dilation, a.effective_kernel - 1 - a.lo)


def work_of(task: Task, kernel: Work) -> Work:
    """That of im2col of x, or of its adjoint; ``kernel`` is what writing it in rows would take.

    From so many channels of x on its matrix is transposed.
    """
    swapped = replace(_swapped(task), side=_SWAPPED_SIDE[task.side])
    if math.prod(task.geometry.kernel) == 1 and not kernel:
        return im2col.work_of(swapped, kernel={})
    if task.side == "wgrad":
        return work.total(im2col.work_of(swapped), work.transposed(task.w_elements))
    wide = task.x_channels_per_group >= im2col.WIDE
    return im2col.work_of(swapped, kernel=work.transposed(task.w_elements) if wide else kernel)


def _swapped(task: Task) -> Task:
    return replace(
        task,
        geometry=Geometry(tuple(swapped_axis(a) for a in task.geometry), task.groups),
        x_channels=task.y_channels,
        y_channels=task.x_channels,
    )


def _flipped(w: jax.Array, task: Task) -> jax.Array:
    return adjoint_kernel(lax.rev(w, range(len(task.geometry))), task.groups)
