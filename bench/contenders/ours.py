"""jtconv itself, with the automatic choice or one named method."""

from __future__ import annotations

from typing import Any

import numpy as np

import jtconv
from bench.contenders.setting import Setting, jax_program
from bench.data import SIDES
from bench.program import Program, Refused
from jtconv.dispatch import primitives

_LETTERS = {1: "W", 2: "HW", 3: "DHW"}


def ways(setting: Setting, method: str = "auto") -> dict:
    """One way: the call a user would write, or the bare primitive where a side is asked for."""
    build = _side if setting.mode in SIDES else _call
    if method == "tuned":
        return {"": lambda: _tuned(build, setting)}
    return {"": lambda: _refusing(build, setting, method)}


def _tuned(build, setting: Setting) -> Program:
    """The automatic choice once all methods and tiles have been measured for this very problem."""
    with jtconv.tune() as tuning:
        build(setting, "auto")
    with tuning:
        return build(setting, "auto")


def _refusing(build, setting: Setting, method: str) -> Program:
    try:
        return build(setting, method)
    except jtconv.Unsupported as error:
        raise Refused(str(error)) from None


def _call(setting: Setting, method: str) -> Program:
    case = setting.case
    space = _LETTERS[case.rank]
    first = (f"NC{space}", f"IO{space}", f"NC{space}")
    options: dict[str, Any] = {
        "stride": case.stride,
        "padding": [case.crops] * case.rank,
        "dilation": case.dilation,
        "groups": case.groups,
        "dimension_numbers": first if case.channels_first else None,
        "method": method,
    }

    def operator(x, w, b):
        return jtconv.conv_transpose(x, w, b, **options)

    if not case.channels_first:
        return jax_program(setting, operator)
    return jax_program(setting, operator, (_channels_first_kernel, _channels_last_kernel))


def _channels_first_kernel(w):
    return np.moveaxis(w, (-2, -1), (0, 1))


def _channels_last_kernel(w):
    return np.moveaxis(w, (0, 1), (-2, -1))


def _side(setting: Setting, method: str) -> Program:
    side = getattr(primitives, setting.mode)
    options: dict[str, Any] = {
        "geometry": setting.case.geometry(setting.data.size),
        "method": (method,),
        "precision": None,
        "result": setting.data.dtype,
    }

    def function(a, b):
        # fprop takes (y, w); the benchmark's arguments come as (w, g).
        return (side(b, a, **options) if setting.mode == "fprop" else side(a, b, **options),)

    return jax_program(setting, lambda x, w, b: x, channels_first=False, function=function)
