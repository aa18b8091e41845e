"""A call piece by piece, checked: keywords and the kernel's shape to what pieces and state are.

Only shapes are looked at: ``jtconv.streaming`` and ``explain`` both come through here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from jtconv.problem import arguments, layout
from jtconv.problem import padding as paddings
from jtconv.problem.call import Call
from jtconv.problem.layout import Layout
from jtconv.problem.padding import Crops
from jtconv.problem.pieces import Carried, Pieces, carried
from jtconv.problem.task import accumulator
from jtconv.typing import Op

Shape = tuple[Any, ...]


@dataclass(frozen=True)
class StreamCall:
    """A checked stream, without the arrays.

    ``padding`` is a name, or a pair for every axis: of a transposed convolution always pairs.
    """

    op: Op
    axis: int
    w_shape: Shape
    dtype: np.dtype
    result: np.dtype
    stride: tuple[int, ...]
    padding: str | tuple[Crops, ...]
    dilation: tuple[int, ...]
    groups: int
    dimension_numbers: tuple[str, str, str]

    @classmethod
    def parse(
        cls,
        op: Op,
        axis: Any,
        w_shape: Shape,
        dtypes: tuple[np.dtype, np.dtype],
        *,
        stride: Any,
        padding: Any,
        dilation: Any,
        groups: Any,
        dimension_numbers: Any,
        output_padding: Any = 0,
        output_size: Any = None,
    ) -> StreamCall:
        """Check what can be checked before a piece is there."""
        lay = layout.parse(dimension_numbers, len(w_shape), len(w_shape))
        strides = arguments.per_axis("stride", stride, lay.rank, least=1)
        dilations = arguments.per_axis("dilation", dilation, lay.rank, least=1)
        kernel = lay.canonical_shape(w_shape, 1)[:-2]
        pads = _stated(op, padding, output_padding, (kernel, strides, dilations))
        call = cls(
            op,
            _axis(axis, lay.rank),
            w_shape,
            *dtypes,
            strides,
            pads,
            dilations,
            arguments.integer("groups", groups, least=1),
            lay.specs,
        )
        if output_size is not None:
            raise ValueError(
                f"output_size cannot be met piece by piece, got {output_size!r}: it says where the "
                f"whole ends, which a stream does not know. Give output_padding or (lo, hi) pairs; "
                f"with this padding, of whatever size, pieces need a latency of "
                f"{call.pieces.latency}."
            )
        return call

    @property
    def transposed(self) -> bool:
        """Whether it is the transposed convolution."""
        return self.op == "conv_transpose"

    def layout(self, batched: bool) -> Layout:
        """Where axes lie in arrays with a batch, or without."""
        return Layout(self.dimension_numbers, batched)

    @cached_property
    def _canonical_w(self) -> Shape:
        return self.layout(True).canonical_shape(self.w_shape, 1)

    @property
    def kernel(self) -> tuple[int, ...]:
        """Kernel cells along each axis."""
        return self._canonical_w[:-2]

    @cached_property
    def channels(self) -> tuple[tuple[int, int], ...]:
        """Input and output channels: of a kernel that may be laid out as its adjoint's, two."""
        *_, inputs, outputs = self._canonical_w
        spec, groups = self.dimension_numbers[1], self.groups
        plain = (inputs * groups, outputs)
        if groups == 1 or spec.index("I") < spec.index("O"):
            return (plain,)
        return plain, (inputs, outputs * groups)

    @cached_property
    def pieces(self) -> Pieces:
        """The integers along time."""
        a = self.axis
        columns = self.kernel[a], self.stride[a], self.dilation[a]
        stated = paddings.on_axes(self.padding, len(self.kernel))
        return Pieces.along(self.transposed, *columns, stated[a])

    @property
    def accumulator(self) -> np.dtype:
        """The dtype that begun outputs are held in."""
        return accumulator(self.dtype, self.result)

    @property
    def carried(self) -> Carried:
        """What goes from piece to piece."""
        return self.candidates[0]

    @cached_property
    def candidates(self) -> tuple[Carried, Carried]:
        """What is carried, the smaller of the two, and what could be instead."""
        others = math.prod(s for axis, s in enumerate(self.stride) if axis != self.axis)
        larger, smaller = (1, others) if self.transposed else (others, 1)
        inputs, outputs = self.channels[0]
        cells = larger * inputs * self.dtype.itemsize, smaller * outputs * self.accumulator.itemsize
        return carried(self.pieces, *cells)

    @property
    def unit(self) -> int:
        """The shortest piece."""
        return 1 if self.transposed else self.stride[self.axis]

    def time(self, ndim: int) -> tuple[int, int]:
        """Where time lies in the user's input and output of so many axes."""
        lay = self.layout(ndim == len(self.w_shape))
        letter = lay.spatial[self.axis]
        return lay.position(letter, 0), lay.position(letter, 2)

    def keywords(self, x_shape: Shape, along: Crops) -> dict[str, Any]:
        """Those of the operation on cells of the stream, with the given crops along time."""
        lay = self.layout(len(x_shape) == len(self.w_shape))
        stated = paddings.on_axes(self.padding, lay.rank)
        spans = paddings.effective_kernels(self.kernel, self.dilation)
        columns = zip(stated, lay.canonical_shape(x_shape)[1:-1], spans, self.stride, strict=True)
        pads = [paddings.along(self.transposed, *column) for column in columns]
        pads[self.axis] = along
        return {
            "stride": self.stride,
            "padding": pads,
            "dilation": self.dilation,
            "groups": self.groups,
            "dimension_numbers": self.dimension_numbers,
        }

    def output_shape(self, x_shape: Shape, cells: int) -> Shape:
        """The shape of ``cells`` outputs, for pieces like this one."""
        at_x, at_y = self.time(len(x_shape))
        shape = resized(x_shape, at_x, self.unit)
        keywords = self.keywords(shape, self.pieces.crops_before_outputs)
        call = Call.of_shapes(self.op, shape, self.w_shape, keywords, ("x", "w"))
        return resized(call.output_shape, at_y, cells)

    def check_piece(self, x_shape: Shape) -> None:
        """That a piece may have this shape."""
        lay = layout.parse(self.dimension_numbers, len(x_shape), len(self.w_shape))
        channels, known = x_shape[lay.position("C", 0)], [inputs for inputs, _ in self.channels]
        if channels not in known:
            raise ValueError(
                f"x must have the {' or '.join(map(str, known))} channels of this stream, whose w "
                f"is {self.w_shape} in {self.groups} groups; got {channels} in {x_shape}."
            )
        at = self.time(len(x_shape))[0]
        if not (x_shape[at] % self.unit == 0):  # so that what is symbolic must be known to be
            raise ValueError(
                f"x must have a multiple of the stride, {self.unit}, cells along time (axis {at}), "
                f"so that each output has its inputs; got {x_shape[at]}: feed "
                f"{_multiples(x_shape[at], self.unit)}."
            )

    def check_length(self, x_shape: Shape) -> None:
        """That a piece of an allowed shape is not empty: nothing comes out of no cells."""
        at = self.time(len(x_shape))[0]
        if isinstance(x_shape[at], int) and x_shape[at] < 1:
            raise ValueError(
                f"x must have at least {self.unit} cells along time (axis {at}), got {x_shape}: "
                "leave empty pieces out."
            )

    def check_state(self, given: Any, x_shape: Shape | None = None) -> None:
        """That this is the state for pieces of ``x_shape``; for some pieces, where that is None."""
        if not hasattr(given, "shape") or not hasattr(given, "dtype"):
            raise TypeError(
                "state must be the array that init, or the step before, returned; got "
                f"{type(given).__name__}."
            )
        side, dtype = (0, self.dtype) if self.carried.what == "inputs" else (2, self.accumulator)
        shape, ndim = tuple(given.shape), len(self.w_shape)
        lay = self.layout(len(x_shape or given.shape) == ndim)
        letters = lay.order(side)
        if x_shape is not None:
            expected = state_of(self, x_shape)[0]
        elif len(shape) in (ndim - 1, ndim):
            expected = resized(shape, lay.position(self._letter, side), self.carried.cells)
        else:
            expected = ("...",) * ndim
        if shape != expected:
            where = _difference(letters, expected, shape)
            pieces = f" for pieces of {x_shape}" if x_shape else ""
            raise ValueError(
                f"state must have shape {expected}{pieces}, got {shape}{where}: it is the state of "
                f"other pieces, or of another stream; this one carries {self.carried.cells} "
                f"{self.carried.what} along time."
            )
        if given.dtype != dtype:
            raise TypeError(
                f"state must be {dtype}, in which this stream carries {self.carried.what}, got "
                f"{given.dtype}: it is the state of another stream."
            )

    @property
    def _letter(self) -> str:
        return self.layout(True).spatial[self.axis]


