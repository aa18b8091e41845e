"""The law of transposed convolution, in integers.

Everything in this package is one trilinear form, read along each spatial axis:

    T(x, w, y) = sum over i, t of  x[i] * w[t] * y[s*i + d*t - lo]

``x`` is the input of the transposed convolution, ``y`` its output, and ``w`` the kernel; of the
convolution ``y`` is the input.  An :class:`Axis` holds the integers of one spatial axis, a
:class:`Geometry` those of all of them, and everything else here is arithmetic on them.
Sizes may be symbols (`symbolic`); no array is needed to reason about a geometry.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from jtconv.problem.symbolic import Size, at_least, is_symbolic, larger, smaller


@dataclass(frozen=True)
class Phase:
    """Outputs ``residue, residue + s, residue + 2s, ...``: a stride-1 problem of their own.

    ``y[residue + s*q] = sum over j of x[q + offsets[j]] * w[taps[j]]``, and offsets fall in
    equal steps, so each phase is an axis of stride 1 with fewer taps.
    """

    residue: int
    taps: tuple[int, ...]
    offsets: tuple[int, ...]

    def axis(self, x_size: int, y_size: int) -> Axis:
        """This phase as an axis of stride 1 (there must be a tap)."""
        step = self.offsets[0] - self.offsets[1] if len(self.taps) > 1 else 1
        return Axis(x_size, len(self.taps), y_size, 1, step, self.offsets[0])


@dataclass(frozen=True)
class Block:
    """Consecutive taps within one stride: a term of the overlap-add.

    Products of ``x[i]`` with taps ``tap ... tap + count - 1`` are added to positions
    ``stride*(i + shift) + residue ...`` of the full output.
    """

    tap: int
    count: int
    shift: int
    residue: int


@dataclass(frozen=True)
class Axis:
    """One spatial axis: ``y[stride*i + dilation*t - lo] += x[i] * w[t]``.

    >>> axis = Axis.cropped(x_size=2, kernel=4, stride=3)
    >>> axis.y_size, axis.effective_kernel, axis.crops
    (7, 4, (0, 0))
    >>> axis.taps(3)  # two products are added to the middle cell
    ((0, 3), (1, 0))
    """

    x_size: Size
    kernel: int
    y_size: Size
    stride: int = 1
    dilation: int = 1
    lo: Size = 0

    @classmethod
    def cropped(
        cls,
        x_size: Size,
        kernel: int,
        stride: int = 1,
        dilation: int = 1,
        lo: Size = 0,
        hi: Size = 0,
    ) -> Axis:
        """The axis of the full output less ``lo`` cells in front and ``hi`` at the end."""
        full = (x_size - 1) * stride + dilation * (kernel - 1) + 1
        return cls(x_size, kernel, full - lo - hi, stride, dilation, lo)

    @property
    def effective_kernel(self) -> int:
        """Cells that the dilated kernel spans (D of the law)."""
        return self.dilation * (self.kernel - 1) + 1

    @property
    def full(self) -> Size:
        """Output size when nothing is cropped."""
        return (self.x_size - 1) * self.stride + self.effective_kernel

    @property
    def hi(self) -> Size:
        """Cells cropped at the end; negative where the output is extended with zeros."""
        return self.full - self.lo - self.y_size

    @property
    def crops(self) -> tuple[Size, Size]:
        """``(lo, hi)``."""
        return self.lo, self.hi

    def taps(self, cell: int) -> tuple[tuple[int, int], ...]:
        """Every ``(i, t)`` whose product is added to output ``cell``, in order of ``i``."""
        pairs = []
        for t in reversed(range(self.kernel)):
            i, remainder = divmod(cell + self.lo - self.dilation * t, self.stride)
            if remainder == 0 and 0 <= i < self.x_size:
                pairs.append((i, t))
        return tuple(pairs)

    def inputs_of_tap(self, t: int) -> range:
        """The ``i`` whose product with tap ``t`` is added to a cell that is not cropped."""
        return range(*self._bounds_of_tap(t))

    def _bounds_of_tap(self, t: int) -> tuple[Size, Size]:
        start = -(-(self.lo - self.dilation * t) // self.stride)
        stop = (self.y_size - 1 + self.lo - self.dilation * t) // self.stride + 1
        start, stop = larger(start, 0), smaller(stop, self.x_size)
        return start, larger(start, stop)

    def misses(self, t: int) -> bool:
        """Whether tap ``t`` of some position of x falls outside of y, at some size if symbolic."""
        start, stop = self._bounds_of_tap(t)
        return not at_least(stop - start - self.x_size, 0)

    @property
    def meeting(self) -> tuple[range, range]:
        """The span of inputs, and that of output cells, outside of which no product is."""
        inputs = [(t, self.inputs_of_tap(t)) for t in range(self.kernel)]
        ends = [
            (i, self.stride * i + self.dilation * t - self.lo)
            for t, r in inputs
            if r
            for i in (r[0], r[-1])
        ]
        if not ends:
            return range(0), range(0)
        x, y = zip(*ends, strict=True)
        return range(min(x), max(x) + 1), range(min(y), max(y) + 1)

    @property
    def multiply_adds(self) -> Size:
        """Products that reach the output: inserted zeros and cropped cells do not count."""
        bounds = map(self._bounds_of_tap, range(self.kernel))
        return sum(stop - start for start, stop in bounds)

    @cached_property
    def phases(self) -> tuple[Phase, ...]:
        """One :class:`Phase` per residue of the output modulo the stride."""
        return tuple(self._phase(r) for r in range(self.stride))

    def _phase(self, residue: int) -> Phase:
        shift = residue + self.lo
        taps = [t for t in range(self.kernel) if (shift - self.dilation * t) % self.stride == 0]
        offsets = [(shift - self.dilation * t) // self.stride for t in taps]
        return Phase(residue, tuple(taps), tuple(offsets))

    @cached_property
    def blocks(self) -> tuple[Block, ...]:
        """The kernel cut into runs that stay within one stride: ceil(k/s) of them if undilated."""
        count = self.stride if self.dilation == 1 else 1
        starts = range(0, self.kernel, count)
        places = [divmod(self.dilation * t, self.stride) for t in starts]
        return tuple(
            Block(t, min(count, self.kernel - t), shift, residue)
            for t, (shift, residue) in zip(starts, places, strict=True)
        )

    def halo(self, start: int, stop: int) -> range:
        """The inputs that output cells ``start`` to ``stop`` (exclusive) can read."""
        first = -(-(start + self.lo - self.effective_kernel + 1) // self.stride)
        last = (stop - 1 + self.lo) // self.stride
        first, after = max(first, 0), min(last + 1, self.x_size)
        return range(first, max(first, after))

    @property
    def receptive_field(self) -> int:
        """The span of input cells, at most, that one output cell reads."""
        spans = [p.offsets[0] - p.offsets[-1] + 1 for p in self.phases if p.taps]
        return max(spans)

    @property
    def tap_counts(self) -> tuple[int, ...]:
        """Taps that reach each phase: what a kernel of ones draws, away from the borders."""
        return tuple(len(p.taps) for p in self.phases)

    @property
    def overlap(self) -> tuple[int, int]:
        """Fewest and most taps over the phases: unequal numbers draw a checkerboard."""
        return min(self.tap_counts), max(self.tap_counts)


@dataclass(frozen=True)
class Geometry:
    """All spatial axes of one problem, and its number of channel groups.

    >>> g = Geometry.of(x_size=(2, 2), kernel=(3, 3), stride=(2, 2))
    >>> g.y_size, g.multiply_adds
    ((5, 5), 36)
    """

    axes: tuple[Axis, ...]
    groups: int = 1

    @classmethod
    def of(
        cls,
        x_size: tuple[int, ...],
        kernel: tuple[int, ...],
        stride: tuple[int, ...] | None = None,
        dilation: tuple[int, ...] | None = None,
        crops: tuple[tuple[int, int], ...] | None = None,
        groups: int = 1,
    ) -> Geometry:
        """The geometry with these sizes per axis; ``crops`` are ``(lo, hi)`` pairs."""
        ones = (1,) * len(x_size)
        crops = crops or ((0, 0),) * len(x_size)
        columns = zip(x_size, kernel, stride or ones, dilation or ones, crops, strict=True)
        return cls(tuple(Axis.cropped(n, k, s, d, *c) for n, k, s, d, c in columns), groups)

    def __iter__(self) -> Iterator[Axis]:
        return iter(self.axes)

    def __len__(self) -> int:
        return len(self.axes)

    @property
    def x_size(self) -> tuple[Size, ...]:
        """Of x, per axis."""
        return tuple(a.x_size for a in self.axes)

    @property
    def kernel(self) -> tuple[int, ...]:
        """Per axis."""
        return tuple(a.kernel for a in self.axes)

    @property
    def y_size(self) -> tuple[Size, ...]:
        """Of y, per axis."""
        return tuple(a.y_size for a in self.axes)

    @property
    def stride(self) -> tuple[int, ...]:
        """Per axis."""
        return tuple(a.stride for a in self.axes)

    @property
    def dilation(self) -> tuple[int, ...]:
        """Per axis."""
        return tuple(a.dilation for a in self.axes)

    @property
    def crops(self) -> tuple[tuple[Size, Size], ...]:
        """``(lo, hi)``, per axis."""
        return tuple(a.crops for a in self.axes)

    @property
    def full(self) -> tuple[Size, ...]:
        """Of y when nothing is cropped, per axis."""
        return tuple(a.full for a in self.axes)

    @property
    def is_symbolic(self) -> bool:
        """Whether any size is a symbol of ``jax.export``, not a number."""
        return any(is_symbolic(a.x_size) or is_symbolic(a.y_size) for a in self.axes)

    @property
    def blocks(self) -> Iterator[tuple[Block, ...]]:
        """Every block of taps, as one :class:`Block` an axis: the terms of an overlap-add."""
        return itertools.product(*(a.blocks for a in self.axes))

    @property
    def block_count(self) -> int:
        """How many there are."""
        return math.prod(len(a.blocks) for a in self.axes)

    @property
    def multiply_adds(self) -> Size:
        """Useful products per example, input channel and output channel of one group."""
        return math.prod(a.multiply_adds for a in self.axes)

    @property
    def has_misses(self) -> bool:
        """Whether some tap of some position of x falls outside of y."""
        return any(a.misses(t) for a in self for t in range(a.kernel))

    @property
    def overlap(self) -> tuple[int, int]:
        """Fewest and most taps that reach an output cell, over the phases of all axes."""
        fewest, most = zip(*(a.overlap for a in self.axes), strict=True)
        return math.prod(fewest), math.prod(most)

    @property
    def overlap_uniformity(self) -> float:
        """Fewest taps over most: 1 where every phase has as many, less where they draw a pattern.

        Below 1 even a smooth input comes out as a checkerboard until training evens it out; a
        kernel that is a multiple of its stride avoids it. Odena, Dumoulin and Olah,
        "Deconvolution and Checkerboard Artifacts", Distill 2016.

        >>> Geometry.of(x_size=(8, 8), kernel=(3, 3), stride=(2, 2)).overlap_uniformity
        0.25
        >>> Geometry.of(x_size=(8, 8), kernel=(4, 4), stride=(2, 2)).overlap_uniformity
        1.0
        """
        fewest, most = self.overlap
        return fewest / most
