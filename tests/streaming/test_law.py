"""The law: whatever the numbers and the cuts, pieces and tail are the whole result.

``python -m pytest -m exhaustive tests/streaming/test_law.py`` runs 5,000 streams.
"""

from __future__ import annotations

import jax
import numpy as np
import pytest

from tests.compare import assert_close
from tests.selection import rows
from tests.streaming.stream_case import StreamCase, draw

CHUNK = 20  # streams in one program: compiling is what takes the time
STREAMS = {str(first): (range(first, first + CHUNK),) for first in range(0, 5000, CHUNK)}


def drawn(seed: int) -> tuple[StreamCase, list[np.ndarray]]:
    case = draw(np.random.default_rng(seed))
    if seed % 5:  # one method that can do everything and is compiled fast; the choice, now and then
        case.keywords["method"] = "scatter"
    return case, case.operands(np.random.default_rng(seed))


@pytest.mark.parametrize("seeds", rows(STREAMS, default=["0"]))
def test_pieces_are_the_whole(seeds):
    cases, operands = zip(*map(drawn, seeds), strict=True)

    def both(operands):
        columns = list(zip(cases, operands, strict=True))
        return [(case.whole(*arrays), case.in_pieces(*arrays)) for case, arrays in columns]

    for seed, (whole, pieces) in zip(seeds, jax.jit(both)(operands), strict=True):
        try:
            assert_close(pieces, whole)
        except AssertionError as error:
            raise AssertionError(f"off by a stream's fault: {drawn(seed)[0]}") from error


def test_the_default_run_has_streams_of_every_kind():
    cases = [drawn(seed)[0] for seed in STREAMS["0"][0]]
    streams = [case.stream(*case.operands(np.random.default_rng(0))[1:]) for case in cases]
    carried = {stream.carried.what for stream in streams if stream.carried.cells}
    assert carried == {"inputs", "outputs"}
    assert any(stream.latency for stream in streams)
    assert any(stream.tail > stream.carried.cells for stream in streams)
    assert {case.op for case in cases} == {"conv", "conv_transpose"}
    assert len({len(case.w_shape) for case in cases}) > 1
    assert any(case.cuts for case in cases)
