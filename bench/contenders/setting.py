"""One problem as JAX contenders see it: arrays in the case's layout, and the mode's function."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bench.cases import Case
from bench.data import ANSWERS, Data, Mode
from bench.program import JaxProgram

# x, w and a bias or None, in the contender's own layout, to y.
Operator = Callable[[Any, Any, Any], Any]

ARGUMENTS = {
    "forward": "xwb",
    "activated": "xwb",
    "training": "xwbg",
    "dgrad": "xw",
    "fprop": "wg",
    "wgrad": "xg",
}


@dataclass(frozen=True)
class Setting:
    """What is asked: data, mode, and how the machine wants to be measured."""

    data: Data
    mode: Mode
    copies: int = 1  # distinct argument sets, taken in turn
    unroll: bool = False  # all of them in one program
    torch_compile: bool = False

    @property
    def case(self) -> Case:
        """The layer."""
        return self.data.case


def swap_channels(a: Any, first: bool) -> Any:
    """Between channels last and the layout of the case."""
    return np.moveaxis(a, -1, 1) if first else a


def unswap_channels(a: Any, first: bool) -> Any:
    """The way back to channels last."""
    return np.moveaxis(a, 1, -1) if first else a


def jax_program(
    setting: Setting,
    operator: Operator,
    kernel: tuple[Callable, Callable] = (lambda w: w, lambda w: w),
    channels_first: bool | None = None,
    function: Callable[..., tuple] | None = None,
) -> JaxProgram:
    """The program of one mode around an operator.  ``kernel``: to its own layout, and back."""
    case, names = setting.case, ANSWERS[setting.mode]
    first = case.channels_first if channels_first is None else channels_first
    enter, leave = kernel
    arrays = dict(setting.data.arrays)
    arrays |= {name: swap_channels(arrays[name], first) for name in "xg"}
    arrays["w"] = enter(arrays["w"])
    one = tuple(np.ascontiguousarray(arrays[name]) for name in ARGUMENTS[setting.mode])
    if function is None:
        function = _mode(setting.mode, _scanned(operator, case.steps), arrays)

    def restore(outputs: tuple) -> dict[str, Any]:
        found = dict(zip(names, map(np.asarray, outputs), strict=True))
        found |= {n: unswap_channels(found[n], first) for n in ("y", "dx") if n in found}
        return found | ({"dw": leave(found["dw"])} if "dw" in found else {})

    return JaxProgram(function, [one] * setting.copies, restore, setting.unroll)


def _mode(mode: Mode, op: Operator, arrays: dict[str, np.ndarray]) -> Callable[..., tuple]:
    """The function of one mode.  A side alone is the gradient whose value nobody reads."""

    def training(x, w, b, g):
        y, pull = jax.vjp(op, x, w, b)
        return (y, *pull(g))

    functions: dict[str, Callable[..., Any]] = {
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

    def scanned(x, w, b):
        slices = x.reshape(steps, x.shape[0] // steps, *x.shape[1:])
        _, ys = jax.lax.scan(lambda carry, one: (carry, operator(one, w, b)), None, slices)
        return ys.reshape(x.shape[0], *ys.shape[2:])

    return scanned


def add_bias(y: Any, b: Any, channels_first: bool) -> Any:
    """``y + b`` along the channels."""
    if b is None:
        return y
    return y + (b.reshape(-1, *(1,) * (y.ndim - 2)) if channels_first else b)
