"""The layers that are compiled: the cases of the benchmark, and others drawn at random.

Rules were written with the first before the eyes; the second are there to judge them.
"""

from __future__ import annotations

import math
import random

from bench import cases
from bench.cases import Case

# Of the layers that judge; the rules have seen those of seed 18.
SEED = 20
DRAWN = 40

# What a layer may be like: axes, and per axis the most cells of x.
_SPACES = ((1, 16384), (2, 96), (2, 96), (2, 96), (3, 24))
_KERNELS = ((2, 2), (4, 2), (4, 2), (3, 2), (3, 1), (5, 1), (7, 1), (8, 4), (4, 4), (16, 8), (5, 3))
_CHANNELS = (1, 3, 8, 16, 21, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768)
_BATCHES = (1, 2, 4, 8, 16, 32, 64)
_GROUPS = (1, 1, 1, 1, 2, 4, 8, 32, 0)  # 0: depthwise
# Bytes of x and y together in bfloat16: what is less is over at once, what is more compiles long.
_LEAST, _MOST = 1e6, 64e6


def select(patterns: list[str], suite: str) -> list[Case]:
    """The cases of a suite of the benchmark, or those ``drawn``."""
    return drawn() if suite == "drawn" and not patterns else cases.select(patterns, suite)


def drawn(count: int = DRAWN, seed: int = SEED) -> list[Case]:
    """``count`` layers, the same for the same seed."""
    draw, found = random.Random(seed), list[Case]()
    while len(found) < count:
        case = _one(draw, f"drawn{seed}-{len(found) + 1}")
        x, _, y = case.shapes("true")
        if _LEAST <= 2 * (math.prod(x) + math.prod(y)) <= _MOST and min(y[1:-1]) > 0:
            found.append(case)
    return found


def _one(draw: random.Random, name: str) -> Case:
    rank, most = draw.choice(_SPACES)
    kernel, stride = draw.choice(_KERNELS)
    groups, batch = draw.choice(_GROUPS), draw.choice(_BATCHES)
    channels = draw.choice(_CHANNELS), draw.choice(_CHANNELS)
    if groups == 0:
        groups, channels = channels[0], (channels[0], channels[0])
    elif any(c % groups or c == groups for c in channels):
        groups = 1
    space = tuple(round(math.exp(draw.uniform(math.log(4), math.log(most)))) for _ in range(rank))
    dilation = draw.choice((1, 1, 1, 1, 2)) if kernel > stride else 1
    padding = draw.choice((0, dilation * (kernel - stride) // 2))
    size = batch, *space
    source = "drawn at random"
    return Case(name, source, channels, kernel, stride, size, size, padding, 0, groups, dilation)
