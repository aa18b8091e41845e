"""Which meter counts for which chip: a row here is all that another one needs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import jax

from bench.compiled import gpu, tpu
from jtconv.problem.task import Task


class Count(Protocol):
    """What a program takes, as far as its compiler's output tells."""

    temporary_bytes: int

    @property
    def us(self) -> float:
        """Microseconds, by a model."""

    @property
    def cycles(self) -> float | None:
        """Of all operations, where the machine code tells."""

    @property
    def multiply_adds(self) -> float | None:
        """Zeros included, where the text tells."""

    @property
    def calls(self) -> int | None:
        """Of a library, where there is one."""

    @property
    def bytes(self) -> float:
        """Moved to and from main memory."""

    @property
    def count(self) -> int:
        """Operations launched."""

    @property
    def lost(self) -> int | None:
        """Operations whose cycles are an estimate of somebody else's."""


class Meter(Protocol):
    """A module that compiles for some chips and counts."""

    PLATFORM: str  # as methods are chosen for it

    def missing(self) -> str | None:
        """Why nothing can be compiled here, and what to install; None where it can."""

    def versions(self) -> dict[str, str]:
        """The compiler, by the packages that it comes with."""

    def meter(
        self,
        function: Callable[..., Any],
        arguments: Sequence[jax.ShapeDtypeStruct],
        chip: str,
        free: tuple[Sequence[bool], bool] | None = None,
    ) -> Count:
        """Compile and count; ``free`` says which arrays the compiler may lay out, if any."""

    def floor_us(self, task: Task, chip: str) -> float:
        """The least that a side can take."""


METERS: dict[str, Meter] = {"v5e": tpu, "v6e": tpu, "h100": gpu}


def of(chip: str) -> Meter:
    """The meter for a chip."""
    if chip not in METERS:
        raise ValueError(f"--compile must be one of {', '.join(METERS)}, got {chip!r}")
    return METERS[chip]
