"""dilated: ``lax.conv_general_dilated`` with one of its three dilations, for each side.

    dgrad   lhs_dilation = s: zeros between the cells of x, then a plain convolution with the
            kernel turned round.  The turn is a literal ``reverse``, which is what XLA:GPU
            looks for before it calls cuDNN's backward-data kernel.  On a CPU x and y are turned
            instead where that is less to move.
    fprop   window_strides = s: the plain strided convolution.
    wgrad   rhs_dilation = s: y convolved with x, batch and channels trading places; the form
            XLA:GPU takes for cuDNN's backward-filter kernel.

The first of the three ways this package is founded on (Dumoulin and Visin, "A guide to
convolution arithmetic for deep learning", arXiv:1603.07285, relationship 14).
"""

from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp
from jax import lax

from jtconv.geometry import Geometry
from jtconv.methods import convolution, library, moves
from jtconv.methods.task import Cost, Task


def refuse(task: Task) -> str | None:
    """Never: every problem can be said this way."""
    return None


def cost(task: Task) -> Cost:
    """That of a convolution as XLA does it."""
    return library.cost(task)


def dgrad(x: jax.Array, w: jax.Array, task: Task) -> jax.Array:
    """x, w -> y."""
    g = task.geometry
    if not _is_heavy(task):
        return _inserted(x, lax.rev(w, range(len(g))), task)
    space = range(1, 1 + len(g))
    turned = replace(task, geometry=Geometry(tuple(replace(a, lo=a.hi) for a in g), g.groups))
    return lax.rev(_inserted(lax.rev(x, space), w, turned), space)


def fprop(y: jax.Array, w: jax.Array, task: Task) -> jax.Array:
    """y, w -> x."""
    return convolution.strided(y, w, task)


def wgrad(x: jax.Array, y: jax.Array, task: Task) -> jax.Array:
    """x, y -> w."""
    g = task.geometry
    y = moves.pad_space(y, [(min(lo, 0), min(hi, 0)) for lo, hi in g.crops])
    w = lax.conv_general_dilated(
        y,
        x,
        window_strides=g.dilation,
        padding=[(max(lo, 0), max(hi, 0)) for lo, hi in g.crops],
        rhs_dilation=g.stride,
        dimension_numbers=convolution.numbers(task, "C_N", "I_O", "N_C"),
        batch_group_count=g.groups,
        precision=task.precision,
        preferred_element_type=convolution.accumulator(task),
    )
    w = w.reshape(task.width, *g.kernel, g.groups, task.depth)
    w = jnp.moveaxis(w, (-1, -2, 0), (-3, -2, -1))
    return w.reshape(*g.kernel, task.depth, task.out_channels)


def _is_heavy(task: Task) -> bool:
    """Whether the kernel is more to turn round than x and y, which turned both give the same."""
    return task.platform == "cpu" and 2 * task.w_size * task.dtype.itemsize > task.operand_bytes


def _inserted(x: jax.Array, turned: jax.Array, task: Task) -> jax.Array:
    """Zeros between the cells of x, then a plain convolution with a kernel that is turned round."""
    g = task.geometry
    pads = [(a.effective_kernel - 1 - a.lo, a.effective_kernel - 1 - a.hi) for a in g]
    y = lax.conv_general_dilated(
        x,
        turned,
        window_strides=(1,) * len(g),
        padding=[(max(lo, 0), max(hi, 0)) for lo, hi in pads],
        lhs_dilation=g.stride,
        rhs_dilation=g.dilation,
        dimension_numbers=convolution.numbers(task, "N_C", "_IO", "N_C"),
        feature_group_count=g.groups,
        precision=task.precision,
        preferred_element_type=convolution.accumulator(task),
    )
    return moves.pad_space(y, [(min(lo, 0), min(hi, 0)) for lo, hi in pads])
