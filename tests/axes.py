"""The axes every law is tested along: methods and named cases.

Compiling takes nearly all of the time, so the default run takes few of the rows where two axes
meet: some cases by every method, and others by "auto". What JAX does to a function is the same for
all methods; there a test names those it takes.
"""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from jtconv.algorithms import ALGORITHMS
from tests.cases import CASES, Case
from tests.selection import rows

# What computes on a CPU: kernels for GPUs have tests of their own, in algorithms/pallas.
METHODS = NAMES = tuple(name for name in (*ALGORITHMS, "auto") if name != "pallas")

# What refuses integers, each with a reason of its own: see test_refusals.
NO_INTEGERS = ("vjp", "fft")


def methods(default: Iterable[str], names: Iterable[str] = METHODS) -> pytest.MarkDecorator:
    """A test of its own for each method; those not in ``default`` are exhaustive."""
    return pytest.mark.parametrize("method", rows(names, default))


every_method = methods(METHODS)
every_name = methods(METHODS, NAMES)
# For what the primitives do, whatever computes: its rules of differentiation, say.
auto_by_default = methods(["auto"])


def each(cases: Iterable[Case], default: Iterable[str] | None = None) -> pytest.MarkDecorator:
    """A test of its own for each case; those not in ``default``, if it is given, are exhaustive."""
    table = {case.name: (case,) for case in cases}
    return pytest.mark.parametrize("case", rows(table, table if default is None else default))


every_case = each(CASES)


def methods_and_cases(
    names: Iterable[str], by_all: Iterable[Case], by_auto: Iterable[Case]
) -> pytest.MarkDecorator:
    """Every case by every method; by default ``by_all`` so, and ``by_auto`` by "auto"."""
    pairs = {f"{name}-{case.name}": (name, case) for case in CASES for name in names}
    default = [
        pair
        for pair, (name, case) in pairs.items()
        if case in by_all or (name == "auto" and case in by_auto)
    ]
    return pytest.mark.parametrize(("method", "case"), rows(pairs, default))
