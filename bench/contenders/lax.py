"""jax.lax as users write it today, with JAX's own gradients.

``lax`` is the zero-inserted convolution that ``lax.conv_transpose`` emits by default;
``lax-adjoint`` the form with ``transpose_kernel=True``, which XLA:GPU knows better.  Kernels are
turned round before the clock starts, so that nobody pays for a difference of convention.
"""

from __future__ import annotations

import jax
import numpy as np

from bench.cases import Case
from bench.contenders.setting import Setting, add_bias, jax_program
from bench.program import Program, Refused

_LAST = {1: ("NWC", "WIO"), 2: ("NHWC", "HWIO"), 3: ("NDHWC", "DHWIO")}
_FIRST = {1: ("NCW", "OIW"), 2: ("NCHW", "OIHW"), 3: ("NCDHW", "OIDHW")}


def ways(setting: Setting) -> dict:
    """The default form."""
    return {"": lambda: _dilated(setting)}


def adjoint_ways(setting: Setting) -> dict:
    """The form with ``transpose_kernel=True``: dense and channels last only."""
    return {"": lambda: _adjoint(setting)}


def pads(case: Case) -> list[tuple[int, int]]:
    """What lax calls padding: cells added to the dilated input."""
    reach = case.dilation * (case.kernel - 1)
    lo, hi = case.crops
    return [(reach - lo, reach - hi)] * case.rank


def _dilated(setting: Setting) -> Program:
    case = setting.case
    data_spec, kernel_spec = (_FIRST if case.channels_first else _LAST)[case.rank]

    def operator(x, w, b):
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

    return jax_program(setting, operator, (_enter(case), _leave(case)))


def _enter(case: Case):
    space = tuple(range(case.rank))

    def enter(w):
        w = np.flip(w, space)
        return np.moveaxis(w, (-1, -2), (0, 1)) if case.channels_first else w

    return enter


def _leave(case: Case):
    space = tuple(range(case.rank))

    def leave(w):
        w = np.moveaxis(w, (0, 1), (-1, -2)) if case.channels_first else w
        return np.flip(w, space)

    return leave


def _adjoint(setting: Setting) -> Program:
    case = setting.case
    if case.groups > 1 or case.channels_first:
        raise Refused("lax.conv_transpose: one group, measured channels last")

    def operator(x, w, b):
        y = jax.lax.conv_transpose(
            x,
            w,
            strides=(case.stride,) * case.rank,
            padding=pads(case),
            rhs_dilation=(case.dilation,) * case.rank,
            transpose_kernel=True,
        )
        return add_bias(y, b, False)

    swapped = (lambda w: np.swapaxes(w, -1, -2),) * 2
    return jax_program(setting, operator, swapped)
