"""Problems by chance: a few of a kind in every run, many in the slow sweeps."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

LONGEST = {1: 7, 2: 4, 3: 3}


class Call(NamedTuple):
    """Shapes and keywords of one call."""

    x: tuple[int, ...]
    w: tuple[int, ...]
    keywords: dict[str, Any]


class Chance(random.Random):
    """Random numbers, and small sizes for one problem of 1 to 3 axes at a time."""

    rank = 0

    def axes(self) -> int:
        """Begin another problem: how many axes it has."""
        self.rank = self.choice((1, 1, 2, 2, 3))
        return self.rank

    def each(self, most: int | None = None, least: int = 1) -> tuple[int, ...]:
        """A number for every axis, up to what a quick test allows."""
        most = LONGEST[self.rank] if most is None else most
        return tuple(self.randint(least, most) for _ in range(self.rank))


def rows(drawn: Callable[[Chance], Any], count: int, seed: str) -> list:
    """``count`` of what ``drawn`` makes; those of seed "many" are slow."""
    chance = Chance(seed)
    marks = pytest.mark.exhaustive if seed == "many" else ()
    return [
        pytest.param(drawn(chance), id=f"{seed}-{number}", marks=marks) for number in range(count)
    ]


def table(drawn: Callable[[Chance], Any], few: int, many: int) -> list:
    """Both of them."""
    return [*rows(drawn, few, "few"), *rows(drawn, many, "many")]
