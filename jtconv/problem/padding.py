"""Our own names and numbers for padding, as crops of the full output.

A transposed convolution has one natural size: ``full``, where nothing is cropped.  Whatever a
framework calls padding is a number of cells cropped from the front (``lo``) and from the back
(``hi``) of that; a negative crop extends the output with zeros.  ``effective`` is the effective
kernel ``D = dilation*(kernel-1) + 1`` throughout.  How other frameworks count is in
``jtconv.conventions``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from jtconv.problem import arguments, symbolic

Crops = tuple[symbolic.Size, symbolic.Size]


def effective_kernels(kernel: Sequence[int], dilation: Sequence[int]) -> tuple[int, ...]:
    """The effective kernel of each axis: the cells that the dilated kernel spans."""
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


# What a convolution may read beyond the ends of its input instead of zeros, of which there would be
# as many as SAME has, and numpy.pad's word for it.
BORDERS = {"CIRCULAR": "wrap", "REFLECT": "reflect", "EDGE": "edge"}

# The names by which a convolution divides the size by the stride and rounds up.
AS_SAME = ("SAME", "SAME_LOWER", *BORDERS)


def from_name(name: str, effective: int, stride: int) -> Crops:
    """The crops that a named convention makes.

    >>> from_name("SAME", 3, 2), from_name("SAME_LOWER", 3, 2)
    ((0, 1), (1, 0))
    """
    return NAMES[name](effective, stride)


def names_of(crops: Crops, effective: int, stride: int) -> tuple[str, ...]:
    """The names that make these crops: the inverse of :func:`from_name`."""
    return tuple(name for name in NAMES if from_name(name, effective, stride) == crops)


def check_output_padding(
    output_padding: Sequence[int], stride: Sequence[int], dilation: Sequence[int]
) -> None:
    """Fewer cells than a stride or dilation, as in torch and ONNX."""
    for axis, (extra, s, d) in enumerate(zip(output_padding, stride, dilation, strict=True)):
        if extra >= max(s, d):
            raise ValueError(
                f"output_padding[{axis}] must be smaller than stride or dilation, that is "
                f"< {max(s, d)}, got {extra}."
            )


def of_convolution(name: str, size: Any, effective: int, stride: int) -> Crops:
    """The zeros a named convention puts before and after the input of a plain convolution."""
    if name == "FULL":
        return effective - 1, effective - 1
    if name == "VALID":
        return 0, 0
    if name == "CAUSAL":
        return effective - 1, 0
    total = symbolic.larger(effective - stride + -size % stride, 0)
    short, long = total // 2, total - total // 2
    return (short, long) if name == "SAME" else (long, short)


def along(transposed: bool, stated: str | Crops, size: int, effective: int, stride: int) -> Crops:
    """The crops, or a convolution's zeros, that a name or pair makes of an input of ``size``."""
    if not isinstance(stated, str):
        return stated
    if stated in BORDERS:
        stated = "SAME"
    if transposed:
        return from_name(stated, effective, stride)
    return of_convolution(stated, size, effective, stride)


def on_axes(stated: str | tuple[Crops, ...], rank: int) -> tuple[str | Crops, ...]:
    """What :func:`parse` gave, for each axis: its pair, or the name that all share."""
    return (stated,) * rank if isinstance(stated, str) else stated


def parse(padding: Any, rank: int, borders: bool = False) -> str | tuple[Crops, ...]:
    """What a user wrote for ``padding``: a name, or a ``(lo, hi)`` pair per axis.

    The names are those of :data:`NAMES`, and of :data:`BORDERS` where ``borders`` are taken, too.
    """
    names: tuple[str, ...] = (*NAMES, *(BORDERS if borders else ()))
    if isinstance(padding, str):
        return arguments.choice("padding", padding, names, any_case=True)
    items = arguments.sequence(padding)
    if items is None:
        if not hasattr(padding, "__index__") and not symbolic.is_symbolic(padding):
            raise TypeError(
                f"padding must be an int, one int or (lo, hi) pair per spatial axis, or one of "
                f"{', '.join(names)}; got {padding!r}."
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
    """``(lo, hi)``, either of which may be symbolic, as SAME of a symbolic size is."""
    if arguments.sequence(item) is None:
        item = (item, item)
    if len(item) == 2 and any(map(symbolic.is_symbolic, item)):
        lo, hi = (n if symbolic.is_symbolic(n) else arguments.integer(name, n) for n in item)
    else:
        lo, hi = arguments.per_axis(name, item, 2)
    return lo, hi
