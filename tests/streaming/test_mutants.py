"""The law of pieces, with the streams broken on purpose: it must notice each fault."""

from __future__ import annotations

from typing import Any

import jax
import pytest
from jax import lax

from jtconv import streaming
from jtconv.problem import stream
from jtconv.problem.pieces import Pieces
from tests.selection import exhaustive, rows
from tests.streaming import test_law

local, lengthened = streaming._local, streaming._lengthened


def one_too_early(a: jax.Array, cells: int, axis: int) -> jax.Array:
    start = max(a.shape[axis] - cells - 1, 0)
    return lax.slice_in_dim(a, start, start + cells, axis=axis)


def the_first(a: jax.Array, cells: int, axis: int) -> jax.Array:
    return lax.slice_in_dim(a, 0, cells, axis=axis)


def nothing(a: jax.Array, cells: int, axis: int) -> jax.Array:
    shape = (*a.shape[:axis], cells, *a.shape[axis + 1 :])
    return lax.full(shape, 0, a.dtype)


def in_front(a: jax.Array, cells: Any, axis: int) -> jax.Array:
    widths = [(cells if index == axis else 0, 0, 0) for index in range(a.ndim)]
    return lax.pad(a, jax.numpy.zeros((), a.dtype), widths)


def with_bias(stream: Any, x: Any, bias: Any, *others: Any) -> jax.Array:
    return local(stream, x, stream.bias, *others)


def without_bias(stream: Any, x: Any, bias: Any, *others: Any) -> jax.Array:
    return local(stream, x, None, *others)


def without(stream: Any, sums: jax.Array) -> jax.Array:
    return sums.astype(stream.call.result)


def more(name: str, by: Any) -> property:
    """One of the integers, or both crops, with something added."""
    right: Any = vars(Pieces)[name].fget

    def wrong(pieces: Pieces) -> Any:
        found = right(pieces)
        return tuple(map(sum, zip(found, by, strict=True))) if isinstance(by, tuple) else found + by

    return property(wrong)


STEPS = {
    "carried: one cell too early": ("_last", one_too_early),
    "carried: the first cells": ("_last", the_first),
    "carried: zeros": ("_last", nothing),
    "added at the wrong end": ("_lengthened", in_front),
    "bias in every sum": ("_local", with_bias),
    "no bias of inputs": ("_local", without_bias),
    "no bias of sums": ("_leave", without),
}
INTEGERS = {
    f"{name} {by}": (name, more(name, by))
    for name, by in {
        "latency": 1,
        "tail": 1,
        "inputs": -1,
        "outputs": -1,
        "crops_after_inputs": (1, -1),
        "crops_before_outputs": (1, -1),
        "crops_of_tail": (1, -1),
    }.items()
}
MUTANTS: dict[str, tuple[Any, str, Any]] = {
    what: (streaming, *fault) for what, fault in STEPS.items()
}
MUTANTS |= {what: (Pieces, *fault) for what, fault in INTEGERS.items()}
BY_DEFAULT = ["carried: one cell too early", "bias in every sum"]


@pytest.fixture(autouse=True)
def forgetting(monkeypatch):
    """What remembers earlier traces and shapes does not, before a fault and after it."""
    remembering = [(streaming, "_step"), (streaming, "_finish"), (streaming, "state_of")]
    for module, function in [*remembering, (stream, "state_of")]:
        monkeypatch.setattr(module, function, getattr(module, function).__wrapped__)


@pytest.mark.parametrize(("where", "name", "fault"), rows(MUTANTS, default=BY_DEFAULT))
def test_the_law_notices(where, name, fault, monkeypatch):
    monkeypatch.setattr(where, name, fault)
    with pytest.raises((AssertionError, ValueError, TypeError)):  # numbers, or shapes
        test_law.test_pieces_are_the_whole(range(50))


@exhaustive
def test_without_a_fault_it_holds():
    test_law.test_pieces_are_the_whole(range(50))
