"""What sweeps against other frameworks share: random problems, seeded."""

from __future__ import annotations

import random
from typing import NamedTuple


class Problem(NamedTuple):
    """A transposed convolution in the words torch has for it, one value per axis."""

    input: tuple[int, ...]
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    output_padding: tuple[int, ...]
    dilation: tuple[int, ...]
    depth: int
    width: int
    groups: int
    batch: int
    bias: bool


def problems(count: int, seed: int, rank: int) -> list[Problem]:
    """Problems that torch takes: no empty output, output_padding below stride or dilation."""
    chance = random.Random(f"{seed}-{rank}")
    found: list[Problem] = []
    while len(found) < count:
        problem = _drawn(chance, rank)
        if min(_outputs(problem)) >= 1:
            found.append(problem)
    return found


def _drawn(chance: random.Random, rank: int) -> Problem:
    longest = {1: 7, 2: 4, 3: 3}[rank]

    def each(most: int, least: int = 1) -> tuple[int, ...]:
        return tuple(chance.randint(least, most) for _ in range(rank))

    stride, dilation = each(4), each(3)
    room = [max(s, d) - 1 for s, d in zip(stride, dilation, strict=True)]
    return Problem(
        each(longest),
        each(min(longest, 5)),
        stride,
        each(3, 0),
        tuple(chance.randint(0, most) for most in room),
        dilation,
        chance.randint(1, 3),
        chance.randint(1, 3),
        chance.choice((1, 1, 2, 3)),
        chance.randint(1, 2),
        chance.random() < 0.5,
    )


def _outputs(p: Problem) -> list[int]:
    columns = zip(p.input, p.kernel, p.stride, p.padding, p.output_padding, p.dilation, strict=True)
    return [(n - 1) * s - 2 * a + d * (k - 1) + more + 1 for n, k, s, a, more, d in columns]
