"""jax.lax.conv_transpose, computed by jtconv."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
from jax.typing import ArrayLike, DTypeLike

from jtconv.interop import call
from jtconv.interop.call import PerAxis
from jtconv.problem import arguments, layout
from jtconv.problem import padding as conventions
from jtconv.problem.padding import Crops

_NAMES = call.Names("lhs", "rhs")
Padding = str | Sequence[tuple[int, int]]


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
        lhs: ``(batch, *spatial, C_in)``, or as ``dimension_numbers`` says.
        rhs: kernel, ``(*kernel, C_in, C_out)``; it is turned round unless ``transpose_kernel``,
            which has it ``(*kernel, C_out, C_in)``.
        strides: cells between stamps, one int per axis.
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
    lay = layout.parse(dimension_numbers, given.x.ndim, given.w.ndim)
    *kernel, _, _ = lay.canonical_shape(given.w.shape, operand=1)
    dilation = 1 if rhs_dilation is None else rhs_dilation
    x, w, y = lay.specs
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


def crops(
    kernel_size: Sequence[int],
    strides: Sequence[int],
    padding: Padding,
    rhs_dilation: int | Sequence[int] = 1,
    use_consistent_padding: bool = False,
) -> tuple[Crops, ...]:
    """What lax's arguments crop from the full output.

    "SAME" and "VALID" as :func:`jtconv.conv_transpose` has them; a number ``a`` crops
    ``D - 1 - a``, where ``D = dilation * (kernel - 1) + 1``, or ``a`` if padding is consistent.

    >>> crops((4,), (2,), [(0, 0)]), crops((4,), (2,), "VALID")
    (((3, 3),), ((0, 0),))
    """
    rank = len(kernel_size)
    stride = arguments.per_axis("strides", strides, rank, least=1)
    dilation = arguments.per_axis("rhs_dilation", rhs_dilation, rank, least=1)
    spans = conventions.spans(kernel_size, dilation)
    if isinstance(padding, str):
        return _named(padding, spans, stride, use_consistent_padding)
    pairs = _pairs(padding, rank)
    if use_consistent_padding:
        return pairs
    return tuple(conventions.from_lax(pair, span) for pair, span in zip(pairs, spans, strict=True))


def _named(name: str, spans: PerAxis, stride: PerAxis, consistent: bool) -> tuple[Crops, ...]:
    """A name's crops; lax takes those it does not know for names of the plain convolution."""
    columns = list(zip(spans, stride, strict=True))
    if name in ("SAME", "VALID"):
        return tuple(conventions.from_name(name, *column) for column in columns)
    plain = name.upper()
    if consistent or plain not in ("SAME", "SAME_LOWER", "VALID") or set(stride) != {1}:
        raise ValueError(
            f"padding must be 'SAME', 'VALID' or a (low, high) pair per axis in jax.lax, got "
            f"{name!r}; jtconv.conv_transpose knows more names, in any letter case."
        )
    pads = [conventions.of_convolution(plain, 1, span, 1) for span in spans]
    return tuple(conventions.from_lax(pair, span) for pair, span in zip(pads, spans, strict=True))


def _pairs(padding: Any, rank: int) -> tuple[Crops, ...]:
    items = arguments.sequence(padding)
    if items is None or len(items) != rank or not all(map(arguments.sequence, items)):
        raise ValueError(
            f"padding must be 'SAME', 'VALID' or one (low, high) pair per spatial axis, {rank} in "
            f"all, got {padding!r}."
        )
    pairs = (arguments.per_axis(f"padding[{axis}]", item, 2) for axis, item in enumerate(items))
    return tuple((low, high) for low, high in pairs)
