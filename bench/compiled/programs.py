"""One side of a layer as a program to compile: by a method of ours or by ``jax.lax``.

    bare     by itself
    lone     by itself, x and y laid out as the compiler likes them best, with a bias and a ReLU
             behind it; a kernel gradient bare
    chain    between two of XLA's own convolutions with kernels of 3, as in a network, whose
             layouts it then has to take; a kernel gradient behind two of them

``lax`` is what users have without us: the convolution with inserted zeros that
``lax.conv_transpose`` is, the strided convolution, and as kernel gradient JAX's own of the first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jax import lax

from bench.cases import Case
from jtconv.algorithms import ALGORITHMS
from jtconv.algorithms.algorithm import compute
from jtconv.dispatch import choose
from jtconv.problem.task import SIDES, Side, Task

Setting = Literal["bare", "lone", "chain"]
SETTINGS: tuple[Setting, ...] = ("bare", "lone", "chain")
ALL_SIDES: tuple[Side, ...] = SIDES["conv_transpose"]
PEER = "lax"
AUTO = "auto"
# What a library runs on a GPU, or one fused loop does.
GPU_FORMS = ("dilated", "gemm", "phases", "taps", "dense", "fold")
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Part:
    """One side of a case, to be computed for a platform."""

    case: Case
    side: Side
    dtype: str
    platform: str

    @property
    def task(self) -> Task:
        """As our methods are given it."""
        dtype, batch = jnp.dtype(self.dtype), self.case.true[0]
        geometry = self.case.geometry("true")
        return Task(self.side, geometry, batch, *self.case.channels, dtype, dtype, self.platform)

    @property
    def shapes(self) -> tuple[Shape, Shape, Shape]:
        """Of the two operands and of the result."""
        x, w, y = self.case.shapes("true")
        return {"dgrad": (x, w, y), "fprop": (y, w, x), "wgrad": (x, y, w)}[self.side]


def forms(part: Part) -> list[str]:
    """``lax``, and every method that can do this."""
    task = part.task
    return [PEER, *(name for name in ALGORITHMS if choose.refusal(name, task) is None)]


def forms_of_use(part: Part) -> list[str]:
    """Those, what ``auto`` takes among them, without any that could only be worse on a GPU."""
    if part.platform != "cuda":
        return forms(part)
    useful = {name for name in GPU_FORMS if is_of_use(name, part.case)} | {PEER, method(part)}
    return [name for name in forms(part) if name in useful]


def is_of_use(form: str, case: Case) -> bool:
    """Taps are a loop on CUDA cores; the others are something else only with groups, in volumes."""
    useful = {"taps": case.groups == case.channels[0], "dense": case.groups > 1}
    return (useful | {"fold": case.rank == 3}).get(form, True)


def method(part: Part) -> str:
    """What ``auto`` takes."""
    return choose.automatic(part.task).method


def is_peers(part: Part, form: str) -> bool:
    """Whether a form is the very program that ``jax.lax``'s is: XLA's convolution, as a dgrad."""
    return part.side == "dgrad" and form == "dilated"


def operator(part: Part, form: str) -> Callable[[Any, Any], Any]:
    """The two operands to the result, by a form."""
    task = part.task
    if form == PEER:
        return _LAX[part.side](part.case)
    algorithm = ALGORITHMS[method(part) if form == AUTO else form]
    return lambda a, b: compute(algorithm, a, b, task)


def program(
    part: Part, form: str, setting: Setting
) -> tuple[Callable[..., Any], list[jax.ShapeDtypeStruct], tuple[list[bool], bool]]:
    """A function, its arguments, and which of them and of its result the compiler may lay out."""
    inner = _activated(part, operator(part, form))
    a, b, out = part.shapes
    arguments, free = [a, b], [True, part.side == "wgrad"]
    if setting == "bare":
        return inner, _structs(part, arguments), (free, part.side != "wgrad")
    if part.side != "wgrad":
        arguments, free = [a, b, out[-1:]], [True, False, False]
    if setting == "lone":
        return inner, _structs(part, arguments), (free, part.side != "wgrad")
    around, kernels = _between(part, inner)
    return (
        around,
        _structs(part, [*arguments, *kernels]),
        ([*free, False, False], part.side != "wgrad"),
    )


def _structs(part: Part, shapes: list[Shape]) -> list[jax.ShapeDtypeStruct]:
    return [jax.ShapeDtypeStruct(shape, jnp.dtype(part.dtype)) for shape in shapes]


def _activated(part: Part, compute_side: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    def whole(a: Any, b: Any, *bias: Any) -> Any:
        out = compute_side(a, b)
        if bias:
            wide = part.task.accumulator
            out = jax.nn.relu(out.astype(wide) + bias[0].astype(wide))
        return out.astype(part.dtype)

    return whole


def _between(part: Part, inner: Callable[..., Any]) -> tuple[Callable[..., Any], list[Shape]]:
    """The same with a convolution before each array that has space, and behind the result."""
    a, b, out = part.shapes
    three = (3,) * part.case.rank
    if part.side == "wgrad":
        kernels = [(*three, a[-1], a[-1]), (*three, b[-1], b[-1])]
        return lambda a, b, u, v: inner(_neighbour(a, u), _neighbour(b, v)), kernels
    kernels = [(*three, a[-1], a[-1]), (*three, out[-1], out[-1])]

    def around(a: Any, w: Any, bias: Any, u: Any, v: Any) -> Any:
        return _neighbour(inner(_neighbour(a, u), w, bias), v)

    return around, kernels


def _neighbour(x: Any, w: Any) -> Any:
    rank = x.ndim - 2
    y = lax.conv_general_dilated(x, w, (1,) * rank, "SAME", dimension_numbers=numbers(rank))
    return jax.nn.relu(y)


def numbers(rank: int) -> tuple[str, str, str]:
    """Channels last, as ``jax.lax`` is told."""
    space = "DHWT"[:rank]
    return f"N{space}C", f"{space}IO", f"N{space}C"


def _lax_dgrad(case: Case) -> Callable[[Any, Any], Any]:
    reach, (lo, hi) = case.dilation * (case.kernel - 1), case.crops

    def transposed(x: Any, w: Any) -> Any:
        return lax.conv_general_dilated(
            x,
            lax.rev(w, range(case.rank)),
            (1,) * case.rank,
            [(reach - lo, reach - hi)] * case.rank,
            lhs_dilation=(case.stride,) * case.rank,
            rhs_dilation=(case.dilation,) * case.rank,
            dimension_numbers=numbers(case.rank),
            feature_group_count=case.groups,
        )

    return transposed


def _lax_fprop(case: Case) -> Callable[[Any, Any], Any]:
    def strided(y: Any, w: Any) -> Any:
        *kernel, c, out = w.shape
        groups = case.groups
        w = jnp.moveaxis(w.reshape(*kernel, c, groups, out // groups), -3, -1)
        return lax.conv_general_dilated(
            y,
            jnp.moveaxis(w, -3, -2).reshape(*kernel, out // groups, groups * c),
            (case.stride,) * case.rank,
            [case.crops] * case.rank,
            rhs_dilation=(case.dilation,) * case.rank,
            dimension_numbers=numbers(case.rank),
            feature_group_count=groups,
        )

    return strided


def _lax_wgrad(case: Case) -> Callable[[Any, Any], Any]:
    _, shape, _ = case.shapes("true")

    def gradient(x: Any, y: Any) -> Any:
        w = jnp.zeros(shape, x.dtype)
        return jax.vjp(lambda w: _lax_dgrad(case)(x, w), w)[1](y)[0]

    return gradient


_LAX = {"dgrad": _lax_dgrad, "fprop": _lax_fprop, "wgrad": _lax_wgrad}
