"""What is measured: a layer in one dtype and mode, its arrays, and the answers it should give."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np

from bench import reference
from bench.cases import Case, SizeName
from bench.program import Array

Mode = Literal["forward", "activated", "training", "dgrad", "fprop", "wgrad"]
MODES: tuple[Mode, ...] = ("forward", "training")
SIDES: tuple[Mode, ...] = ("dgrad", "fprop", "wgrad")

# What each mode is given: x, w, bias and cotangent g; and what it answers: y, and the gradients.
ARGUMENTS: dict[Mode, str] = {
    "forward": "xwb",
    "activated": "xwb",
    "training": "xwbg",
    "dgrad": "xw",
    "fprop": "wg",
    "wgrad": "xg",
}
ANSWERS: dict[Mode, tuple[str, ...]] = {
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

# Several programs of one problem may be built at a time.
_MADE_ONCE = threading.RLock()

# On an accelerator the argument sets together must be far larger than its cache.
FAR_BEYOND_CACHE = 200e6


@dataclass(frozen=True)
class Data:
    """x, w, bias and a cotangent, channels last, rounded to ``dtype``."""

    case: Case
    size: SizeName
    dtype: str

    @property
    def arrays(self) -> dict[str, Array]:
        """x, w, bias and cotangent; asymmetric and random, outputs near 1 in size."""
        with _MADE_ONCE:
            return self._arrays

    @property
    def expected(self) -> dict[str, Array]:
        """Every answer in float64, by code that shares no line with any implementation."""
        with _MADE_ONCE:
            return self._expected

    @cached_property
    def _arrays(self) -> dict[str, Array]:
        rng = np.random.default_rng(sum(map(ord, self.case.name)))
        shapes = dict(zip("xwg", self.case.shapes(self.size), strict=True))
        shapes["b"] = shapes["w"][-1:]
        drawn = {name: rng.standard_normal(shape, np.float32) for name, shape in shapes.items()}
        terms = self.case.multiply_adds(self.size) / np.prod(shapes["g"])
        drawn["w"] *= max(terms, 1) ** -0.5
        return {name: array.astype(jnp.dtype(self.dtype)) for name, array in drawn.items()}

    @cached_property
    def _expected(self) -> dict[str, Array]:
        wide = {name: array.astype(np.float64) for name, array in self.arrays.items()}
        return reference.answers(wide, self.case)

    def errors(self, mode: Mode, answers: dict[str, Array]) -> dict[str, float]:
        """The largest error of each answer, relative to the largest number expected there."""
        return {name: self._error(mode, name, answers[name]) for name in ANSWERS[mode]}

    def _error(self, mode: Mode, name: str, answer: Array) -> float:
        expected = self.expected[name]
        if name == "y" and mode != "dgrad":
            expected = expected + self.arrays["b"].astype(np.float64)
        if mode == "activated":
            expected = np.maximum(expected, 0)
        if answer.shape != expected.shape or not np.isfinite(answer).all():
            return float("inf")
        return float(np.abs(answer - expected).max() / np.abs(expected).max())


@dataclass(frozen=True)
class Problem:
    """Data, mode, and how the device wants to be measured."""

    data: Data
    mode: Mode
    copies: int = 1  # distinct argument sets, taken in turn
    unroll: bool = False  # all of them in one program
    torch_compile: bool = False

    @property
    def case(self) -> Case:
        """The layer."""
        return self.data.case


@dataclass(frozen=True)
class Sweep:
    """Every problem of a run, in order; the data of a case live only while it is measured."""

    cases: list[Case]
    size: SizeName
    dtypes: tuple[str, ...]
    modes: tuple[Mode, ...]
    torch_compile: bool = False

    def __len__(self) -> int:
        return len(self.cases) * len(self.dtypes) * len(self.modes)

    def __iter__(self) -> Iterator[Problem]:
        for case in self.cases:
            for dtype in self.dtypes:
                data = Data(case, self.size, dtype)
                for mode in self.modes:
                    yield self._problem(data, mode)

    def _problem(self, data: Data, mode: Mode) -> Problem:
        if jax.default_backend() == "cpu":
            return Problem(data, mode, torch_compile=self.torch_compile)
        held = data.case.numbers(self.size) * jnp.dtype(data.dtype).itemsize
        copies = int(np.clip(np.ceil(FAR_BEYOND_CACHE / held), 3, 16))
        return Problem(data, mode, copies, unroll=True, torch_compile=self.torch_compile)
