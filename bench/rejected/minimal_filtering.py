"""Minimal filtering F(2,2): two neighbouring outputs from three products instead of four.

Where every phase has two taps along an axis, the trilinear form of two neighbours,

    x[-1]*w[1]*y[0] + x[0]*w[0]*y[0] + x[0]*w[1]*y[1] + x[1]*w[0]*y[1],

is a sum of three products of sums, which is rank three, not four:

    (x[-1] - x[0])*w[1]*y[0] + x[0]*(w[0] + w[1])*(y[0] + y[1]) + (x[1] - x[0])*w[0]*y[1].

Nested over two axes it takes 9/16 of the multiply-adds, with numbers that are only added.
Winograd, "Arithmetic complexity of computations" (1980); Lavin and Gray (arXiv:1509.09308).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from bench.cases import CASES, Case
from bench.program import Array
from bench.rejected import Trial, measure
from jtconv.algorithms import gemm
from jtconv.algorithms.common import arrays
from jtconv.problem.geometry import Axis
from jtconv.problem.task import Side, Task

LAYERS = ("dcgan4", "pix2pix", "pose3", "hifigan3", "volume4")


def trials() -> list[Trial]:
    """Every side of layers whose kernels are two strides long, against gemm."""
    sides: dict[Side, str] = {"dgrad": "xw", "fprop": "yw", "wgrad": "xy"}
    layers = [case for case in CASES if case.name in LAYERS]
    return [
        trial for case in layers for side in sides for trial in _trials(case, side, sides[side])
    ]


def _trials(case: Case, side: Side, roles: str) -> list[Trial]:
    rng, shapes = np.random.default_rng(0), dict(zip("xwy", case.shapes("small"), strict=True))
    drawn = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    single, double = (_task(side, case, np.dtype(dtype)) for dtype in ("float32", "float64"))
    with jax.enable_x64(True):
        wide = (jnp.asarray(drawn[name], jnp.float64) for name in roles)
        exact: Array = np.asarray(getattr(gemm, side)(*wide, double))
    forms = {
        "gemm": _bound(getattr(gemm, side), single),
        "F(2,2)": _bound({"dgrad": dgrad, "fprop": fprop, "wgrad": wgrad}[side], single),
    }
    operands = tuple(jnp.asarray(drawn[name]) for name in roles)
    return measure(f"{case.name} {side}", forms, operands, exact)


def _task(side: Side, case: Case, dtype: np.dtype[Any]) -> Task:
    c, o = case.channels
    return Task(side, case.geometry("small"), case.small[0], c, o, dtype, dtype)


def _bound(side: Callable[..., jax.Array], task: Task) -> Callable[..., jax.Array]:
    return lambda a, b: side(a, b, task)


def dgrad(x: jax.Array, w: jax.Array, task: Task) -> jax.Array:
    """x, w -> y."""
    products = [a @ b for a, b in zip(_of_x(x, task), _of_w(w, task), strict=True)]
    return _adjoint(_of_y, (task.batch, *task.geometry.y_size, task.y_channels), task, products)


def fprop(y: jax.Array, w: jax.Array, task: Task) -> jax.Array:
    """y, w -> x."""
    products = [a @ b.T for a, b in zip(_of_y(y, task), _of_w(w, task), strict=True)]
    return _adjoint(_of_x, (task.batch, *task.geometry.x_size, task.x_channels), task, products)


def wgrad(x: jax.Array, y: jax.Array, task: Task) -> jax.Array:
    """x, y -> w."""
    products = [a.T @ b for a, b in zip(_of_x(x, task), _of_y(y, task), strict=True)]
    return _adjoint(
        _of_w, (*task.geometry.kernel, task.x_channels_per_group, task.y_channels), task, products
    )


def _adjoint(
    form: Callable[[jax.Array, Task], list[jax.Array]],
    shape: tuple[int, ...],
    task: Task,
    products: list[jax.Array],
) -> jax.Array:
    blank = jax.ShapeDtypeStruct(shape, products[0].dtype)
    (adjoint,) = jax.linear_transpose(lambda a: form(a, task), blank)(products)
    return jnp.asarray(adjoint)


def _blocks(a: Axis) -> int:
    """Blocks of two strides that the output touches."""
    return -(-(a.lo % a.stride + a.y_size) // (2 * a.stride))


def _of_x(x: jax.Array, task: Task) -> list[jax.Array]:
    """The sums of x, 3 an axis, as rows."""
    parts = [x]
    for number, a in enumerate(task.geometry, 1):
        length, first = 2 * _blocks(a) + 1, a.lo // a.stride - 1
        margins = [(0, 0)] * x.ndim
        margins[number] = (-first, first + length - a.x_size)
        new = []
        for part in parts:
            whole = arrays.pad(part, margins)
            before, here, behind = (
                lax.slice_in_dim(whole, k, length - 2 + k, 2, axis=number) for k in range(3)
            )
            new += [before - here, here, behind - here]
        parts = new
    return [part.reshape(-1, task.x_channels) for part in parts]


def _of_w(w: jax.Array, task: Task) -> list[jax.Array]:
    """The sums of the kernel, as matrices ``(C, s * O)``."""
    parts = [w]
    for number, stride in enumerate(task.geometry.stride):
        halves = [jnp.split(part, [stride], axis=number) for part in parts]
        parts = [sum_ for first, second in halves for sum_ in (second, first + second, first)]
    return [jnp.moveaxis(part, -2, 0).reshape(task.x_channels, -1) for part in parts]


def _of_y(y: jax.Array, task: Task) -> list[jax.Array]:
    """The sums of y, as rows of a stride each."""
    g = task.geometry
    counts, rank = [_blocks(a) for a in g], len(g)
    lengths = [2 * a.stride * count for a, count in zip(g, counts, strict=True)]
    y = arrays.window(y, [-(a.lo % a.stride) for a in g], lengths)
    space = itertools.chain(*((n, 2, a.stride) for n, a in zip(counts, g, strict=True)))
    parts = [y.reshape(y.shape[0], *space, task.y_channels)]
    for number in range(rank):
        both = [
            [lax.index_in_dim(part, k, 2 + 2 * number, False) for k in range(2)] for part in parts
        ]
        parts = [sum_ for first, second in both for sum_ in (first, first + second, second)]
    order = [0, *range(1, 2 * rank, 2), *range(2, 2 * rank + 1, 2), 2 * rank + 1]
    rows = y.shape[0] * math.prod(counts)
    return [jnp.transpose(part, order).reshape(rows, -1) for part in parts]
