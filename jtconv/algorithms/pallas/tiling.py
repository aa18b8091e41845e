"""How a result is cut up: flat numbers as indices, and boxes of positions.

``unravel`` and ``Boxes`` work on Python's integers and on the traced scalars of a kernel alike.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any


def distinct(cuts: Mapping[str, Hashable]) -> tuple[str, ...]:
    """The names of tiles, of those that a task cuts down to the same only the first."""
    names: dict[Hashable, str] = {}
    for name, cut in cuts.items():
        names.setdefault(cut, name)
    return tuple(names.values())


def unravel(number: Any, sizes: tuple[Any, ...]) -> tuple[Any, ...]:
    """A flat number as one per axis, the last fastest; sizes may be known only later."""
    parts: list[Any] = []
    for size in reversed(sizes):
        parts.append(number % size)
        number = number // size
    return tuple(reversed(parts))


def box(sizes: tuple[int, ...], positions: int) -> tuple[int, ...]:
    """The shape of so many positions, a power of two, that covers ``sizes`` with least waste.

    Of equal waste the one longest in the last axis, where memory is contiguous.
    """
    shapes: list[tuple[int, ...]] = [()]
    for _ in sizes[:-1]:
        shapes = [(*s, 2**e) for s in shapes for e in range(9) if math.prod(s) * 2**e <= positions]
    rests = [(s, positions // math.prod(s)) for s in shapes]
    full = [(*s, rest) for s, rest in rests if rest <= 256]

    def waste(shape: tuple[int, ...]) -> tuple[int, tuple[int, ...]]:
        covered = math.prod(-(-n // b) * b for n, b in zip(sizes, shape, strict=True))
        return covered, tuple(-b for b in reversed(shape))

    return min(full, key=waste)


@dataclass(frozen=True)
class Boxes:
    """All positions of all examples, batch first, in boxes; the last may reach past the end."""

    sizes: tuple[int, ...]
    shape: tuple[int, ...]  # positions of one box

    @classmethod
    def of(cls, sizes: tuple[int, ...], positions: int) -> Boxes:
        """Boxes of so many positions."""
        return cls(sizes, box(sizes, positions))

    @property
    def counts(self) -> tuple[int, ...]:
        """Boxes per axis."""
        return tuple(-(-n // b) for n, b in zip(self.sizes, self.shape, strict=True))

    def corner(self, number: Any) -> tuple[Any, ...]:
        """The first position of a box; past the batch where there are no so many."""
        rest = self.counts[1:]
        index = (number // math.prod(rest), *unravel(number % math.prod(rest), rest))
        return tuple(i * b for i, b in zip(index, self.shape, strict=True))
