"""From an operator on JAX arrays to the compiled program of a mode: forward, training, a side."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bench.problem import ANSWERS, ARGUMENTS, Mode, Problem
from bench.program import Array, JaxProgram

# x, w and a bias or None, in the implementation's own layout, to y.
Operator = Callable[[Any, Any, Any], Any]
# What a mode's arguments go through to become its answers.
Function = Callable[..., tuple[Any, ...]]
# A kernel to the implementation's own layout, and the gradient by it back.
Kernel = tuple[Callable[[Any], Any], Callable[[Any], Any]]
SAME_KERNEL: Kernel = (lambda w: w, lambda w: w)


def jax_program(
    problem: Problem,
    operator: Operator,
    kernel: Kernel = SAME_KERNEL,
    channels_first: bool | None = None,
) -> JaxProgram:
    """The program of the problem's mode around an operator."""
    first = problem.case.channels_first if channels_first is None else channels_first
    arrays = dict(problem.data.arrays)
    arrays |= {name: np.moveaxis(arrays[name], -1, 1) for name in "xg" if first}
    arrays["w"] = kernel[0](arrays["w"])
    function = _mode(problem.mode, _scanned(operator, problem.case.steps), arrays)

    def restore(answers: dict[str, Array]) -> dict[str, Array]:
        back: dict[str, Array] = {"dw": kernel[1](answers["dw"])} if "dw" in answers else {}
        for name in {"y", "dx"} & answers.keys() if first else ():
            back[name] = np.moveaxis(answers[name], 1, -1)
        return answers | back

    return _compiled(problem, function, arrays, restore)


def side_program(problem: Problem, function: Function) -> JaxProgram:
    """The program of a function that computes one side itself, channels last."""
    return _compiled(problem, function, problem.data.arrays, lambda answers: answers)


def _compiled(
    problem: Problem,
    function: Function,
    arrays: dict[str, Array],
    restore: Callable[[dict[str, Array]], dict[str, Array]],
) -> JaxProgram:
    one = tuple(np.ascontiguousarray(arrays[name]) for name in ARGUMENTS[problem.mode])

    def answers(outputs: tuple[Any, ...]) -> dict[str, Array]:
        return restore(dict(zip(ANSWERS[problem.mode], map(np.asarray, outputs), strict=True)))

    return JaxProgram(function, [one] * problem.copies, answers, problem.unroll)


def _mode(mode: Mode, op: Operator, arrays: dict[str, Array]) -> Function:
    """The function of one mode.  A side alone is the gradient whose value nobody reads."""

    def training(x: Any, w: Any, b: Any, g: Any) -> tuple[Any, ...]:
        y, pull = jax.vjp(op, x, w, b)
        return (y, *pull(g))

    functions: dict[str, Function] = {
        "forward": lambda x, w, b: (op(x, w, b),),
        "activated": lambda x, w, b: (jax.nn.relu(op(x, w, b)),),
        "training": training,
        "dgrad": lambda x, w: (op(x, w, None),),
        "fprop": lambda w, g: jax.vjp(lambda x: op(x, w, None), jnp.asarray(arrays["x"]))[1](g),
        "wgrad": lambda x, g: jax.vjp(lambda w: op(x, w, None), jnp.asarray(arrays["w"]))[1](g),
    }
    return functions[mode]


def _scanned(operator: Operator, steps: int) -> Operator:
    """The operator inside ``lax.scan``, over slices of the batch."""
    if steps == 1:
        return operator

    def scanned(x: Any, w: Any, b: Any) -> Any:
        slices = x.reshape(steps, x.shape[0] // steps, *x.shape[1:])
        _, ys = jax.lax.scan(lambda carry, one: (carry, operator(one, w, b)), None, slices)
        return ys.reshape(x.shape[0], *ys.shape[2:])

    return scanned


def add_bias(y: Any, b: Any, channels_first: bool) -> Any:
    """``y + b`` along the channels."""
    if b is None:
        return y
    return y + (b.reshape(-1, *(1,) * (y.ndim - 2)) if channels_first else b)
