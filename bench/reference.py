"""The answers in float64: the law, one tap of the kernel at a time, in NumPy.

    y[s*i + d*t - lo] += x[i] @ w[t]        dx[i] += g[...] @ w[t].T        dw[t] = x.T @ g[...]

A tap ``t`` joins a rectangle of inputs to an equally large strided lattice of outputs, so each
tap is three matrix products.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from bench.cases import Case
from bench.program import Array


def answers(arrays: dict[str, Array], case: Case) -> dict[str, Array]:
    """y (without bias) and the gradients by x, w and bias, for cotangent g."""
    x, w, g = (_by_group(arrays[name], case.groups) for name in "xwg")
    y, dx, dw = np.zeros_like(g), np.zeros_like(x), np.zeros_like(w)
    for t in itertools.product(range(case.kernel), repeat=case.rank):
        inputs, outputs = _valid(t, case, x.shape[2:-1], g.shape[2:-1])
        if any(part.start >= part.stop for part in inputs[2:]):
            continue
        tap: tuple[slice | int, ...] = (slice(None), *t)
        y[outputs] += _each_group(x[inputs], w[tap])
        dx[inputs] += _each_group(g[outputs], w[tap].swapaxes(-1, -2))
        dw[tap] = _rows(x[inputs]).swapaxes(-1, -2) @ _rows(g[outputs])
    found = {name: _ungroup(array) for name, array in {"y": y, "dx": dx, "dw": dw}.items()}
    return found | {"db": arrays["g"].sum(tuple(range(case.rank + 1)))}


def _valid(
    t: Sequence[int], case: Case, x_size: Sequence[int], y_size: Sequence[int]
) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """The inputs for which tap ``t`` falls inside the output, and the outputs it falls on."""
    s, (lo, _) = case.stride, case.crops
    inputs, outputs = [slice(None)] * 2, [slice(None)] * 2  # groups and batch
    for tap, n, m in zip(t, x_size, y_size, strict=True):
        shift = case.dilation * tap - lo
        first = max(0, -(shift // s))
        last = min(n - 1, (m - 1 - shift) // s)
        inputs.append(slice(first, last + 1))
        outputs.append(slice(s * first + shift, s * last + shift + 1, s))
    return tuple(inputs), tuple(outputs)


def _by_group(a: Array, groups: int) -> Array:
    """``(..., groups * n)`` to ``(groups, ..., n)``."""
    return np.moveaxis(a.reshape(*a.shape[:-1], groups, -1), -2, 0).copy()


def _ungroup(a: Array) -> Array:
    a = np.moveaxis(a, 0, -2)
    return a.reshape(*a.shape[:-2], -1)


def _rows(a: Array) -> Array:
    return a.reshape(a.shape[0], -1, a.shape[-1])


def _each_group(a: Array, matrix: Array) -> Array:
    product: Array = _rows(a) @ matrix
    return product.reshape(*a.shape[:-1], matrix.shape[-1])
