"""A convolution as one explicit matrix, dense or sparse."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental.sparse import BCOO
from jax.typing import ArrayLike

from jtconv import arguments, operands, request
from jtconv.geometry import Axis, Geometry
from jtconv.request import Request


def conv_matrix(
    w: ArrayLike,
    input_shape: Sequence[int],
    *,
    stride: int | Sequence[int] = 1,
    padding: Any = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
    dimension_numbers: Any = None,
    flip_kernel: bool = False,
    sparse: bool = False,
) -> jax.Array | BCOO:
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
    w = operands.array("w", w)
    shape = arguments.shape("input_shape", input_shape)
    if len(shape) != w.ndim - 1:
        raise ValueError(
            f"input_shape must have {w.ndim - 1} entries, one example without batch, to go with "
            f"a w of {w.ndim} axes; got {shape}."
        )
    asked = request.parse(
        "conv",
        shape,
        w.shape,
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
        dimension_numbers=dimension_numbers,
    )
    kernel = asked.kernel_of_the_law(w, operands.flag("flip_kernel", flip_kernel))
    rows, columns, cells = _entries(asked)
    size = math.prod(asked.output_shape), math.prod(shape)
    values = kernel.astype(operands.result_dtype(w.dtype, None)).ravel()[cells]
    if operands.flag("sparse", sparse):
        indices = jnp.asarray(np.stack([rows, columns], axis=-1))
        return BCOO((values, indices), shape=size, unique_indices=True)
    return jnp.zeros(size, values.dtype).at[rows, columns].set(values, unique_indices=True)


def _entries(asked: Request) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Row, column and kernel cell (all ravelled) of every entry of C that can be non-zero."""
    g = asked.geometry
    small, large, kernel = _spatial_entries(g)
    depth, width = asked.small_channels // g.groups, asked.large_channels // g.groups
    group, c, o = (a.ravel() for a in np.mgrid[: g.groups, :depth, :width])
    c_of_all, o_of_all = group * depth + c, group * width + o
    outputs = _user_index(asked, "output", (*g.input, asked.small_channels))
    inputs = _user_index(asked, "input", (*g.output, asked.large_channels))
    rows = outputs[small[:, None] * asked.small_channels + c_of_all]
    columns = inputs[large[:, None] * asked.large_channels + o_of_all]
    cells = (kernel[:, None] * depth + c) * asked.large_channels + o_of_all
    return rows.ravel(), columns.ravel(), cells.ravel()


def _spatial_entries(g: Geometry) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Input cell, output cell and kernel cell, ravelled over the axes, of every product."""
    small = large = kernel = np.zeros(1, int)
    for axis in g:
        i, m, t = _axis_entries(axis)
        small = (small[:, None] * axis.input + i).ravel()
        large = (large[:, None] * axis.output + m).ravel()
        kernel = (kernel[:, None] * axis.kernel + t).ravel()
    return small, large, kernel


def _axis_entries(axis: Axis) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    pairs = [(i, t) for t in range(axis.kernel) for i in axis.inputs_of_tap(t)]
    i, t = np.array(pairs, int).reshape(-1, 2).T
    return i, axis.stride * i + axis.dilation * t - axis.lo, t


def _user_index(asked: Request, side: str, canonical: tuple[int, ...]) -> np.ndarray:
    """For every cell in canonical order, its place in the user's ravelled array."""
    lay = asked.layout
    spec = lay.specs[0 if side == "input" else 2].replace("N", "")
    order = [spec.index(letter) for letter in (*lay.spatial, "C")]
    shape = [0] * len(spec)
    for place, size in zip(order, canonical, strict=True):
        shape[place] = size
    return np.arange(math.prod(shape)).reshape(shape).transpose(order).ravel()
