"""The numbers of one problem: the same for every contender, and what they should answer."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import jax.numpy as jnp
import numpy as np

from bench import reference
from bench.cases import Case, SizeName

Mode = Literal["forward", "activated", "training", "dgrad", "fprop", "wgrad"]
MODES = ("forward", "training")
SIDES = ("dgrad", "fprop", "wgrad")

# What each mode answers: y, and the gradients by x, w and bias.
ANSWERS: dict[str, tuple[str, ...]] = {
    "forward": ("y",),
    "activated": ("y",),
    "training": ("y", "dx", "dw", "db"),
    "dgrad": ("y",),
    "fprop": ("dx",),
    "wgrad": ("dw",),
}

# Largest error allowed, as a share of the largest number in the answer.
TOLERANCE = {"float32": 5e-5, "bfloat16": 1.5e-2}
TOLERANCE_TF32 = 2e-3
# Peers are held to it too, but for one thing: JAX sums the gradient of a bfloat16 bias in
# bfloat16.  Up to this error such a peer is timed all the same, and called inexact.
INEXACT = {"db": 0.5}


@dataclass(frozen=True)
class Data:
    """x, w, bias and a cotangent, channels last, rounded to ``dtype``."""

    case: Case
    size: SizeName
    dtype: str

    @cached_property
    def arrays(self) -> dict[str, np.ndarray]:
        """x, w, bias and cotangent; asymmetric and random, outputs near 1 in size."""
        rng = np.random.default_rng(sum(map(ord, self.case.name)))
        shapes = dict(zip("xwg", self.case.shapes(self.size), strict=True))
        shapes["b"] = shapes["w"][-1:]
        drawn = {name: rng.standard_normal(shape, np.float32) for name, shape in shapes.items()}
        terms = self.case.multiply_adds(self.size) / np.prod(shapes["g"])
        drawn["w"] *= max(terms, 1) ** -0.5
        return {name: array.astype(jnp.dtype(self.dtype)) for name, array in drawn.items()}

    @cached_property
    def expected(self) -> dict[str, np.ndarray]:
        """Every answer in float64, by a route that shares no line with any contender."""
        wide = {name: array.astype(np.float64) for name, array in self.arrays.items()}
        return reference.answers(wide, self.case)

    def errors(self, mode: Mode, answers: dict[str, np.ndarray]) -> dict[str, float]:
        """The largest error of each answer, relative to the largest number expected there."""
        return {name: self._error(mode, name, answers[name]) for name in ANSWERS[mode]}

    def _error(self, mode: Mode, name: str, answer: np.ndarray) -> float:
        expected = self.expected[name]
        if name == "y" and mode != "dgrad":
            expected = expected + self.arrays["b"].astype(np.float64)
        if mode == "activated":
            expected = np.maximum(expected, 0)
        if answer.shape != expected.shape or not np.isfinite(answer).all():
            return float("inf")
        return float(np.abs(answer - expected).max() / np.abs(expected).max())
