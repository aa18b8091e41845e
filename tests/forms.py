"""Random ``conv_general_dilated`` against NumPy loops: values, gradients, and derivatives of these.

    python -m tests.forms --seed 0 --cases 1000

draws every combination of dilations, strides, padding of mixed sign, groups, batch groups,
dimension numbers and dtypes, on 1 to 3 axes, in processes of their own, because XLA:CPU ends some.
Operands are small whole numbers, so that every sum is exact in every dtype.  What can be no side of
the law must stay as JAX lowers it, to the letter.
"""

from __future__ import annotations

import json
import random
import re
import sys
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np

from tests.fuzz import Worker, main

METHODS = ("auto", "auto", "auto", "dilated", "scatter", "gemm,scatter", "phases,scatter")
UNOPTIMIZED: dict[str, Any] = {"xla_backend_optimization_level": "0"}
DTYPES = (
    *("float32", "float32", "float32", "float64", "bfloat16", "float16"),
    *("complex64", "int8", "int32"),
)


@dataclass(frozen=True)
class Drawn:
    """A convolution by its parameters; sizes are (lhs, rhs, out) along each axis."""

    sizes: tuple[tuple[int, int, int], ...]
    lhs_dilation: tuple[int, ...]
    rhs_dilation: tuple[int, ...]
    strides: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    feature_groups: int
    batch_groups: int
    channels: tuple[int, int, int]  # batch, channels, features, of one group
    specs: tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]
    method: str
    dtype: str
    twice: bool  # whether it is differentiated twice

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """Of lhs, rhs and out, as they lie."""
        b, c, o = self.channels
        groups = self.feature_groups * self.batch_groups
        pairs = (
            (b * self.batch_groups, c * self.feature_groups),
            (o * groups, c),
            (b, o * groups),
        )
        found = []
        for number, (pair, spec) in enumerate(zip(pairs, self.specs, strict=True)):
            sizes = (*pair, *(axis[number] for axis in self.sizes))
            found.append(tuple(sizes[spec.index(axis)] for axis in range(len(spec))))
        return tuple(found)

    @property
    def is_inside(self) -> bool:
        """Whether it is a side of the law: one of the three steps is 1 along every axis."""
        steps = (self.lhs_dilation, self.rhs_dilation, self.strides)
        return any(
            all(
                step == 1 or sizes[array] == 1
                for step, sizes in zip(steps[array], self.sizes, strict=True)
            )
            for array in range(3)
        )

    def __call__(self, lhs: Any, rhs: Any) -> Any:
        from jax import lax

        return lax.conv_general_dilated(
            lhs,
            rhs,
            self.strides,
            self.padding,
            lhs_dilation=self.lhs_dilation,
            rhs_dilation=self.rhs_dilation,
            dimension_numbers=lax.ConvDimensionNumbers(*self.specs),
            feature_group_count=self.feature_groups,
            batch_group_count=self.batch_groups,
        )


def draw(chance: random.Random, rank: int | None = None) -> Drawn:
    """A convolution with a result."""
    rank = rank or chance.choice((1, 1, 2, 2, 2, 3))
    unit = chance.choice((0, 0, 1, 1, 2, 2, None))
    axes = [_axis(chance, unit, {1: 7, 2: 4, 3: 3}[rank]) for _ in range(rank)]
    groups = chance.choice((1, 1, 2, 3))
    by_batch = chance.random() < 0.4
    specs = tuple(tuple(chance.sample(range(rank + 2), rank + 2)) for _ in range(3))
    sizes, a, d, s, padding = zip(*axes, strict=True)
    return Drawn(
        sizes,
        a,
        d,
        s,
        padding,
        1 if by_batch else groups,
        groups if by_batch else 1,
        (chance.randint(1, 2), chance.randint(1, 2), chance.randint(1, 2)),
        specs,  # type: ignore[arg-type]
        chance.choice(METHODS),
        chance.choice(DTYPES),
        chance.random() < 0.25,
    )


