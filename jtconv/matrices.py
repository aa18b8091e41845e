"""conv_matrix: a convolution as one explicit matrix, dense or sparse."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from jtconv.problem import arguments, dtypes, symbolic
from jtconv.problem.call import Call
from jtconv.problem.geometry import Axis
from jtconv.problem.padding import BORDERS
from jtconv.typing import DimensionNumbers, Padding, PerAxis


@arguments.suggests
def conv_matrix(
    w: ArrayLike,
    input_shape: Sequence[int],
    *,
    stride: PerAxis = 1,
    padding: Padding = 0,
    dilation: PerAxis = 1,
    groups: int = 1,
    dimension_numbers: DimensionNumbers = None,
    flip_kernel: bool = False,
    sparse: bool = False,
) -> Any:
    """The matrix C of a convolution: ``conv(x, w) == C @ x.ravel()``, reshaped.

    Its transpose is the transposed convolution: ``conv_transpose(y, w) == C.T @ y.ravel()``
    with the same kernel read as "HWOI". Differentiable in ``w``.

    Args:
        w: kernel, ``(*kernel, C_in // groups, C_out)``.
        input_shape: shape of one input of the convolution, without batch: ``(*spatial, C_in)``.
        stride, padding, dilation, groups, dimension_numbers, flip_kernel: as in :func:`conv`.
        sparse: a ``jax.experimental.sparse.BCOO`` of the non-zeros instead of a dense array.

    Returns:
        ``(outputs, inputs)``, both ravelled in the user's own layout.

    Raises:
        ValueError, TypeError: for a wrong argument, naming it, what it got and the fix.

    The banded matrix of Dumoulin and Visin (arXiv:1603.07285), section 4.1.

    >>> import jax.numpy as jnp
    >>> print(conv_matrix(jnp.array([1., 2., 3.])[:, None, None], (5, 1)))
    [[1. 2. 3. 0. 0.]
     [0. 1. 2. 3. 0.]
     [0. 0. 1. 2. 3.]]
    """
    w = dtypes.array("w", w)
    why = "the matrix has a row for every cell; call conv, which takes any size"
    symbolic.check_numbers("input_shape", arguments.sequence(input_shape) or (), why)
    shape = arguments.shape("input_shape", input_shape)
    if len(shape) != w.ndim - 1:
        raise ValueError(
            f"input_shape must have {w.ndim - 1} entries, one example without batch, to go with "
            f"a w of {w.ndim} axes; got {shape}."
        )
    call = Call.parse(
        "conv",
        shape,
        w.shape,
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
        dimension_numbers=dimension_numbers,
    )
    kernel = call.canonical_kernel(w, dtypes.flag("flip_kernel", flip_kernel))
    rows, columns, taps = _entries(call)
    size = math.prod(call.output_shape), math.prod(shape)
    alone = call.border is None  # else several taps may read one cell
    values = kernel.astype(dtypes.result_dtype(w.dtype, None)).ravel()[taps]
    if dtypes.flag("sparse", sparse):
        from jax.experimental.sparse import BCOO  # only here: it takes a while to import

        indices = jnp.asarray(np.stack([rows, columns], axis=-1))
        return BCOO((values, indices), shape=size, unique_indices=alone)
    # Added and not set: jax.experimental.jet knows of sums only.
    return jnp.zeros(size, values.dtype).at[rows, columns].add(values, unique_indices=alone)


def _entries(call: Call) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Row, column and tap (all ravelled) of every entry of C that can be non-zero."""
    g = call.geometry
    i, m, t = _spatial_entries(call)
    c_size, o_size = call.x_channels // g.groups, call.y_channels // g.groups
    group, c, o = (a.ravel() for a in np.mgrid[: g.groups, :c_size, :o_size])
    c_of_all, o_of_all = group * c_size + c, group * o_size + o
    outputs = _user_index(call, "output", (*g.x_size, call.x_channels))
    inputs = _user_index(call, "input", (*g.y_size, call.y_channels))
    rows = outputs[i[:, None] * call.x_channels + c_of_all]
    columns = inputs[m[:, None] * call.y_channels + o_of_all]
    taps = (t[:, None] * c_size + c) * call.y_channels + o_of_all
    return rows.ravel(), columns.ravel(), taps.ravel()


def _spatial_entries(call: Call) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Position in x, in y and in the kernel, ravelled over the axes, of every product."""
    in_x = in_y = in_kernel = np.zeros(1, int)
    for axis, whole, pads in zip(call.computed, call.geometry, call.pads, strict=True):
        i, m, t = _axis_entries(axis)
        if call.border is not None:
            mode: Any = BORDERS[call.border]
            m = np.pad(np.arange(whole.y_size), pads, mode=mode)[m]
        in_x = (in_x[:, None] * axis.x_size + i).ravel()
        in_y = (in_y[:, None] * whole.y_size + m).ravel()
        in_kernel = (in_kernel[:, None] * axis.kernel + t).ravel()
    return in_x, in_y, in_kernel


def _axis_entries(axis: Axis) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    pairs = [(i, t) for t in range(axis.kernel) for i in axis.inputs_of_tap(t)]
    i, t = np.array(pairs, int).reshape(-1, 2).T
    return i, axis.stride * i + axis.dilation * t - axis.lo, t


def _user_index(call: Call, side: str, canonical: tuple[int, ...]) -> np.ndarray:
    """For every cell in canonical order, its place in the user's ravelled array."""
    lay = call.layout
    spec = lay.specs[0 if side == "input" else 2].replace("N", "")
    order = [spec.index(letter) for letter in (*lay.spatial, "C")]
    shape = [0] * len(spec)
    for place, size in zip(order, canonical, strict=True):
        shape[place] = size
    return np.arange(math.prod(shape)).reshape(shape).transpose(order).ravel()
