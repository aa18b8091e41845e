"""Every method on the same problem, against a float64 reference and against jax.lax."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property, partial

import jax
import numpy as np

import jtconv
from jtconv.dispatch.choose import Choice

CROP = 24  # small enough for the matrix of a 12 x 12 kernel with 3 colours to fit in memory
FEWEST_RUNS, MOST_RUNS, ENOUGH_SECONDS = 3, 15, 0.5
HIGHEST = "highest"  # so that accelerators do not round the operands


@dataclass(frozen=True)
class Row:
    """One line of the result: what ran on what, or why it did not."""

    method: str
    on: str
    difference: float = math.nan
    milliseconds: float = math.nan
    speed: float = math.nan  # jax.lax = 1
    refusal: str = ""
    output: np.ndarray | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True)
class Problem:
    """``x (1, H, W, C)`` through a kernel ``w (k, k, C, O)`` at one stride, nothing cropped."""

    name: str
    x: np.ndarray
    w: np.ndarray
    stride: int

    @cached_property
    def reference(self) -> np.ndarray:
        """The stamps laid down by NumPy in float64, one kernel cell at a time."""
        x, w = self.x.astype(np.float64), self.w.astype(np.float64)
        batch, height, width, _ = x.shape
        k, s = len(w), self.stride
        y = np.zeros((batch, (height - 1) * s + k, (width - 1) * s + k, w.shape[-1]))
        for a, b in np.ndindex(k, k):
            y[:, a : a + s * height : s, b : b + s * width : s][:, :height, :width] += x @ w[a, b]
        return y

    @cached_property
    def lax(self) -> Row:
        """What a JAX user would write today; it wants the kernel turned round."""
        k = len(self.w)
        call = partial(
            jax.lax.conv_transpose,
            strides=(self.stride, self.stride),
            padding=[(k - 1, k - 1)] * 2,
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            precision=HIGHEST,
        )
        return self._measured("jax.lax", call, self.w[::-1, ::-1])

    @cached_property
    def choice(self) -> Choice:
        """The method that "auto" takes, and why."""
        plan = jtconv.explain(self.x, self.w, stride=self.stride, precision=HIGHEST)
        return plan.sides[0].choice

    def by(self, method: str) -> Row:
        """This problem by one method of jtconv, which may refuse it."""
        call = partial(jtconv.conv_transpose, stride=self.stride, method=method, precision=HIGHEST)
        try:
            return self._measured(method, call, self.w)
        except jtconv.Unsupported as refusal:
            return Row(method, self.name, refusal=_reason(str(refusal), method))

    def _measured(self, method: str, call: Callable, w: np.ndarray) -> Row:
        operands = jax.device_put((self.x, np.ascontiguousarray(w)))
        output, milliseconds = _timed(jax.jit(call), operands)
        difference = float(np.abs(output - self.reference).max())
        speed = self.lax.milliseconds / milliseconds if method != "jax.lax" else 1.0
        return Row(method, self.name, difference, milliseconds, speed, output=output)

    def smaller(self) -> Iterator[Problem]:
        """Parts of the problem for a method that finds the whole too large."""
        yield Problem(
            f"one colour of {self.name}", self.x[..., :1], self.w[..., :1, :1], self.stride
        )
        top, left = (self.x.shape[1] - CROP) // 2, (self.x.shape[2] - CROP) // 2
        crop = self.x[:, top : top + CROP, left : left + CROP]
        yield Problem(f"{CROP} x {CROP} pixels of {self.name}", crop, self.w, self.stride)


def contest(problem: Problem) -> Iterator[Row]:
    """jax.lax, then each method; one that refuses is shown on a part it can do as well."""
    yield problem.lax
    parts = list(problem.smaller())
    for method in jtconv.methods():
        row = problem.by(method)
        yield row
        if row.refusal:
            tries = (part.by(method) for part in parts)
            yield from [done for done in tries if not done.refusal][:1]


def _timed(call: Callable, operands: tuple) -> tuple[np.ndarray, float]:
    """The result, and the median time of a few runs after one that compiles."""
    output = np.asarray(call(*operands))
    times: list[float] = []
    while len(times) < FEWEST_RUNS or (sum(times) < ENOUGH_SECONDS and len(times) < MOST_RUNS):
        start = time.perf_counter()
        jax.block_until_ready(call(*operands))
        times.append(time.perf_counter() - start)
    return output, 1e3 * statistics.median(times)


def _reason(message: str, method: str) -> str:
    """The heart of a refusal: the table says the rest."""
    reason = message.split(f"{method}: ")[-1]
    return reason.split(". Use method=")[0]
