"""The law piece by piece: one axis fed a few cells at a time, in integers.

A transposed convolution makes ``s`` cells of each cell that it is fed, a convolution one of every
``s``, and some of what they make needs cells of the piece before.  With ``D = d*(k-1) + 1``, the
effective kernel, and N cells of ``x`` in all, whatever the pieces they came in:

**Transposed convolution.**  Cell ``m`` of the full output sums ``x[i] * w[t]`` with
``s*i + d*t = m``, so ``i <= m / s``: once N cells are in, the full output is final before ``s*N``.
Pieces that are ``s`` times as long as what is fed are the full output from ``-delay`` on.  The
whole result starts at ``lo`` and ends at ``s*N + D - s - hi``.  Pieces may not start behind it,
nor end behind it, nor hold what is not final yet::

    delay   = max(0, -lo, hi - (D - s))
    latency = lo + delay                  cells in front that are not of the whole result
    tail    = D - s - hi + delay          cells of it that the pieces do not reach

The first cell of a piece that starts at ``x[i]`` is ``s*i - delay``, and reads back to
``x[i - (D - 1 + delay) // s]``: that many *inputs* are carried.  Or the sums are: the cells before
``s*i`` reach to ``s*(i-1) + D``, so ``D - s + delay`` *outputs* have begun and not left.

**Convolution.**  ``x[i]`` reads ``y[s*i - lo]`` to ``y[s*i + D - 1 - lo]``, so with ``s*N`` cells
of ``y`` in, ``x`` is final before ``N - (D - 1 - lo) // s``, and the whole result ends at
``N - (D - 1 - lo - hi) // s``::

    delay   = max(0, (D - 1 - lo) // s, (D - 1 - lo - hi) // s)
    latency = delay
    tail    = delay - (D - 1 - lo - hi) // s

The first cell of a piece reads back ``s*delay + lo`` cells: so many *inputs* are carried, or the
``ceil(. / s)`` *outputs* that have begun.

Whichever is carried, a step is the operation itself on one piece, under the crops given here, and
these do not depend on how long the piece is.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from jtconv.problem import padding
from jtconv.problem.geometry import Axis
from jtconv.problem.padding import Crops


@dataclass(frozen=True)
class Pieces:
    """One axis piece by piece: ``crops`` of the whole, or the zeros around a convolution's input.

    >>> causal = Pieces(True, kernel=4, stride=2, dilation=1, crops=(0, 2))
    >>> causal.latency, causal.tail, causal.inputs, causal.outputs
    (0, 0, 1, 2)
    >>> same = Pieces(True, kernel=4, stride=2, dilation=1, crops=(1, 1))
    >>> same.latency, same.tail
    (1, 1)
    """

    transposed: bool
    kernel: int
    stride: int
    dilation: int
    crops: Crops

    @classmethod
    def along(
        cls, transposed: bool, kernel: int, stride: int, dilation: int, stated: str | Crops
    ) -> Pieces:
        """The pieces along an axis whose padding is ``stated``: a name, or a pair."""
        effective = dilation * (kernel - 1) + 1
        # The zeros of SAME are these at every length that pieces add up to: multiples of a stride.
        crops = padding.along(transposed, stated, stride, effective, stride)
        return cls(transposed, kernel, stride, dilation, crops)

    @property
    def effective_kernel(self) -> int:
        """D of the law."""
        return self.dilation * (self.kernel - 1) + 1

    @property
    def ratio(self) -> Fraction:
        """Cells that come out for each that goes in."""
        return Fraction(self.stride) if self.transposed else Fraction(1, self.stride)

    @property
    def receptive_field(self) -> int:
        """Input cells, at most, that one output cell spans."""
        axis = Axis.cropped(1, self.kernel, self.stride, self.dilation)
        return axis.receptive_field if self.transposed else self.effective_kernel

    @property
    def delay(self) -> int:
        """Cells by which a piece's first output lies before its first input."""
        (lo, hi), s, d = self.crops, self.stride, self.effective_kernel
        if self.transposed:
            return max(0, -lo, hi - (d - s))
        return max(0, (d - 1 - lo) // s, (d - 1 - lo - hi) // s)

    @property
    def latency(self) -> int:
        """Cells that come out before the first of the whole result."""
        return self.delay + (self.crops[0] if self.transposed else 0)

    @property
    def tail(self) -> int:
        """Cells of the whole result that come out after the last piece."""
        (lo, hi), s, d = self.crops, self.stride, self.effective_kernel
        return self.delay + (d - s - hi if self.transposed else -((d - 1 - lo - hi) // s))

    @property
    def inputs(self) -> int:
        """Input cells to carry from piece to piece, where inputs are carried."""
        s = self.stride
        if self.transposed:
            return (self.effective_kernel - 1 + self.delay) // s
        return max(s * self.delay + self.crops[0], 0)

    @property
    def outputs(self) -> int:
        """Sums to carry from piece to piece, where sums are carried."""
        if self.transposed:
            return max(self.effective_kernel - self.stride + self.delay, 0)
        return -(-self.inputs // self.stride)

    @property
    def crops_after_inputs(self) -> Crops:
        """Crops of a step on the carried inputs and a piece, which gives the piece's outputs."""
        s, d, delay = self.stride, self.effective_kernel, self.delay
        if self.transposed:
            return s * self.inputs - delay, d - s + delay
        start = s * delay + self.crops[0]
        return start - self.inputs, d - s - start

    @property
    def crops_of_tail(self) -> Crops:
        """Crops of the last step, on the carried inputs alone."""
        return self.crops_after_inputs[0], self.crops[1]

    @property
    def crops_before_outputs(self) -> Crops:
        """Crops of a step on a piece alone, which gives its outputs and the sums to carry on."""
        s, d, delay = self.stride, self.effective_kernel, self.delay
        if self.transposed:
            return -delay, min(d - s + delay, 0)
        start = s * delay + self.crops[0]
        return start, d + s * (self.outputs - 1) - start


@dataclass(frozen=True)
class Carried:
    """What goes from piece to piece: ``cells`` along the axis of "inputs", or of "outputs".

    ``bytes`` are those of one example; where there are other spatial axes, of one cell along each
    of them, on the side that has fewer (the input of a transposed convolution).
    """

    what: str
    cells: int
    bytes: int

    def __str__(self) -> str:
        what = self.what.removesuffix("s") if self.cells == 1 else self.what
        return f"{self.cells} {what} ({self.bytes:,} bytes)"


def carried(pieces: Pieces, input_bytes: int, output_bytes: int) -> tuple[Carried, Carried]:
    """What is carried, which is the smaller of the two, and what could be instead.

    ``input_bytes`` and ``output_bytes`` are those of one cell of each; outputs are sums, in the
    dtype that sums are held in.
    """
    inputs = Carried("inputs", pieces.inputs, pieces.inputs * input_bytes)
    outputs = Carried("outputs", pieces.outputs, pieces.outputs * output_bytes)
    return (inputs, outputs) if inputs.bytes <= outputs.bytes else (outputs, inputs)
