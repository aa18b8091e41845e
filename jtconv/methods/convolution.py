"""Plain convolutions, as XLA knows them: what several methods are written against."""

from __future__ import annotations

import jax
from jax import lax

from jtconv.layout import adjoint_kernel
from jtconv.methods import moves
from jtconv.methods.task import Task

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
