"""The integers of a stream, against what the law says of every cell."""

from __future__ import annotations

import itertools

import pytest

from jtconv.problem.pieces import Carried, Pieces, carried
from tests.selection import exhaustive

N = 40  # cells of x, of which the first and last few see the ends


def reads(pieces: Pieces, cell: int) -> list[int]:
    """The inputs that an output cell of a stream without end sums; a piece starts at input 0."""
    s, d, k = pieces.stride, pieces.dilation, pieces.kernel
    if pieces.transposed:
        places = [divmod(cell - d * t, s) for t in range(k)]
        return [i for i, rest in places if rest == 0]
    return [s * cell + d * t - pieces.crops[0] for t in range(k)]


def check(pieces: Pieces) -> None:
    (lo, hi), s, span = pieces.crops, pieces.stride, pieces.effective_kernel
    up, fed = (s, 1) if pieces.transposed else (1, s)  # cells out of the shortest piece, and in
    total = (N - 1) * s + span - lo - hi if pieces.transposed else (s * N + lo + hi - span) // s + 1
    # Pieces, then the tail, then nothing: and what lags comes first.
    assert N * up + pieces.tail - pieces.latency == total
    assert pieces.latency >= 0 and pieces.tail >= 0 and pieces.delay >= 0
    first = -pieces.delay
    outputs = range(first, first + up)
    seen = [i for cell in outputs for i in reads(pieces, cell)]
    assert max(seen, default=0) < fed, "a piece gives what is not final"
    # With one cell less of delay it would: or start, or end, behind the whole.
    early = max(reads(pieces, first + up), default=0) >= fed
    if pieces.delay and pieces.latency and pieces.tail:
        assert early, "pieces could come out earlier"
    later = range(first, first + 50 * up)
    behind = [cell for cell in later if min(reads(pieces, cell), default=0) < 0]
    before = [i for cell in later for i in reads(pieces, cell) if i < 0]
    assert pieces.inputs == -min(before, default=0), "the carried inputs are those that are read"
    # Sums have begun in cells up to the last that reads the past; what is between waits too.
    assert pieces.outputs == max(behind, default=first - 1) - first + 1


def geometries(step: int):
    every = itertools.product((True, False), range(1, 6), range(1, 7), range(1, 4))
    for transposed, kernel, stride, dilation in itertools.islice(every, 0, None, step):
        span = dilation * (kernel - 1) + 1
        sizes = range(-4, span + 5)
        for lo, hi in itertools.product(sizes, sizes):
            yield Pieces(transposed, kernel, stride, dilation, (lo, hi))


def test_integers():
    for pieces in geometries(13):
        check(pieces)


@exhaustive
def test_integers_everywhere():
    for pieces in geometries(1):
        check(pieces)


@pytest.mark.parametrize("transposed", [True, False])
def test_causal_needs_no_latency(transposed):
    for kernel, stride, dilation in itertools.product(range(1, 9), range(1, 9), range(1, 4)):
        pieces = Pieces.along(transposed, kernel, stride, dilation, "CAUSAL")
        assert (pieces.latency, pieces.tail, pieces.delay) == (0, 0, 0)


def test_the_smaller_is_carried():
    pieces = Pieces(True, 16, 8, 1, (0, 8))
    few, many = carried(pieces, 4 * 512, 4 * 256)
    assert (few, many) == (Carried("inputs", 1, 2048), Carried("outputs", 8, 8192))
    assert carried(pieces, 4 * 512, 4)[0] == Carried("outputs", 8, 32)