def _difference(letters: str, expected: Shape, shape: Shape) -> str:
    """Along which axis a state is of another stream, or of other pieces."""
    names = {"N": "batch", "C": "channels"}
    for letter, wanted, got in zip(letters, expected, shape, strict=False):
        if len(shape) == len(expected) and wanted != got:
            return f", a {names.get(letter, f'size along {letter!r}')} of {got}, not {wanted}"
    return ""


@lru_cache(maxsize=1024)
def state_of(call: StreamCall, x_shape: Shape) -> tuple[Shape, np.dtype]:
    """Shape and dtype of the state that goes with pieces of this shape, which is checked."""
    call.check_piece(x_shape)
    held = call.carried
    outputs = call.output_shape(x_shape, held.cells)  # and all else that the operation checks
    if held.what == "inputs":
        return resized(x_shape, call.time(len(x_shape))[0], held.cells), call.dtype
    return outputs, call.accumulator


def resized(shape: Shape, axis: int, size: Any) -> Shape:
    """``shape`` with another size along ``axis``."""
    return (*shape[:axis], size, *shape[axis + 1 :])


def _stated(op: Op, padding: Any, output_padding: Any, columns: Any) -> str | tuple[Crops, ...]:
    """The padding as it was given, but pairs for a transposed convolution."""
    kernel, strides, dilations = columns
    pads = paddings.parse(padding, len(kernel), borders=True)
    if pads in paddings.BORDERS:
        raise ValueError(
            f"padding={pads!r} has no latency that is enough: what lies before the first cell "
            "depends on cells to come. Use CAUSAL, another name, or numbers."
        )
    if op == "conv":
        return pads
    extra = arguments.per_axis("output_padding", output_padding, len(kernel), least=0)
    paddings.check_output_padding(extra, strides, dilations)
    if isinstance(pads, str):
        spans = paddings.effective_kernels(kernel, dilations)
        pads = tuple(
            paddings.from_name(pads, *column) for column in zip(spans, strides, strict=True)
        )
    return tuple((lo, hi - more) for (lo, hi), more in zip(pads, extra, strict=True))


def _axis(axis: Any, rank: int) -> int:
    index = arguments.integer("axis", axis)
    if not -rank <= index < rank:
        raise ValueError(
            f"axis must be one of the {rank} spatial axes, {-rank} to {rank - 1}, got {index}."
        )
    return index % rank


def _multiples(size: Any, unit: int) -> str:
    if not isinstance(size, int):
        return f"a size that is one for certain, such as {unit}*t"
    below = size // unit * unit
    return f"{below} or {below + unit}" if below else f"{unit}"
