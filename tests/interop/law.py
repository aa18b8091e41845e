"""jtconv.conv_transpose in NumPy, for sweeps over arguments: XLA would compile for long."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from jtconv.problem.call import Call
from jtconv.problem.geometry import Axis


def conv_transpose(
    x: Any, w: Any, bias: Any = None, *, flip_kernel: bool = False, method: Any = None,
    precision: Any = None, preferred_element_type: Any = None, **keywords: Any,
) -> np.ndarray:  # fmt: skip
    """One tap at a time, added to the full output, which is then cropped."""
    x, w = np.asarray(x), np.asarray(w)
    call = Call.parse("conv_transpose", x.shape, w.shape, **keywords)
    (x_spec, w_spec, y_spec), batched = call.layout.specs, call.layout.batched
    space, groups = call.layout.spatial, call.geometry.groups
    if not batched:
        x = np.expand_dims(x, x_spec.index("N"))
    x = x.transpose([x_spec.index(letter) for letter in f"N{space}C"])
    w = w.transpose([w_spec.index(letter) for letter in f"{space}IO"])
    w = np.flip(w, tuple(range(len(space)))) if flip_kernel else w
    if call.kernel_is_adjoint:  # (C_in, C_out // groups): each group has its own rows
        w = np.concatenate(np.split(w, groups, axis=-2), axis=-1)
    full = np.zeros((x.shape[0], *call.geometry.full, call.out_channels), x.dtype)
    for t in itertools.product(*map(range, call.geometry.kernel)):
        cells = [_outputs(axis, tap) for axis, tap in zip(call.geometry, t, strict=True)]
        parts = zip(np.split(x, groups, -1), np.split(w[t], groups, -1), strict=True)
        full[(slice(None), *cells)] += np.concatenate([part @ tap for part, tap in parts], -1)
    y = _cropped(full, call.geometry.crops)
    y = y if bias is None else y + np.asarray(bias)
    y = y.transpose([f"N{space}C".index(letter) for letter in y_spec])
    return y if batched else y.squeeze(y_spec.index("N"))


def _outputs(axis: Axis, tap: int) -> slice:
    """Where the products with this tap are added, on the full output."""
    first = axis.dilation * tap
    return slice(first, first + axis.stride * (axis.x_size - 1) + 1, axis.stride)


def _cropped(full: np.ndarray, crops: Any) -> np.ndarray:
    more = [(max(-lo, 0), max(-hi, 0)) for lo, hi in crops]
    full = np.pad(full, [(0, 0), *more, (0, 0)])
    sizes = full.shape[1:-1]
    kept = [slice(max(lo, 0), n - max(hi, 0)) for (lo, hi), n in zip(crops, sizes, strict=True)]
    return full[(slice(None), *kept)]
