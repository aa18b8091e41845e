"""unit: problems of stride 1 as XLA's own convolution, the plain road of `phases`."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from jax import lax

from jtconv.layout import adjoint_kernel
from jtconv.methods import convolution, moves, products
from jtconv.methods.task import Task


def dgrad(x: jax.Array, w: jax.Array, task: Task) -> jax.Array:
    """x, w -> y: a convolution with the kernel turned round."""
    g = task.geometry
    margins = [(a.effective_kernel - 1 - a.lo, a.effective_kernel - 1 - a.hi) for a in g]
    return _convolved(x, lax.rev(w, range(len(g))), margins, task)


def fprop(y: jax.Array, w: jax.Array, task: Task) -> jax.Array:
    """y, w -> x."""
    return _convolved(y, adjoint_kernel(w, task.groups), task.geometry.crops, task)


def wgrad(x: jax.Array, y: jax.Array, task: Task) -> jax.Array:
    """x, y -> w: patches of y, one a tap, against x."""
    g, n = task.geometry, x.shape[0]
    patches = moves.unfold(moves.merge_groups(y, g.groups), g)
    columns = math.prod(g.kernel) * task.width
    patches = patches.reshape(g.groups, n * math.prod(g.input), columns)
    w = products.correlate(moves.as_rows(x, g.groups), patches, task)
    w = w.reshape(g.groups, task.depth, *g.kernel, task.width)
    return moves.join_groups(jnp.moveaxis(w, 1, -2))


def _convolved(x: jax.Array, w: jax.Array, margins: moves.Margins, task: Task) -> jax.Array:
    """Convolution of ``x`` with these margins of zeros; one spatial axis runs faster as two.

    XLA:CPU's library is several times slower where the zeros are written out beforehand.  But
    it reads foreign memory where one convolution pads with one sign in front and the other
    behind; the barrier keeps XLA from folding such margins into it.
    """
    g = task.geometry
    if any(margin < 0 for pair in margins for margin in pair):
        x, margins = lax.optimization_barrier(moves.pad_space(x, margins)), [(0, 0)] * len(g)
    thin = len(g) == 1
    if thin:
        x, w, margins = x[:, None], w[None], [(0, 0), *margins]
    numbers = ("NHWC", "HWIO", "NHWC") if thin else convolution.numbers(task, "N_C", "_IO", "N_C")
    y = lax.conv_general_dilated(
        x,
        w,
        window_strides=(1,) * (x.ndim - 2),
        padding=margins,
        rhs_dilation=(1, *g.dilation) if thin else g.dilation,
        dimension_numbers=numbers,
        feature_group_count=g.groups,
        precision=task.precision,
        preferred_element_type=convolution.accumulator(task),
    )
    return y[:, 0] if thin else y