def _axis(chance: random.Random, unit: int | None, most: int) -> Any:
    m, k = chance.randint(1, most), chance.randint(1, most)
    a, d, s = (1 if array == unit else chance.choice((1, 1, 2, 3)) for array in range(3))
    long, window = a * (m - 1) + 1, d * (k - 1) + 1
    lo = chance.choice((0, 0, 1, chance.randint(-long, window + 2)))
    hi = chance.choice((0, lo, chance.randint(-long, window + 2)))
    lo, hi = (
        (lo, hi) if long + lo + hi >= window else (lo, window - long - lo + chance.randint(0, 2))
    )
    return (m, k, (long + lo + hi - window) // s + 1), a, d, s, (lo, hi)


def by_loops(drawn: Drawn, lhs: Any, rhs: Any, out: Any) -> tuple[np.ndarray, ...]:
    """Each array of the three from the other two, by loops over the law that XLA documents."""
    arrays = [a.transpose(spec) for a, spec in zip((lhs, rhs, out), drawn.specs, strict=True)]
    results = [np.zeros_like(a) for a in arrays]
    for i in np.ndindex(arrays[2].shape[2:]):
        for t in np.ndindex(arrays[1].shape[2:]):
            steps = zip(i, t, drawn.strides, drawn.rhs_dilation, drawn.padding, strict=True)
            places = [s * one + d * tap - lo for one, tap, s, d, (lo, _) in steps]
            known = list(zip(places, drawn.lhs_dilation, drawn.sizes, strict=True))
            if all(p % a == 0 and 0 <= p // a < size[0] for p, a, size in known):
                _add(drawn, arrays, results, (tuple(p // a for p, a, _ in known), t, i))
    return tuple(
        result.transpose(np.argsort(spec))
        for result, spec in zip(results, drawn.specs, strict=True)
    )


def _add(drawn: Drawn, arrays: Any, results: Any, cells: Any) -> None:
    """One product of every group to the results."""
    b, c, o = drawn.channels
    for g in range(drawn.feature_groups * drawn.batch_groups):
        rows, depth, width = slice(0, b), slice(0, c), slice(g * o, (g + 1) * o)
        if drawn.batch_groups > 1:
            rows = slice(g * b, (g + 1) * b)
        else:
            depth = slice(g * c, (g + 1) * c)
        at = (
            (rows, depth, *cells[0]),
            (width, slice(0, c), *cells[1]),
            (slice(0, b), width, *cells[2]),
        )
        x, w, y = (a[place] for a, place in zip(arrays, at, strict=True))
        results[0][at[0]] += y @ w
        results[1][at[1]] += y.T @ x
        results[2][at[2]] += x @ w.T


def trouble(drawn: Drawn) -> str | None:
    """What is wrong with an accelerated convolution, if anything is."""
    try:
        return _difference(drawn) if drawn.is_inside else _changed(drawn)
    except Exception as error:
        return f"{type(error).__name__}: {str(error).splitlines()[0][:200]}"


def _difference(drawn: Drawn) -> str | None:
    import jax
    import jax.numpy as jnp

    from jtconv.rewrite.function import forced

    rng = np.random.default_rng(zlib.crc32(repr(drawn).encode()))
    shapes = drawn.shapes
    numbers = [rng.integers(-1, 2, s).astype(float) for s in (*shapes, *shapes[:2])]
    lhs, rhs, c, dlhs, drhs = numbers
    want = {"value": by_loops(drawn, lhs, rhs, c)[2]}
    compute: Any = _value
    accelerated = [forced(partial(compute, drawn), drawn.method)]
    if not drawn.dtype.startswith("int"):
        by_lhs, by_rhs, _ = by_loops(drawn, lhs, rhs, c)
        want |= {"gradient by lhs": by_lhs, "gradient by rhs": by_rhs}
        compute = _gradients
        if drawn.twice:
            want["derivative of the gradient by lhs"] = by_loops(drawn, lhs, drhs, c)[0]
            want["derivative of the gradient by rhs"] = by_loops(drawn, dlhs, rhs, c)[1]
            compute = _derivatives
        whole = forced(partial(compute, drawn), drawn.method)
        accelerated = [partial(compute, forced(drawn, drawn.method)), whole]
    operands = [jnp.asarray(a, drawn.dtype) for a in numbers]
    for order, f in zip(("accelerate first", "accelerate last"), accelerated, strict=False):
        lowered = jax.jit(f).lower(*operands)
        if drawn.method == "scatter" and "stablehlo.convolution" in lowered.as_text():
            return f"{order}: a convolution is left to XLA"
        got = lowered.compile(UNOPTIMIZED)(*operands)
        for (name, theirs), mine in zip(want.items(), got, strict=True):
            if mine.shape != theirs.shape or not np.array_equal(np.asarray(mine, complex), theirs):
                return f"{order}: wrong {name}"
    return None


def _value(drawn: Any, lhs: Any, rhs: Any, *_: Any) -> tuple[Any, ...]:
    return (drawn(lhs, rhs),)


def _gradients(f: Any, lhs: Any, rhs: Any, c: Any, *_: Any) -> tuple[Any, ...]:
    """The value and its gradients."""
    import jax

    value, pull = jax.vjp(f, lhs, rhs)
    return value, *pull(c)


def _derivatives(f: Any, lhs: Any, rhs: Any, c: Any, dlhs: Any, drhs: Any) -> tuple[Any, ...]:
    """The value, its gradients, and how these change."""
    import jax

    def gradients(lhs: Any, rhs: Any) -> Any:
        return jax.vjp(f, lhs, rhs)[1](c)

    first, second = jax.jvp(gradients, (lhs, rhs), (dlhs, drhs))
    return f(lhs, rhs), *first, *second


def _changed(drawn: Drawn) -> str | None:
    """Whether what is outside the law is lowered otherwise than by JAX."""
    import jax
    import jax.numpy as jnp

    from jtconv.rewrite.function import forced

    operands = [jax.ShapeDtypeStruct(s, jnp.dtype(drawn.dtype)) for s in drawn.shapes[:2]]

    def text(f: Any) -> str:
        return jax.jit(partial(_value, f)).lower(*operands).as_text()

    tagged = text(forced(drawn, drawn.method))
    tag = rf'mhlo.frontend_attributes = \{{jtconv = "{drawn.method}"\}}(, )?'
    plain = re.sub(tag, "", tagged).replace(", }", "}")
    if re.sub(r"\s*\{\}", "", plain) != re.sub(r"\s*\{\}", "", text(drawn)):
        return "lowered otherwise than by JAX"
    return None


def failures(seed: int, count: int, rank: int | None = None) -> Iterator[str]:
    """The cases of a seed that fail, and how."""
    chance = random.Random(seed)
    with Worker("tests.forms") as worker:
        for _ in range(count):
            drawn = draw(chance, rank)
            found = worker.ask(json.dumps(asdict(drawn)))
            if found is not None:
                yield f"{drawn}: {found}"


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def work() -> None:
    """Read cases, and answer each with what is wrong with it."""
    import jax

    jax.config.update("jax_enable_x64", True)
    for number, text in enumerate(sys.stdin, 1):
        fields = {name: _tuples(value) for name, value in json.loads(text).items()}
        print(json.dumps(trouble(Drawn(**fields))), flush=True)
        if number % 200 == 0:
            jax.clear_caches()


if __name__ == "__main__":
    sys.exit(main("tests.forms", __doc__, work, failures))
