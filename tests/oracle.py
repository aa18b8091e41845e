"""The law written down twice, sharing no line with the package.

``conv_transpose`` and its two companions are NumPy loops over products in float64, for values.
``formula`` is one einsum with a table of who meets whom: slow and plain, but JAX derives and
transforms it as often as asked, so it is what derivatives are compared with.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tests.cases import Case


def wide(a: Any) -> np.ndarray:
    """The array in the widest dtype of its kind."""
    a = np.asarray(a)
    if a.dtype.kind == "i":
        return a.astype(np.int64)
    return a.astype(np.complex128 if a.dtype.kind == "c" else np.float64)


def _stamps(case: Case) -> Iterator[tuple[tuple, tuple, tuple, slice, slice]]:
    """Indices of x, of w and of y that meet, with the channels of x and of y in each group."""
    depth, width = case.channels // case.groups, case.features // case.groups
    for i in itertools.product(*map(range, case.x_size)):
        for t in itertools.product(*map(range, case.kernel)):
            columns = zip(i, t, case.stride, case.dilation, case.crops, strict=True)
            cell = tuple(s * a + d * b - lo for a, b, s, d, (lo, _) in columns)
            if all(0 <= c < m for c, m in zip(cell, case.y_size, strict=True)):
                for g in range(case.groups):
                    inside = slice(g * depth, (g + 1) * depth)
                    outside = slice(g * width, (g + 1) * width)
                    yield (slice(None), *i), t, (slice(None), *cell), inside, outside


def conv_transpose(x: Any, w: Any, case: Case) -> np.ndarray:
    """``y[n, s*i + d*t - lo, o] += x[n, i, c] * w[t, c, o]``."""
    x, w = wide(x), wide(w)
    y = np.zeros(case.y_shape, x.dtype)
    for i, t, cell, inside, outside in _stamps(case):
        y[(*cell, outside)] += x[(*i, inside)] @ w[(*t, slice(None), outside)]
    return y


def conv(y: Any, w: Any, case: Case) -> np.ndarray:
    """``x[n, i, c] += y[n, s*i + d*t - lo, o] * w[t, c, o]``."""
    y, w = wide(y), wide(w)
    x = np.zeros(case.x_shape, y.dtype)
    for i, t, cell, inside, outside in _stamps(case):
        x[(*i, inside)] += y[(*cell, outside)] @ w[(*t, slice(None), outside)].T
    return x


def kernel_gradient(x: Any, y: Any, case: Case) -> np.ndarray:
    """``w[t, c, o] += x[n, i, c] * y[n, s*i + d*t - lo, o]``."""
    x, y = wide(x), wide(y)
    w = np.zeros(case.w_shape, x.dtype)
    for i, t, cell, inside, outside in _stamps(case):
        w[(*t, slice(None), outside)] += x[(*i, inside)].T @ y[(*cell, outside)]
    return w


def _meetings(case: Case) -> list[np.ndarray]:
    """Per axis, ``E[i, t, m] = 1`` where input i and kernel cell t land on output m."""
    tables = []
    columns = zip(
        case.x_size, case.kernel, case.y_size, case.stride, case.dilation, case.crops, strict=True
    )
    for n, k, m, s, d, (lo, _) in columns:
        place = s * np.arange(n)[:, None] + d * np.arange(k) - lo
        tables.append((place[:, :, None] == np.arange(m)).astype(float))
    return tables


def formula(x: Any, w: Any, case: Case) -> jax.Array:
    """The law as one einsum over x, w and the tables of meetings."""
    rank = len(case.x_size)
    i, t, m = "abcd"[:rank], "ijkl"[:rank], "uvwx"[:rank]
    x = x.reshape(*x.shape[:-1], case.groups, -1)
    w = w.reshape(*w.shape[:-1], case.groups, case.features // case.groups)
    words = [f"n{i}gy", f"{t}ygz", *("".join(word) for word in zip(i, t, m, strict=True))]
    y = jnp.einsum(f"{','.join(words)}->n{m}gz", x, w, *_meetings(case))
    return y.reshape(*y.shape[:-2], case.features)
