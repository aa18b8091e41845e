"""The answers in float64: the law, one kernel cell at a time, in NumPy.

    y[s*i + d*t - lo] += x[i] @ w[t]        dx[i] += g[...] @ w[t].T        dw[t] = x.T @ g[...]

A stamp's cell ``t`` meets a rectangle of inputs and an equally large strided lattice of
outputs, so each cell of the kernel is three matrix products.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from bench.cases import Case


def answers(arrays: dict[str, np.ndarray], case: Case) -> dict[str, np.ndarray]:
    """y (without bias) and the gradients by x, w and bias, for cotangent g."""
    x, w, g = (_by_group(arrays[name], case.groups) for name in "xwg")
    y, dx, dw = np.zeros_like(g), np.zeros_like(x), np.zeros_like(w)
    for t in itertools.product(range(case.kernel), repeat=case.rank):
        small, large = _overlap(t, case, x.shape[2:-1], g.shape[2:-1])
        if any(part.start >= part.stop for part in small[2:]):
            continue
        cell: tuple[Any, ...] = (slice(None), *t)
        y[large] += _each_group(x[small], w[cell])
        dx[small] += _each_group(g[large], w[cell].swapaxes(-1, -2))
        dw[cell] = _rows(x[small]).swapaxes(-1, -2) @ _rows(g[large])
    ungroup = {"y": y, "dx": dx, "dw": dw}
    found = {name: _ungroup(array) for name, array in ungroup.items()}
    return found | {"db": arrays["g"].sum(tuple(range(case.rank + 1)))}


def _by_group(a: np.ndarray, groups: int) -> np.ndarray:
    """``(..., groups * n)`` to ``(groups, ..., n)``."""
    return np.moveaxis(a.reshape(*a.shape[:-1], groups, -1), -2, 0).copy()


def _ungroup(a: np.ndarray) -> np.ndarray:
    a = np.moveaxis(a, 0, -2)
    return a.reshape(*a.shape[:-2], -1)


def _rows(a: np.ndarray) -> np.ndarray:
    return a.reshape(a.shape[0], -1, a.shape[-1])


def _each_group(a: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    return (_rows(a) @ matrix).reshape(*a.shape[:-1], matrix.shape[-1])


def _overlap(t: tuple[int, ...], case: Case, inputs: tuple, outputs: tuple) -> tuple:
    """The inputs whose cell ``t`` lands inside the output, and where it lands."""
    s, (lo, _) = case.stride, case.crops
    small, large = [], []
    for tap, n, m in zip(t, inputs, outputs, strict=True):
        shift = case.dilation * tap - lo
        first = max(0, -(shift // s))
        last = min(n - 1, (m - 1 - shift) // s)
        small.append(slice(first, last + 1))
        large.append(slice(s * first + shift, s * last + shift + 1, s))
    whole = (slice(None), slice(None))  # groups and batch
    return (*whole, *small), (*whole, *large)
