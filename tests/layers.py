"""Layers to say in the words of other frameworks: random, seeded, and named by what they are."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jtconv
from jtconv.plan import Plan
from jtconv.problem.geometry import Geometry


@dataclass(frozen=True, eq=False)
class Case:
    """A call of ``op``, less its arrays."""

    op: Any
    x: tuple[int, ...]
    w: tuple[int, ...]
    keywords: dict[str, Any]
    bias: bool

    @property
    def name(self) -> str:
        return f"{self.op} {self.x} {self.w} {self.keywords} {self.bias}"

    @property
    def rank(self) -> int:
        return len(self.x) - 2

    @cached_property
    def plan(self) -> Plan:
        """What explain says of it."""
        x, w = (jax.ShapeDtypeStruct(shape, jnp.float64) for shape in (self.x, self.w))
        b = jax.ShapeDtypeStruct(self.w[-1:], jnp.float64) if self.bias else None
        return jtconv.explain(x, w, b, op=self.op, **self.keywords)

    def numbers(self) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """x, w and perhaps a bias."""
        rng = np.random.default_rng(len(self.name))
        bias = rng.normal(size=self.w[-1]) if self.bias else None
        return rng.normal(size=self.x), rng.normal(size=self.w), bias

    @cached_property
    def value(self) -> np.ndarray:
        """What it computes: NumPy loops over the products of its geometry."""
        (x, w, bias), call = self.numbers(), self.plan.call
        w = np.flip(w, tuple(range(self.rank))) if self.keywords.get("flip_kernel") else w
        depth, width = w.shape[-2], w.shape[-1] // call.geometry.groups
        y = np.zeros(call.output_shape)
        for small, t, large in _stamps(call.geometry):
            into, out_of = (large, small) if self.op == "conv_transpose" else (small, large)
            for g in range(call.geometry.groups):
                inside, outside = (slice(g * n, (g + 1) * n) for n in (depth, width))
                taken = x[(slice(None), *out_of, inside)]
                y[(slice(None), *into, outside)] += taken @ w[(*t, slice(None), outside)]
        return y if bias is None else y + bias


def _stamps(g: Geometry) -> Iterator[tuple[tuple, tuple, tuple]]:
    """Cells of the small side, the kernel and the large side that meet."""
    for i in np.ndindex(g.x_size):
        for t in np.ndindex(g.kernel):
            pairs = zip(i, t, g, strict=True)
            m = tuple(a.stride * one + a.dilation * tap - a.lo for one, tap, a in pairs)
            if all(0 <= at < size for at, size in zip(m, g.y_size, strict=True)):
                yield i, t, m


def cases(count: int, seed: int) -> list[Case]:
    """Half transposed, half plain; every kind of padding, groups and dilation among them."""
    chance = random.Random(seed)
    found: list[Case] = []
    while len(found) < count:
        case = _drawn(chance)
        try:
            _ = case.plan
        except ValueError:  # no output
            continue
        found.append(case)
    return found


def _drawn(chance: random.Random) -> Case:
    rank = chance.choice((1, 1, 1, 2, 2, 3))
    op = chance.choice(("conv_transpose", "conv"))

    def each(least: int, most: int) -> tuple[int, ...]:
        return tuple(chance.randint(least, most) for _ in range(rank))

    stride, dilation = each(1, 3), each(1, 2) if chance.random() < 0.5 else (1,) * rank
    padding: Any = chance.choice(
        (
            each(0, 2),
            tuple((chance.randint(-1, 2), chance.randint(-1, 2)) for _ in range(rank)),
            chance.choice(("same", "valid", "full", "same_lower", "causal")),
        )
    )
    groups = chance.choice((1, 1, 2))
    keywords = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    if op == "conv_transpose":
        extra = tuple(chance.randrange(max(s, d)) for s, d in zip(stride, dilation, strict=True))
        keywords |= {"output_padding": extra, "flip_kernel": chance.random() < 0.2}
    large = (5, 4, 3)[rank - 1]
    size = each(2, large) if op == "conv_transpose" else each(large + 2, large + 4)
    depth, width = chance.randint(1, 2), 2 * chance.randint(1, 2)
    bias = chance.random() < 0.5
    return Case(op, (2, *size, depth * groups), (*each(1, large - 1), depth, width), keywords, bias)
