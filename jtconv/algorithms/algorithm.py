"""What an algorithm is: the Protocols that every module in the table satisfies, checked by mypy."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import jax

from jtconv.algorithms.common.work import Work
from jtconv.problem.task import Cost, Task


@runtime_checkable
class Sides(Protocol):
    """The three sides of the trilinear form, on canonical arrays: (batch, *space, channels).

    Sums are held in ``task.accumulator`` or wider, and returned so.
    """

    def dgrad(self, x: jax.Array, w: jax.Array, task: Task) -> jax.Array:
        """x, w -> y: transposed convolution."""

    def fprop(self, y: jax.Array, w: jax.Array, task: Task) -> jax.Array:
        """y, w -> x: convolution."""

    def wgrad(self, x: jax.Array, y: jax.Array, task: Task) -> jax.Array:
        """x, y -> w: kernel gradient."""


def compute(sides: Sides, a: jax.Array, b: jax.Array, task: Task) -> jax.Array:
    """The side that ``task`` is of, from its two operands."""
    result: jax.Array = getattr(sides, task.side)(a, b, task)
    return result


@runtime_checkable
class Algorithm(Sides, Protocol):
    """A way to compute all three sides, with what it costs and where it cannot."""

    def refuse(self, task: Task) -> str | None:
        """Why it cannot do this task; None where it can. It never falls back in silence."""

    def cost(self, task: Task) -> Cost:
        """What it would spend."""

    def spreads(self, task: Task) -> str:
        """The operands, as letters of x, w and y, whose infinities it may spread.

        It may multiply their numbers with zeros of its own, and an infinity or a NaN among them
        may then make NaN of numbers that it does not meet. Of no other operand does one reach
        more than the law says.
        """


@runtime_checkable
class Modelled(Protocol):
    """An algorithm whose time on a CPU is modelled, and which is chosen by it."""

    def work(self, task: Task) -> Work:
        """What it does, counted: see `common.work`."""


@runtime_checkable
class WithBias(Protocol):
    """An algorithm that can add a bias in the pass that writes its result."""

    def biased(self, a: jax.Array, w: jax.Array, bias: jax.Array | None, task: Task) -> jax.Array:
        """dgrad or fprop, as the task says, plus the bias."""


@runtime_checkable
class WithNote(Protocol):
    """An algorithm whose numbers differ from the others' by more than the order of sums."""

    def note(self, task: Task) -> str:
        """What to know of them, for people: printed by ``explain``."""


@runtime_checkable
class Tunable(Protocol):
    """An algorithm with several block sizes to measure; ``task.tile`` names the one to take."""

    def tiles(self, task: Task) -> tuple[str, ...]:
        """Their names, its own choice first."""
