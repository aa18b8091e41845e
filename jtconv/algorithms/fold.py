"""fold: the first spatial axis into the batch, and a convolution along the others.

Along the first axis the problem is written in its sub-pixel form: blocks of ``s`` outputs, which
read ``T = ceil(k / s)`` inputs.  These inputs lie side by side in the channels of x, and the ``s``
outputs in the channels of y, so that nothing is left to do along that axis:

    x'[(n, q), i, (j, c)] = x[n, q - j, i, c]                 j: of T
    y'[(n, q), m, (r, o)] = y[n, s*q + r - lo, m, o]          r: of s
    w'[t, (j, c), (r, o)] = w[s*j + r, t, c, o]

XLA:TPU turns a convolution along three axes of a small batch into one along many more pieces of
space, and pays to cut them.  Here the batch is large, and along two axes it has good forms.
"""

from __future__ import annotations

import functools
from dataclasses import replace

import jax
import jax.numpy as jnp
from jax import lax

from jtconv.algorithms.common import arrays, subpixel, xla_conv
from jtconv.algorithms.common import work as count
from jtconv.algorithms.common.work import Work
from jtconv.problem.geometry import Axis, Geometry
from jtconv.problem.task import ROLES, Cost, Task

# x is copied once for each of its shifts; past this many, XLA takes long to compile it.
MOST_SHIFTS = 64


def refuse(task: Task) -> str | None:
    """Not a kernel of very many taps; with one axis what is left is a matrix product."""
    shifts = _shifts(_first(task))
    if shifts > MOST_SHIFTS:
        return f"it would copy x {shifts} times, more than {MOST_SHIFTS}"
    return xla_conv.refuse(task, axes=len(task.geometry) - 1)


def cost(task: Task) -> Cost:
    """x is held once for each of its shifts, and y once more."""
    folded = _folded(task)
    held = folded.x_elements + folded.y_elements
    return Cost(xla_conv.cost(folded).multiply_adds, held * task.accumulator.itemsize)


def work(task: Task) -> Work:
    """The convolution along the other axes, and copies of x, of the kernel and of y."""
    folded, first, o = _folded(task), _first(task), task.y_channels_per_group
    copies = count.moved("copied", folded.x_elements, task.x_channels_per_group)
    kernel = count.moved("copied", folded.w_elements, o)
    how = "depth to space" if task.side == "dgrad" else "space to depth"
    blocks = count.moved(how, folded.y_elements, o) if first.stride > 1 else {}
    terms = {"blocks": _shifts(first), count.TERMS: _shifts(first)}
    return count.total(xla_conv.work(folded), copies, kernel, blocks, count.CALL, terms)


def spreads(task: Task) -> str:
    """Both: kernels are filled up with zeros."""
    return ROLES[task.side][:2]


def dgrad(x: jax.Array, w: jax.Array, task: Task) -> jax.Array:
    """x, w -> y."""
    return _to_y(xla_conv.dgrad(_of_x(x, task), _of_kernel(w, task), _folded(task)), task)


def fprop(y: jax.Array, w: jax.Array, task: Task) -> jax.Array:
    """y, w -> x."""
    return _to_x(xla_conv.fprop(_of_y(y, task), _of_kernel(w, task), _folded(task)), task)


def wgrad(x: jax.Array, y: jax.Array, task: Task) -> jax.Array:
    """x, y -> w."""
    return _to_kernel(xla_conv.wgrad(_of_x(x, task), _of_y(y, task), _folded(task)), task)


def _first(task: Task) -> Axis:
    """The first axis; with a stride and a dilation both, the kernel's zeros count as its taps."""
    axis = task.geometry.axes[0]
    return axis if _step(task) == 1 else replace(axis, kernel=axis.effective_kernel, dilation=1)


def _step(task: Task) -> int:
    """Which of those taps are the kernel's: one in so many."""
    axis = task.geometry.axes[0]
    return axis.dilation if axis.stride > 1 else 1


