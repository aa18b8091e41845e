"""Plain convolutions, as XLA knows them: what several methods are written against."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from jax import lax

from jtconv.layout import adjoint_kernel
from jtconv.methods import moves, products
from jtconv.methods.task import Cost, Task

_SPACE = "DHWT"


def numbers(task: Task, lhs: str, rhs: str, out: str) -> lax.ConvDimensionNumbers:
    """Dimension numbers from three words in which ``_`` stands for the spatial axes."""
    rank = len(task.geometry)
    specs = tuple(word.replace("_", _SPACE[:rank]) for word in (lhs, rhs, out))
    dummy = (1,) * (rank + 2)
    return lax.conv_dimension_numbers(dummy, dummy, specs)


def accumulator(task: Task) -> jax.typing.DTypeLike | None:
    """What to ask XLA to sum in: its convolutions of half floats sum in float32 unasked."""
    rounds_at_once = task.is_half and task.result_dtype == task.dtype
    return None if rounds_at_once else task.accumulator


def cost(task: Task) -> Cost:
    """Inserted zeros are multiplied like any other number; nothing is promised to be held."""
    waste = 1.0
    for axis in task.geometry:
        dense = axis.output * axis.kernel if task.side == "dgrad" else axis.multiply_adds
        waste *= dense / max(axis.multiply_adds, 1)
    return Cost(round(task.multiply_adds * waste), 0)


def strided(y: jax.Array, w: jax.Array, task: Task) -> jax.Array:
    """fprop, ``y, w -> x``, as ``conv_general_dilated`` with window strides.

    Negative padding is cut off beforehand: XLA:CPU reads foreign memory when one convolution
    pads with one sign in front and the other behind.
    """
    g = task.geometry
    y = moves.pad_space(y, [(min(lo, 0), min(hi, 0)) for lo, hi in g.crops])
    return lax.conv_general_dilated(
        y,
        adjoint_kernel(w, g.groups),
        window_strides=g.stride,
        padding=[(max(lo, 0), max(hi, 0)) for lo, hi in g.crops],
        rhs_dilation=g.dilation,
        dimension_numbers=numbers(task, "N_C", "_IO", "N_C"),
        feature_group_count=g.groups,
        precision=task.precision,
        preferred_element_type=accumulator(task),
    )


def unit_dgrad(x: jax.Array, w: jax.Array, task: Task) -> jax.Array:
    """``x, w -> y`` at stride 1: a convolution with the kernel turned round."""
    g = task.geometry
    starts = [a.lo - a.effective_kernel + 1 for a in g]
    lengths = [a.output + a.effective_kernel - 1 for a in g]
    return _valid(moves.window(x, starts, lengths), lax.rev(w, range(len(g))), task)


def unit_fprop(y: jax.Array, w: jax.Array, task: Task) -> jax.Array:
    """``y, w -> x`` at stride 1."""
    g = task.geometry
    lengths = [a.input + a.effective_kernel - 1 for a in g]
    return _valid(moves.window(y, [-a.lo for a in g], lengths), adjoint_kernel(w, g.groups), task)


def unit_wgrad(x: jax.Array, y: jax.Array, task: Task) -> jax.Array:
    """``x, y -> w`` at stride 1: patches of y, one a tap, against x."""
    g, n = task.geometry, x.shape[0]
    patches = moves.unfold(moves.merge_groups(y, g.groups), g)
    columns = math.prod(g.kernel) * task.width
    patches = patches.reshape(g.groups, n * math.prod(g.input), columns)
    w = products.correlate(moves.as_rows(x, g.groups), patches, task)
    w = w.reshape(g.groups, task.depth, *g.kernel, task.width)
    return moves.join_groups(jnp.moveaxis(w, 1, -2))


def _valid(x: jax.Array, w: jax.Array, task: Task) -> jax.Array:
    """Convolution without padding.

    The barrier keeps XLA:CPU from folding the zeros back into the convolution, which would
    lose it the fast library; and one spatial axis runs faster as two.
    """
    g = task.geometry
    x = lax.optimization_barrier(x)
    thin = len(g) == 1
    if thin:
        x, w = x[:, None], w[None]
    dimension_numbers = ("NHWC", "HWIO", "NHWC") if thin else numbers(task, "N_C", "_IO", "N_C")
    y = lax.conv_general_dilated(
        x,
        w,
        window_strides=(1,) * (2 if thin else len(g)),
        padding="VALID",
        rhs_dilation=(1, *g.dilation) if thin else g.dilation,
        dimension_numbers=dimension_numbers,
        feature_group_count=g.groups,
        precision=task.precision,
        preferred_element_type=accumulator(task),
    )
    return y[:, 0] if thin else y
