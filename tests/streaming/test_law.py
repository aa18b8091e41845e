"""The law: whatever the numbers and the cuts, pieces and tail are the whole result.

``python -m pytest -m exhaustive tests/streaming/test_law.py`` runs 5,000 streams.
"""

from __future__ import annotations

from collections import Counter
from functools import cache

import jax
import numpy as np
import pytest

from tests.compare import assert_close
from tests.selection import rows
from tests.streaming.evaluate import evaluate
from tests.streaming.stream_case import StreamCase, draw

# Streams in one test, by the first of their seeds.
CHUNKS = {str(first): (range(first, first + 50),) for first in range(0, 5000, 50)}
# Streams in one compiled program: compiling is what takes the time.
COMPILED = {str(first): (range(first, first + 8),) for first in range(0, 400, 8)}


@cache
def drawn(seed: int) -> tuple[StreamCase, list[np.ndarray]]:
    case = draw(np.random.default_rng(seed))
    return case, case.operands(np.random.default_rng(seed))


def both(case, operands):
    return case.whole(*operands), case.in_pieces(*operands)


def agree(case, whole, pieces):
    try:
        assert_close(pieces, whole)
    except AssertionError as error:
        raise AssertionError(f"pieces are not the whole: {case}") from error


@pytest.mark.parametrize("seeds", rows(CHUNKS, default=["0"]))
def test_pieces_are_the_whole(seeds):
    for case, operands in map(drawn, seeds):
        agree(case, *evaluate(lambda *arrays, case=case: both(case, arrays), *operands))


@pytest.mark.parametrize("seeds", rows(COMPILED, default=["0"]))
def test_compiled_pieces_are_the_whole(seeds):
    cases, operands = zip(*map(drawn, seeds), strict=True)
    results = jax.jit(lambda all_of_them: list(map(both, cases, all_of_them)))(operands)
    for case, result in zip(cases, results, strict=True):
        agree(case, *result)


def test_streams_are_of_every_kind():
    """Those of the default run, so that what is looked at is there."""
    kinds: Counter[object] = Counter()
    for case, (_, *kernel) in map(drawn, CHUNKS["0"][0]):
        stream = case.stream(*kernel)
        held = stream.carried
        what = held.what if held.cells else "nothing"
        kinds.update([case.dtype, len(case.w_shape) - 2, str(case.keywords["padding"])])
        kinds.update(
            [(case.op, what), (what, stream.tail > held.cells), "lag" if stream.latency else ""]
        )
    carried = [(op, what) for op in ("conv", "conv_transpose") for what in ("inputs", "outputs")]
    tails = [(what, True) for what in ("inputs", "outputs", "nothing")]
    names = "float32", "bfloat16", "int8", "CAUSAL", "SAME", "VALID"
    assert {*names, 1, 2, 3, *carried, *tails, "lag"} <= kinds.keys()
