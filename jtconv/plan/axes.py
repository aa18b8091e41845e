"""One spatial axis explained: its law in numbers, its sizes, and which padding gives which."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from jtconv.conventions.layer import Layer
from jtconv.plan.size import Given, given_of, size_law
from jtconv.problem import arguments, padding
from jtconv.problem.geometry import Axis
from jtconv.problem.output_size import legal_sizes, positive_run, run
from jtconv.problem.padding import Crops
from jtconv.problem.symbolic import is_symbolic


@dataclass(frozen=True)
class AxisPlan:
    """What happens along one axis; ``padding`` is the crops, or a convolution's zeros.

    ``reachable`` are the output sizes that ``output_padding`` or ``output_size`` can give with
    this padding; of a convolution, the input sizes that have this output. ``given`` is the padding
    as it was written, in the names of ``framework``.
    """

    name: str
    axis: Axis
    transposed: bool
    padding: Crops
    reachable: Sequence[Any]
    given: Given
    framework: str = "jtconv"

    @property
    def input(self) -> int:
        """Cells that go in."""
        return self.axis.x_size if self.transposed else self.axis.y_size

    @property
    def output(self) -> int:
        """Cells that come out."""
        return self.axis.y_size if self.transposed else self.axis.x_size

    @property
    def receptive_field(self) -> int:
        """Input cells, at most, that one output cell spans."""
        return self.axis.receptive_field if self.transposed else self.axis.effective_kernel

    @property
    def overlap(self) -> tuple[int, int]:
        """Fewest and most kernel cells that an output cell away from the edges sums."""
        return self.axis.overlap if self.transposed else (self.axis.kernel, self.axis.kernel)

    @property
    def even_kernel(self) -> int | None:
        """The next larger kernel whose taps overlap evenly, where there is one."""
        for more in range(1, self.axis.stride + 1):
            larger = replace(self.axis, kernel=self.axis.kernel + more)
            if len(set(larger.overlap)) == 1:
                return larger.kernel
        return None

    @property
    def law(self) -> str:
        """The law, its numbers put in."""
        a = self.axis
        place = _sum(_times(a.stride, "i"), _times(a.dilation, "t"), -a.lo)
        return f"y[{place}] += x[i] * w[t]" if self.transposed else f"y[i] += x[{place}] * w[t]"

    @property
    def size_law(self) -> str:
        """How the output size comes about, in numbers."""
        return size_law(self.axis, self.transposed, self.given, self.framework).numbers

    @property
    def size_formula(self) -> str:
        """The same in the argument names of the framework that was asked in."""
        return size_law(self.axis, self.transposed, self.given, self.framework).names

    def paddings_for(self, size: int) -> tuple[dict[str, Any], ...]:
        """The inverse question: what to write along this axis for an output of ``size`` cells.

        Numbers as in torch first, then names, else a pair. Whatever is returned are keywords of
        the operation.

        Raises:
            TypeError, ValueError: if ``size`` is no int >= 1, or the input's is symbolic.

        >>> import jax.numpy as jnp, jtconv
        >>> plan = jtconv.explain(jnp.ones((36, 1)), jnp.ones((4, 1, 1)), stride=2)
        >>> plan.axes[0].paddings_for(71)
        ({'padding': 2, 'output_padding': 1},)
        """
        size = arguments.integer("size", size, least=1)
        if is_symbolic(self.input):
            raise ValueError(f"{size} of {self.input} is no question: explain an input of numbers.")
        found = [*(self._numbers(size)), *(self._names(size))]
        return tuple(found) or (self._pair(size),)

    def _numbers(self, size: int) -> Iterator[dict[str, Any]]:
        a = self.axis
        for extra in range(max(a.stride, a.dilation) if self.transposed else a.stride):
            # torch crops 2p - op; a convolution leaves up to stride - 1 of its zeros unread
            twice = self._total(size) + extra
            if twice >= 0 and twice % 2 == 0:
                only = {"output_padding": extra} if self.transposed and extra else {}
                yield {"padding": twice // 2, **only}

    def _names(self, size: int) -> Iterator[dict[str, Any]]:
        a = self.axis
        for name in padding.NAMES:
            if self.transposed:
                made = a.full - sum(padding.from_name(name, a.effective_kernel, a.stride))
            else:
                columns = self.input, a.effective_kernel, a.stride
                zeros = sum(padding.of_convolution(name, *columns))
                made = (self.input + zeros - a.effective_kernel) // a.stride + 1
            if made == size:
                yield {"padding": name}

    def _pair(self, size: int) -> dict[str, Any]:
        lo = self._total(size) // 2
        return {"padding": ((lo, self._total(size) - lo),)}

    def _total(self, size: int) -> int:
        """lo + hi of an output of ``size``: crops, or the fewest zeros."""
        a = self.axis
        if self.transposed:
            return a.full - size
        return (size - 1) * a.stride + a.effective_kernel - self.input


def axis_plans(layer: Layer, padding_arg: Any, framework: str = "jtconv") -> tuple[AxisPlan, ...]:
    """Every axis of a layer whose user wrote ``padding_arg``."""
    transposed, rank = layer.transposed, layer.rank
    reach = _of_transposed if transposed else _of_convolution
    written = padding.on_axes(padding.parse(padding_arg, rank, borders=True), rank)
    columns = zip(layer.call.layout.spatial, layer.axes, layer.crops, written, strict=True)
    return tuple(
        AxisPlan(
            name, axis, transposed, crops, reach(axis, pads),
            given_of(axis, transposed, pads), framework,
        )
        for name, axis, crops, pads in columns
    )  # fmt: skip


def _of_transposed(a: Axis, pads: str | Crops) -> Sequence[Any]:
    """Output sizes of the same padding."""
    crops = padding.along(True, pads, a.x_size, a.effective_kernel, a.stride)
    axis = Axis.cropped(a.x_size, a.kernel, a.stride, a.dilation, *crops)
    return legal_sizes(axis, pads if isinstance(pads, str) else None)


def _of_convolution(a: Axis, pads: str | Crops) -> Sequence[Any]:
    """Input sizes of the same output."""
    if pads in padding.AS_SAME:
        return run((a.x_size - 1) * a.stride + 1, a.stride)
    least = a.full - sum(padding.along(False, pads, a.y_size, a.effective_kernel, a.stride))
    return positive_run(least, a.stride)


def _times(factor: int, letter: str) -> str:
    return letter if factor == 1 else f"{factor}*{letter}"


def _sum(*terms: str | int) -> str:
    """Terms joined by their signs; numbers that are 0 are left out."""
    text = ""
    for term in terms:
        if term == 0:
            continue
        if isinstance(term, int):
            text += f" {'-' if term < 0 else '+'} {abs(term)}"
        else:
            text += f" + {term}" if text else term
    return text