def _shifts(axis: Axis) -> int:
    """Inputs that a block of outputs reads."""
    return -(-axis.kernel // axis.stride)


def _folded(task: Task) -> Task:
    """The task without its first axis; what it gives is summed up, so not yet rounded."""
    first, others = _first(task), task.geometry.axes[1:]
    return replace(
        task,
        geometry=Geometry(others, task.groups),
        batch=task.batch * subpixel.block_count(first),
        x_channels=task.x_channels * _shifts(first),
        y_channels=task.y_channels * first.stride,
        result_dtype=task.accumulator,
    )


def _of_x(x: jax.Array, task: Task) -> jax.Array:
    """``(N, q, *S, g * c)`` to ``(N * blocks, *S, g * T * c)``."""
    first = _first(task)
    x = x.reshape(*x.shape[:-1], task.groups, task.x_channels_per_group)
    starts = (first.lo // first.stride - first.dilation * j for j in range(_shifts(first)))
    shifted = [_part(x, start, subpixel.block_count(first)) for start in starts]
    joined = jnp.concatenate(shifted, axis=-1)
    return joined.reshape(
        x.shape[0] * subpixel.block_count(first), *x.shape[2:-2], task.x_channels * len(shifted)
    )


def _to_x(x: jax.Array, task: Task) -> jax.Array:
    """Its adjoint."""
    first = _first(task)
    c, shifts = task.x_channels_per_group, _shifts(first)
    count = subpixel.block_count(first)
    x = x.reshape(x.shape[0] // count, count, *x.shape[1:-1], task.groups, shifts * c)
    starts = (first.dilation * j - first.lo // first.stride for j in range(shifts))
    parts = [
        _part(x[..., j * c : (j + 1) * c], start, first.x_size) for j, start in enumerate(starts)
    ]
    x = functools.reduce(jnp.add, parts)
    return x.reshape(*x.shape[:-2], task.x_channels)


def _of_y(y: jax.Array, task: Task) -> jax.Array:
    """``(N, q, *S, g * o)`` to ``(N * blocks, *S, g * s * o)``."""
    first = _first(task)
    count, s = subpixel.block_count(first), first.stride
    y = _part(y, -(first.lo % s), count * s)
    y = y.reshape(y.shape[0] * count, s, *y.shape[2:-1], task.groups, task.y_channels_per_group)
    y = jnp.moveaxis(y, 1, -2)
    return y.reshape(*y.shape[:-3], task.y_channels * s)


def _to_y(y: jax.Array, task: Task) -> jax.Array:
    """Its inverse."""
    first = _first(task)
    y = y.reshape(*y.shape[:-1], task.groups, first.stride, task.y_channels_per_group)
    y = jnp.moveaxis(y, -2, 1)
    count, s = subpixel.block_count(first), first.stride
    y = y.reshape(y.shape[0] // count, count * s, *y.shape[2:-2], task.y_channels)
    return _part(y, first.lo % s, first.y_size)


def _of_kernel(w: jax.Array, task: Task) -> jax.Array:
    """``(k, *t, c, g * o)`` to ``(*t, T * c, g * s * o)``, with zeros for taps that are none."""
    first = _first(task)
    shifts, s = _shifts(first), first.stride
    ends = (0, shifts * s - first.kernel, _step(task) - 1)
    w = lax.pad(w, jnp.zeros((), w.dtype), [ends, *[(0, 0, 0)] * (w.ndim - 1)])
    w = w.reshape(shifts, s, *w.shape[1:-1], task.groups, task.y_channels_per_group)
    w = jnp.moveaxis(w, (0, 1), (-5, -2))
    return w.reshape(*w.shape[:-5], shifts * task.x_channels_per_group, task.y_channels * s)


def _to_kernel(w: jax.Array, task: Task) -> jax.Array:
    """Its inverse, without those."""
    first = _first(task)
    shifts, s = _shifts(first), first.stride
    c, o = task.x_channels_per_group, task.y_channels_per_group
    w = w.reshape(*w.shape[:-2], shifts, c, task.groups, s, o)
    w = jnp.moveaxis(w, (-5, -2), (0, 1))
    w = w.reshape(shifts * s, *w.shape[2:-2], task.y_channels)
    return w[: first.kernel : _step(task)]


def _part(a: jax.Array, start: int, size: int) -> jax.Array:
    """``size`` cells of the first spatial axis from ``start`` on, zero where there are none."""
    pads = [(0, 0), (-start, start + size - a.shape[1]), *[(0, 0)] * (a.ndim - 2)]
    return arrays.pad(a, pads)
