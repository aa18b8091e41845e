"""The size of the output: padding, output_padding and output_size, checked, to axes of the law."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jtconv.problem import arguments, padding, symbolic
from jtconv.problem.geometry import Axis

Columns = tuple[tuple[Any, int, int, int], ...]  # size, kernel, stride, dilation per axis


def conv_axes(columns: Columns, padding_arg: Any) -> tuple[Axis, ...]:
    """The axes of a convolution: its input is y."""
    rank = len(columns)
    pads = padding.on_axes(padding.parse(padding_arg, rank, borders=True), rank)
    axes = []
    for index, (m, k, s, d) in enumerate(columns):
        effective = d * (k - 1) + 1
        lo, hi = padding.along(False, pads[index], m, effective, s)
        if pads[index] in padding.AS_SAME:
            n = -(-m // s)  # by their definition, where a symbolic size would not show it
        else:
            n = (m + lo + hi - effective) // s + 1
            _check_holds_kernel(index, m, (lo, hi), effective)
        axes.append(Axis(n, k, m, s, d, lo))
    return tuple(axes)


def _check_holds_kernel(index: int, m: Any, pads: tuple[Any, Any], effective: int) -> None:
    padded = m + sum(pads)
    if not symbolic.at_least(padded, effective):
        hint = symbolic.constraint(padded, effective)
        raise ValueError(
            f"x: spatial axis {index} has {m} cells, {padded} with padding {pads}; a kernel "
            f"spanning {effective} needs at least as many{hint}. Pad more, or use a smaller "
            "kernel or dilation."
        )


def conv_transpose_axes(
    columns: Columns, padding_arg: Any, output_padding: Any, output_size: Any
) -> tuple[Axis, ...]:
    """The axes of a transposed convolution: its input is x."""
    rank = len(columns)
    crops = padding.parse(padding_arg, rank, borders=True)
    extra = arguments.per_axis("output_padding", output_padding, rank, least=0)
    if output_size is not None and any(extra):
        raise ValueError(
            f"output_padding must be 0 where output_size is given, got {output_padding!r}: "
            "output_size alone says how long the output is."
        )
    if crops in padding.BORDERS and any(extra):
        raise ValueError(
            f"output_padding must be 0 with padding={crops!r}, whose output has n * stride cells; "
            f"got {output_padding!r}."
        )
    axes, stated = [], padding.on_axes(crops, rank)
    for index, (n, k, s, d) in enumerate(columns):
        lo, hi = padding.along(True, stated[index], n, d * (k - 1) + 1, s)
        _check_output_padding(index, extra[index], s, d)
        axes.append(Axis.cropped(n, k, s, d, lo, hi - extra[index]))
    if output_size is not None:
        _check_not_symbolic(axes, output_size)
        axes = _sized(axes, crops, arguments.per_axis("output_size", output_size, rank))
    for index, axis in enumerate(axes):
        _check_not_empty(index, axis)
    return tuple(axes)


def _check_not_empty(index: int, axis: Axis) -> None:
    if not symbolic.at_least(axis.y_size, 1):
        hint = symbolic.constraint(axis.y_size, 1)
        raise ValueError(
            f"padding leaves no output on spatial axis {index}: the full size is {axis.full} "
            f"and the crops {axis.crops} leave {axis.y_size}, must be >= 1{hint}. Use less padding."
        )


def _check_not_symbolic(axes: list[Axis], output_size: Any) -> None:
    """Which sizes are legal depends on the input's, and is checked for one number."""
    for index, axis in enumerate(axes):
        if symbolic.is_symbolic(axis.x_size):
            raise ValueError(
                f"output_size must be None where the input has a symbolic size, {axis.x_size} on "
                f"spatial axis {index}, got {output_size!r}: padding and output_padding say what "
                "is cropped at every size."
            )


def _check_output_padding(index: int, extra: int, stride: int, dilation: int) -> None:
    if extra >= max(stride, dilation):
        raise ValueError(
            f"output_padding[{index}] must be smaller than stride or dilation, that is "
            f"< {max(stride, dilation)}, got {extra}. To lengthen the output further use a "
            "negative crop in padding."
        )


def _sized(axes: list[Axis], crops: Any, sizes: tuple[int, ...]) -> list[Axis]:
    """The axes with the asked output sizes, where these are legal."""
    sized = []
    for index, (axis, size) in enumerate(zip(axes, sizes, strict=True)):
        legal = legal_sizes(axis, crops if isinstance(crops, str) else None)
        if not legal:
            _check_not_empty(index, axis)
        if size not in legal:
            raise ValueError(
                f"output_size[{index}] must be one of {legal[0]} to {legal[-1]} for an input of "
                f"{axis.x_size} (kernel {axis.kernel}, stride {axis.stride}, dilation "
                f"{axis.dilation}, padding {crops!r}), got {size}."
            )
        sized.append(Axis(axis.x_size, axis.kernel, size, axis.stride, axis.dilation, axis.lo))
    return sized


def legal_sizes(axis: Axis, name: str | None = None) -> Sequence[Any]:
    """The output sizes whose convolution gives back ``axis.x_size``.

    ``axis`` is what padding alone gives; ``name`` the convention that made it, if one did.
    """
    if name in padding.BORDERS:
        return range(axis.y_size, axis.y_size + 1)
    if name in ("SAME", "SAME_LOWER", "CAUSAL"):
        return run((axis.x_size - 1) * axis.stride + 1, axis.stride)
    if name == "VALID":
        return run(axis.full, axis.stride)
    return positive_run(axis.y_size, max(axis.stride, axis.dilation))


def run(first: Any, count: int) -> Sequence[Any]:
    """``count`` sizes from ``first`` on; a range, but for symbolic ones."""
    if symbolic.is_symbolic(first):
        return tuple(first + more for more in range(count))
    return range(first, first + count)


def positive_run(first: Any, count: int) -> Sequence[Any]:
    """The same without sizes below 1, of which a symbolic one is taken to be none."""
    cut = 0 if symbolic.is_symbolic(first) else max(1 - first, 0)
    return run(first + cut, count - cut)
