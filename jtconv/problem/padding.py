"""Every padding convention as crops of the full output, and back.

A transposed convolution has one natural size: ``full``, every stamp kept.  Whatever a
framework calls padding is a number of cells cut from the front (``lo``) and from the back
(``hi``) of that; a negative crop extends the output with zeros.  ``effective`` is the
effective kernel ``D = dilation*(kernel-1) + 1`` throughout.

    torch, ONNX     padding p, output_padding op      lo = p          hi = p - op
    lax pads        (a, b) of the dilated input       lo = D - 1 - a  hi = D - 1 - b
    SAME, ...       names                             see NAMES
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

from jtconv.problem import arguments

Crops = tuple[int, int]


def spans(kernel: Sequence[int], dilation: Sequence[int]) -> tuple[int, ...]:
    """The effective kernel of each axis: cells that a stamp spans."""
    return tuple(d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True))


def _same(effective: int, stride: int) -> Crops:
    lo = max(effective - stride, 0) // 2
    return lo, effective - stride - lo


def _same_lower(effective: int, stride: int) -> Crops:
    hi = max(effective - stride, 0) // 2
    return effective - stride - hi, hi


# What each name crops from a transposed convolution, given D and the stride.
NAMES: dict[str, Callable[[int, int], Crops]] = {
    "SAME": _same,
    "SAME_LOWER": _same_lower,
    "VALID": lambda effective, stride: (0, min(effective - stride, 0)),
    "FULL": lambda effective, stride: (0, 0),
    "CAUSAL": lambda effective, stride: (0, effective - stride),
}


def from_name(name: str, effective: int, stride: int) -> Crops:
    """The crops that a named convention makes.

    >>> from_name("SAME", 3, 2), from_name("SAME_LOWER", 3, 2)
    ((0, 1), (1, 0))
    """
    return NAMES[name](effective, stride)


def names_of(crops: Crops, effective: int, stride: int) -> tuple[str, ...]:
    """The names that make these crops: the way back from :func:`from_name`."""
    return tuple(name for name in NAMES if from_name(name, effective, stride) == crops)


def from_torch(padding: int, output_padding: int = 0) -> Crops:
    """Crops of torch's ``padding`` and ``output_padding``."""
    return padding, padding - output_padding


def to_torch(crops: Crops, stride: int, dilation: int = 1) -> tuple[int, int] | None:
    """``(padding, output_padding)`` in torch's words, or None where torch has none.

    >>> to_torch((1, 0), stride=2), to_torch((0, 1), stride=2)
    ((1, 1), None)
    """
    lo, hi = crops
    sayable = lo >= 0 and 0 <= lo - hi < max(stride, dilation)
    return (lo, lo - hi) if sayable else None


def from_onnx(pads: Crops, output_padding: int = 0) -> Crops:
    """Crops of ONNX ``pads`` (begin, end) and ``output_padding``."""
    return pads[0], pads[1] - output_padding


def to_onnx(crops: Crops, stride: int, dilation: int = 1) -> tuple[Crops, int] | None:
    """``((begin, end), output_padding)`` in ONNX's words, or None where ONNX has none."""
    lo, hi = crops
    output_padding = max(-hi, 0)
    sayable = lo >= 0 and output_padding < max(stride, dilation)
    return ((lo, hi + output_padding), output_padding) if sayable else None


def from_keras(name: str, output_padding: int | None, effective: int, stride: int) -> Crops:
    """Crops of Keras's "valid" or "same" and its ``output_padding``, where None is not 0.

    As its JAX backend decides: "same" with a number makes ``(n-1)*s + D%2`` and so many more.
    """
    if output_padding is None:
        return from_name(name.upper(), effective, stride)
    if name.upper() == "VALID":
        return 0, -output_padding
    total = effective - effective % 2 - output_padding
    lo = max(total // 2, 0)
    return lo, total - lo


def to_keras(crops: Crops, effective: int, stride: int) -> tuple[str, int | None] | None:
    """``(padding, output_padding)`` in Keras's words, or None where Keras has none.

    >>> to_keras((0, 1), effective=3, stride=2), to_keras((1, 0), effective=3, stride=2)
    (('same', None), None)
    """
    for said in itertools.product(("same", "valid"), (None, *range(stride))):
        if from_keras(*said, effective, stride) == crops:
            return said
    return None


def from_lax(pads: Crops, effective: int) -> Crops:
    """Crops of ``jax.lax.conv_transpose``'s integer pads, which pad the dilated input."""
    return effective - 1 - pads[0], effective - 1 - pads[1]


def to_lax(crops: Crops, effective: int) -> Crops:
    """The pads of the dilated input that make these crops; there always are some."""
    return from_lax(crops, effective)


def circular(effective: int, stride: int, transposed: bool) -> tuple[Crops, Crops]:
    """What Flax's CIRCULAR wraps around a periodic input, and then crops from the output.

    One period of the output sees ``(before, behind)`` cells of the input's neighbouring periods.
    As in SAME the stamp is centred, ``transposed`` saying which way an odd cell goes.

    >>> circular(4, 2, transposed=True)
    ((1, 1), (3, 3))
    """
    excess = max(effective - stride, 0)
    lo = (excess + 1) // 2 if transposed else excess // 2
    before, behind = (effective - 1 - lo) // stride, -(-lo // stride)
    return (before, behind), (lo + before * stride, effective - stride - lo + behind * stride)


def of_convolution(name: str, size: int, effective: int, stride: int) -> Crops:
    """The zeros a named convention puts before and after the input of a plain convolution."""
    if name == "FULL":
        return effective - 1, effective - 1
    if name == "VALID":
        return 0, 0
    if name == "CAUSAL":
        return effective - 1, 0
    total = max((-(-size // stride) - 1) * stride + effective - size, 0)
    short, long = total // 2, total - total // 2
    return (short, long) if name == "SAME" else (long, short)


def parse(padding: Any, rank: int) -> str | tuple[Crops, ...]:
    """What a user wrote for ``padding``: a name, or a ``(lo, hi)`` pair per axis."""
    if isinstance(padding, str):
        return arguments.choice("padding", padding, tuple(NAMES), any_case=True)
    items = arguments.sequence(padding)
    if items is None:
        if padding is None or not hasattr(padding, "__index__"):
            raise TypeError(
                f"padding must be an int, one int or (lo, hi) pair per spatial axis, or one of "
                f"{', '.join(NAMES)}; got {padding!r}."
            )
        items = [padding] * rank
    if rank == 1 and len(items) == 2 and not any(map(arguments.sequence, items)):
        raise ValueError(
            f"padding must have one entry for one spatial axis, got 2: for a (lo, hi) pair "
            f"write ({padding!r},)."
        )
    if len(items) != rank:
        raise ValueError(
            f"padding must have one int or (lo, hi) pair per spatial axis, {rank} in all, "
            f"got {len(items)}: {padding!r}."
        )
    return tuple(_pair(f"padding[{axis}]", item) for axis, item in enumerate(items))


def _pair(name: str, item: Any) -> Crops:
    if arguments.sequence(item) is None:
        item = (item, item)
    lo, hi = arguments.per_axis(name, item, 2)
    return lo, hi
