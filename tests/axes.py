"""The axes every law is tested along: methods and named cases.

Compiling takes nearly all of the time, so where a law meets every method and every case the
default run takes the telling cases with all methods and, of the others, a seeded quarter of
the methods each; ``-m slow`` runs the rest.
"""

from __future__ import annotations

import random
from collections.abc import Iterable

import pytest

from jtconv.algorithms import ALGORITHMS
from tests.cases import CASES, TELLING, Case

NAMES = (*ALGORITHMS, "auto")
every_method = pytest.mark.parametrize("method", NAMES)


def each(cases: Iterable[Case]) -> pytest.MarkDecorator:
    """A test of its own for each case."""
    return pytest.mark.parametrize("case", [pytest.param(c, id=c.name) for c in cases])


def _pairs() -> list:
    chance, pairs = random.Random(2), []
    for case in CASES:
        sampled = NAMES if case in TELLING else chance.sample(NAMES, len(NAMES) // 4)
        for name in NAMES:
            marks = () if name in sampled else (pytest.mark.slow,)
            pairs.append(pytest.param(name, case, id=f"{name}-{case.name}", marks=marks))
    return pairs


every_case = each(CASES)
every_method_and_case = pytest.mark.parametrize(("method", "case"), _pairs())
