"""The law as a plain NumPy loop in float64 (or wider): shares no line with the package."""

from __future__ import annotations

import itertools

import numpy as np


def conv_transpose(x, w, *, stride, dilation, crops, groups=1):
    """``y[n, s*i + d*t - lo, o] += x[n, i, c] * w[t, c, o]``, for channels-last arrays."""
    wide = np.result_type(x.dtype, np.float64) if x.dtype.kind != "i" else np.int64
    x, w = x.astype(wide), w.astype(wide)
    rank = x.ndim - 2
    space, kernel = x.shape[1:-1], w.shape[:rank]
    depth, out_channels = w.shape[-2:]
    width = out_channels // groups
    columns = zip(space, kernel, stride, dilation, crops, strict=True)
    out = [(n - 1) * s + d * (k - 1) + 1 - lo - hi for n, k, s, d, (lo, hi) in columns]
    y = np.zeros((x.shape[0], *out, out_channels), wide)
    for i in itertools.product(*map(range, space)):
        for t in itertools.product(*map(range, kernel)):
            cell = [s * a + d * b - lo for a, b, s, d, (lo, _) in zip(i, t, stride, dilation, crops)]
            if not all(0 <= c < m for c, m in zip(cell, out)):
                continue
            for g in range(groups):
                inputs = x[(slice(None), *i, slice(g * depth, (g + 1) * depth))]
                columns_of_g = slice(g * width, (g + 1) * width)
                y[(slice(None), *cell, columns_of_g)] += inputs @ w[(*t, slice(None), columns_of_g)]
    return y
