"""jax.lax as users write it today, with JAX's own gradients.

``lax`` is the zero-inserted convolution that ``lax.conv_transpose`` emits by default;
``lax-adjoint`` the form with ``transpose_kernel=True``, which XLA:GPU knows better.  Kernels are
flipped before the clock starts, so that nobody pays for a difference of convention.
"""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

from bench.cases import Case
from bench.implementations.modes import Kernel, add_bias, jax_program
from bench.problem import Problem
from bench.program import Program, Refused, Variants

_LAST = {1: ("NWC", "WIO"), 2: ("NHWC", "HWIO"), 3: ("NDHWC", "DHWIO")}
_FIRST = {1: ("NCW", "OIW"), 2: ("NCHW", "OIHW"), 3: ("NCDHW", "OIDHW")}


def dilated(problem: Problem) -> Variants:
    """The default form."""
    return {"": lambda: _dilated(problem)}


def adjoint(problem: Problem) -> Variants:
    """The form with ``transpose_kernel=True``: dense and channels last only."""
    return {"": lambda: _adjoint(problem)}


def pads(case: Case) -> list[tuple[int, int]]:
    """What lax calls padding: cells added to the dilated input."""
    reach = case.dilation * (case.kernel - 1)
    lo, hi = case.crops
    return [(reach - lo, reach - hi)] * case.rank


def _dilated(problem: Problem) -> Program:
    case = problem.case
    data_spec, kernel_spec = (_FIRST if case.channels_first else _LAST)[case.rank]

    def operator(x: Any, w: Any, b: Any) -> Any:
        y = jax.lax.conv_general_dilated(
            x,
            w,
            window_strides=(1,) * case.rank,
            padding=pads(case),
            lhs_dilation=(case.stride,) * case.rank,
            rhs_dilation=(case.dilation,) * case.rank,
            dimension_numbers=(data_spec, kernel_spec, data_spec),
            feature_group_count=case.groups,
        )
        return add_bias(y, b, case.channels_first)

    return jax_program(problem, operator, flipped(case.rank, case.channels_first))


def flipped(rank: int, channels_first: bool) -> Kernel:
    """The kernel flipped, as ``(O, I, *k)`` where channels come first."""
    space = tuple(range(rank))

    def to_lax(w: Any) -> Any:
        w = np.flip(w, space)
        return np.moveaxis(w, (-1, -2), (0, 1)) if channels_first else w

    def from_lax(w: Any) -> Any:
        w = np.moveaxis(w, (0, 1), (-1, -2)) if channels_first else w
        return np.flip(w, space)

    return to_lax, from_lax


def _adjoint(problem: Problem) -> Program:
    case = problem.case
    if case.groups > 1 or case.channels_first:
        raise Refused("lax.conv_transpose: one group, measured channels last")

    def operator(x: Any, w: Any, b: Any) -> Any:
        y = jax.lax.conv_transpose(
            x,
            w,
            strides=(case.stride,) * case.rank,
            padding=pads(case),
            rhs_dilation=(case.dilation,) * case.rank,
            transpose_kernel=True,
        )
        return add_bias(y, b, False)

    swapped: Kernel = (lambda w: np.swapaxes(w, -1, -2), lambda w: np.swapaxes(w, -1, -2))
    return jax_program(problem, operator, swapped)
