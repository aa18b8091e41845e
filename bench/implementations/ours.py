"""jtconv itself, with the automatic choice or one named method."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import jtconv
from bench.implementations.modes import SAME_KERNEL, Kernel, jax_program, side_program
from bench.problem import SIDES, Problem
from bench.program import Program, Refused, Variants
from jtconv.dispatch import primitives

_LETTERS = {1: "W", 2: "HW", 3: "DHW"}
_CHANNELS_FIRST: Kernel = (
    lambda w: np.moveaxis(w, (-2, -1), (0, 1)),
    lambda w: np.moveaxis(w, (0, 1), (-2, -1)),
)
_Build = Callable[[Problem, str], Program]


def variants(problem: Problem, method: str = "auto") -> Variants:
    """One variant: the call a user would write, or the bare primitive where the mode is a side."""
    build = _side if problem.mode in SIDES else _call
    if method == "tuned":
        return {"": lambda: _tuned(build, problem)}
    return {"": lambda: _refusing(build, problem, method)}


def _tuned(build: _Build, problem: Problem) -> Program:
    """The automatic choice once all methods and tiles have been measured for this very problem."""
    with jtconv.tune() as tuning:
        build(problem, "auto")
    with tuning:
        return build(problem, "auto")


def _refusing(build: _Build, problem: Problem, method: str) -> Program:
    try:
        return build(problem, method)
    except jtconv.Unsupported as error:
        raise Refused(str(error)) from None


def _call(problem: Problem, method: str) -> Program:
    case = problem.case
    space = _LETTERS[case.rank]
    first = (f"NC{space}", f"IO{space}", f"NC{space}")
    keywords: dict[str, Any] = {
        "stride": case.stride,
        "padding": [case.crops] * case.rank,
        "dilation": case.dilation,
        "groups": case.groups,
        "dimension_numbers": first if case.channels_first else None,
        "method": method,
    }

    def operator(x: Any, w: Any, b: Any) -> Any:
        return jtconv.conv_transpose(x, w, b, **keywords)

    return jax_program(problem, operator, _CHANNELS_FIRST if case.channels_first else SAME_KERNEL)


def _side(problem: Problem, method: str) -> Program:
    side = getattr(primitives, problem.mode)
    params: dict[str, Any] = {
        "geometry": problem.case.geometry(problem.data.size),
        "method": (method,),
        "precision": None,
        "result": problem.data.dtype,
    }

    def function(a: Any, b: Any) -> tuple[Any]:
        # fprop takes (y, w); the benchmark's arguments come as (w, g).
        return (side(b, a, **params) if problem.mode == "fprop" else side(a, b, **params),)

    return side_program(problem, function)
