"""What a recipe is: something that learns, what it learns from, and how it is judged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import jax
from flax import nnx
from PIL import Image


@dataclass(frozen=True)
class Results:
    """Numbers for ``metrics.json``, and pictures by the name of their file."""

    metrics: dict[str, Any]
    pictures: dict[str, Image.Image] = field(default_factory=dict)


class Learner(Protocol):
    """An ``nnx.Module`` of nets and optimizers: all that a checkpoint has to hold."""

    def learn(self, source: Any, key: jax.Array) -> dict[str, jax.Array]:
        """Take one step on what ``key`` draws from ``source``; return losses. Compiled."""

    def judge(self, seen: Any, held_out: Any) -> Results:
        """How good it is, on sources of data it has and has not learnt from."""


@dataclass(frozen=True)
class Recipe:
    """One row of the table: how a model is trained.

    Attributes:
        data: name of the data, a row of ``data.DATA``.
        begin: the learner before its first step, from a source of random numbers.
        steps: how many are worth taking.
    """

    data: str
    begin: Callable[[nnx.Rngs], Learner]
    steps: int
