"""jax.lax.conv_transpose and conv_general_dilated, computed by jtconv."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
from jax import lax
from jax.typing import ArrayLike, DTypeLike

from jtconv.conventions.lax import Padding, crops
from jtconv.interop import call
from jtconv.problem import arguments, dtypes, layout
from jtconv.rewrite.function import accelerating

__all__ = ["conv_general_dilated", "conv_transpose", "crops"]
_NAMES = call.Names("lhs", "rhs")


@arguments.suggests
def conv_transpose(
    lhs: ArrayLike,
    rhs: ArrayLike,
    strides: Sequence[int],
    padding: Padding,
    rhs_dilation: Sequence[int] | None = None,
    dimension_numbers: Any = None,
    transpose_kernel: bool = False,
    precision: Any = None,
    preferred_element_type: DTypeLike | None = None,
    use_consistent_padding: bool = False,
) -> jax.Array:
    """``jax.lax.conv_transpose``, argument for argument.

    Args:
        lhs: ``(batch, *spatial, C_in)``, or as ``dimension_numbers`` has it.
        rhs: kernel, ``(*kernel, C_in, C_out)``; it is flipped unless ``transpose_kernel``,
            which has it ``(*kernel, C_out, C_in)``.
        strides: distance between the outputs of neighbouring input cells, one int per axis.
        padding: "SAME", "VALID", or a ``(low, high)`` pair per axis: cells put around the
            dilated input, or, with ``use_consistent_padding``, cropped from the full output.
            Any other name lax takes for that of a plain convolution of the dilated input,
            which it knows only where every stride is 1.
        rhs_dilation: cells between those of the kernel, one int per axis.
        dimension_numbers: three strings, or a ``jax.lax.ConvDimensionNumbers``.
        transpose_kernel: whether ``rhs`` is the kernel of the convolution this is the
            transpose of.
        precision, preferred_element_type: as in :func:`jtconv.conv_transpose`.
        use_consistent_padding: what numbers in ``padding`` mean.

    Raises:
        ValueError, TypeError: for a wrong argument, and where lax would answer with an array
            without cells.

    >>> import jax.numpy as jnp
    >>> x, w = jnp.ones((1, 8, 3)), jnp.ones((4, 3, 2))
    >>> conv_transpose(x, w, (2,), "VALID").shape, conv_transpose(x, w, (2,), [(0, 0)]).shape
    ((1, 18, 2), (1, 12, 2))
    """
    given = call.arrays(_NAMES, lhs, rhs, unbatched=False)
    parsed = layout.parse(dimension_numbers, given.x.ndim, given.w.ndim)
    *kernel, _, _ = parsed.canonical_shape(given.w.shape, operand=1)
    dilation = 1 if rhs_dilation is None else rhs_dilation
    x, w, y = parsed.specs
    return call.transposed(
        given,
        (x, w.translate(str.maketrans("IO", "OI")) if transpose_kernel else w, y),
        1,
        crops(kernel, strides, padding, dilation, use_consistent_padding),
        stride=strides,
        dilation=dilation,
        flip_kernel=not transpose_kernel,
        precision=precision,
        preferred_element_type=preferred_element_type or given.x.dtype,
    )


def conv_general_dilated(
    lhs: jax.Array,
    rhs: jax.Array,
    window_strides: Sequence[int],
    padding: str | Sequence[tuple[int, int]],
    lhs_dilation: Sequence[int] | None = None,
    rhs_dilation: Sequence[int] | None = None,
    dimension_numbers: Any = None,
    feature_group_count: int = 1,
    batch_group_count: int = 1,
    precision: Any = None,
    preferred_element_type: DTypeLike | None = None,
    out_sharding: Any = None,
) -> jax.Array:
    """``jax.lax.conv_general_dilated``, argument for argument, by jtconv where that is faster.

    It is lax's own function under :func:`jtconv.accelerate`, gradients included, and may stand
    wherever lax's is asked for, as in the ``conv_general_dilated`` of Flax's ``Conv``.

    Args:
        lhs, rhs, window_strides, padding, lhs_dilation, rhs_dilation, dimension_numbers,
            feature_group_count, batch_group_count, precision, preferred_element_type,
            out_sharding: as in lax.

    Raises:
        ValueError, TypeError: as lax does, and for lists and numbers in place of arrays.

    >>> import jax.numpy as jnp
    >>> conv_general_dilated(jnp.ones((1, 3, 8)), jnp.ones((6, 1, 4)), (2,), "SAME",
    ...                      feature_group_count=3).shape
    (1, 6, 4)
    """
    dtypes.check_array("lhs", lhs)
    dtypes.check_array("rhs", rhs)
    with accelerating():
        return lax.conv_general_dilated(
            lhs,
            rhs,
            window_strides,
            padding,
            lhs_dilation,
            rhs_dilation,
            dimension_numbers,
            feature_group_count,
            batch_group_count,
            precision,
            preferred_element_type,
            out_sharding,
        )
