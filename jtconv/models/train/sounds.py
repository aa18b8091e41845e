"""Sound to learn from, and held out: melodies of plucked strings and pipes, made here.

A note is a sum of harmonics, whose strengths, decay and vibrato are drawn for each; held-out
melodies are of other notes.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np

RATE = 8000  # samples a second
SECONDS = 4
_NOTES = 10  # in a melody
_HARMONICS = 12
_LOUDEST = 0.7


class Melodies(NamedTuple):
    """Sound in -1 .. 1: ``(count, samples)``."""

    sound: np.ndarray


@cache
def melodies(count: int = 48, held_out: int = 12) -> tuple[Melodies, Melodies]:
    """Melodies to learn from and held-out ones.

    >>> [part.sound.shape for part in melodies(2, 1)]
    [(2, 32000), (1, 32000)]
    """
    found = np.stack([melody(seed) for seed in range(count + held_out)])
    return Melodies(found[:count]), Melodies(found[count:])


def melody(seed: int, seconds: float = SECONDS) -> np.ndarray:
    """Notes that begin one after the other and ring on, ``(samples,)``."""
    rng = np.random.default_rng(seed)
    sound = np.zeros(round(seconds * RATE))
    for start in np.sort(rng.integers(0, max(len(sound) - RATE // 4, 1), _NOTES)):
        note = _note(rng, len(sound) - start)
        sound[start:] += note
    return (_LOUDEST * sound / max(np.abs(sound).max(), 1e-9)).astype(np.float32)


def _note(rng: np.random.Generator, samples: int) -> np.ndarray:
    """One note from its beginning on."""
    time = np.arange(samples) / RATE
    pitch = 110 * 2 ** (rng.integers(0, 30) / 12)
    vibrato = 1 + 0.004 * rng.random() * np.sin(2 * np.pi * rng.uniform(4, 7) * time)
    phase = 2 * np.pi * pitch * np.cumsum(vibrato) / RATE
    numbers = np.arange(1, min(_HARMONICS, int(RATE / 2 / pitch)) + 1)
    strengths = rng.random(len(numbers)) / numbers ** rng.uniform(0.7, 1.6)
    decays = rng.uniform(1, 5) * (1 + 0.4 * numbers)
    attack = np.minimum(time / rng.uniform(0.002, 0.05), 1)
    tones = strengths[:, None] * np.exp(-decays[:, None] * time) * np.sin(numbers[:, None] * phase)
    note: np.ndarray = attack * tones.sum(0)
    return note
