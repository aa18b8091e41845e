"""No rank and no dtype is promoted unasked: JAX's strict modes change no program of ours.

A program is traced and lowered with and without the modes, and must be the same to the letter. So
nothing is compiled, and what is lowered for other platforms is looked at too.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jtconv
from jtconv import initializers
from tests.axes import METHODS
from tests.cases import BY_NAME, CASES, REPRESENTATIVE, Case
from tests.compare import assert_close
from tests.public import CALLS, operands
from tests.selection import exhaustive, rows


@contextlib.contextmanager
def strict() -> Iterator[None]:
    with jax.numpy_rank_promotion("raise"), jax.numpy_dtype_promotion("strict"):
        yield


def lowered(function: Callable, *args: Any, platform: str = "cpu") -> str:
    return jax.jit(function).trace(*args).lower(lowering_platforms=(platform,)).as_text()


def assert_same_program(function: Callable, *args: Any, platform: str = "cpu") -> None:
    want = lowered(function, *args, platform=platform)
    with strict():
        got = lowered(function, *args, platform=platform)
    assert got == want


def total(function: Callable) -> Callable:
    """The sum of a function's results, real and imaginary: a loss."""
    return lambda *args: sum(
        jnp.sum(jnp.real(a)) + jnp.sum(jnp.imag(a)) for a in jax.tree.leaves(function(*args))
    )


def value_and_gradient(function: Callable) -> Callable:
    def both(*args: jax.Array) -> Any:
        return function(*args), jax.grad(total(function), tuple(range(len(args))))(*args)

    return both


QUICK = (*("max_unpool", "average_unpool", "nnx_masked", "bilinear"),)


@pytest.mark.parametrize("name", rows(list(CALLS), default=QUICK))
def test_public(name):
    function, *shapes = CALLS[name]
    whole = value_and_gradient(function) if shapes else function
    assert_same_program(whole, *operands(*shapes))


def both_operations(case: Case, method: Any, dtype: Any, preferred: Any = None) -> tuple[Any, ...]:
    """Operation and companion, biased and differentiated both ways; and what they are called on."""
    x, w, y = (jnp.asarray(a) for a in case.operands(np.random.default_rng(0), jnp.dtype(dtype)))
    over, under = jnp.ones(case.features, x.dtype), jnp.ones(case.channels, x.dtype)
    known: dict[str, Any] = {"method": method, "preferred_element_type": preferred}
    up: Any = functools.partial(jtconv.conv_transpose, **known, **case.keywords)
    down: Any = functools.partial(jtconv.conv, **known, **case.adjoint_keywords)

    def all_sides(x: Any, w: Any, y: Any, over: Any, under: Any) -> Any:
        if not jnp.issubdtype(x.dtype, jnp.inexact):
            return up(x, w, over), down(y, w, under)
        there, back = (x, w, over), (y, w, under)
        pulled = [jax.vjp(f, *args) for f, args in ((up, there), (down, back))]
        return [(value, pull(value)) for value, pull in pulled], jax.jvp(up, there, there)

    return all_sides, x, w, y, over, under


FLOATS = ("float16", "bfloat16", "float32", "float64", "complex64", "complex128")
INTEGERS = ("int8", "int16", "int32", "int64")
# By name: method, case, dtype, preferred dtype.
PROGRAMS = (
    {
        f"{method}-{case.name}-{dtype}": (method, case, dtype, None)
        for method in METHODS
        for case in CASES
        for dtype in ("float32", "bfloat16")
    }
    | {
        f"{method}-{case.name}-{dtype}": (method, case, dtype, None)
        for method in METHODS
        for case in (BY_NAME["grouped"], BY_NAME["k3_s2"])
        for dtype in FLOATS + INTEGERS
        if not (method in ("vjp", "fft") and dtype in INTEGERS)
    }
    | {
        f"{method}-grouped-{dtype}-{wide}": (method, BY_NAME["grouped"], dtype, wide)
        for method in METHODS
        for dtype, wide in (
            *(("bfloat16", "float32"), ("float32", "bfloat16"), ("float16", "bfloat16")),
            *(("float32", "float64"), ("complex64", "complex128")),
        )
    }
)
QUICK_PROGRAMS = (
    *(f"{method}-grouped-float32" for method in ("scatter", "taps")),
    *("phases-k_below_s-bfloat16", "phases-dilated_coprime-bfloat16"),
    *("auto-grouped-bfloat16-float32", "auto-grouped-int8"),
)


@pytest.mark.parametrize(
    ("method", "case", "dtype", "preferred"), rows(PROGRAMS, default=QUICK_PROGRAMS)
)
def test_methods(method, case, dtype, preferred):
    assert_same_program(*both_operations(case, method, dtype, preferred))


WIDE = (
    Case("wide", (16, 16), (4, 4), (2, 2), (1, 1), ((1, 1), (1, 1)), 128, 128, 1, 8),
    Case("wide_1d", (64,), (4,), (2,), (1,), ((1, 1),), 64, 128, 1, 8),
)
# The kernel for TPUs does not lower one channel a group in bfloat16, in any mode.
LOWERED = (*REPRESENTATIVE[:4], BY_NAME["k_is_s"], *WIDE)


@exhaustive
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("case", LOWERED, ids=lambda case: case.name)
@pytest.mark.parametrize("method", ["auto", ("pallas", "auto"), "phases"], ids=str)
@pytest.mark.parametrize("platform", ["cuda", "tpu"])
def test_lowered_for_accelerators(platform, method, case, dtype):
    """Kernels among them, which are traced when they are lowered."""
    assert_same_program(*both_operations(case, method, dtype), platform=platform)


def test_lines_of_the_report():
    """Run, and not only lowered."""
    x, w, b = jnp.ones((1, 3, 1)), jnp.ones((2, 1, 1)), jnp.ones(1)
    with jax.numpy_rank_promotion("raise"):
        for method in ("auto", "taps"):
            got = jtconv.conv_transpose(x, w, b, method=method)
            np.testing.assert_array_equal(got[0, :, 0], [2, 3, 3, 2])
        values, indices = jtconv.max_pool_with_indices(jnp.arange(8.0).reshape(1, 2, 4, 1), 2)
        np.testing.assert_array_equal(values[0, 0, :, 0], [5, 7])
        np.testing.assert_array_equal(indices[0, 0, :, 0], [5, 7])
    with strict():
        kernel = initializers.bilinear()(jax.random.key(0), (4, 1, 1))
        np.testing.assert_array_equal(kernel[:, 0, 0], [0.25, 0.75, 0.75, 0.25])
        half = [a.astype(jnp.bfloat16) for a in (x, w, b)]
        assert_close(jtconv.conv_transpose(*half, method="phases")[0, :, 0], [2, 3, 3, 2])


@exhaustive
def test_explain_and_tune():
    """What measures runs every method: none fails for the modes' sake."""
    x, w = operands((1, 5, 4, 2), (3, 2, 2, 4), dtype=jnp.bfloat16)
    known: dict[str, Any] = {"stride": 2, "preferred_element_type": "float32"}
    want = jtconv.tune(jtconv.conv_transpose, x, w, **known)
    with strict():
        assert str(jtconv.explain(x, w, **known))
        tuning = jtconv.tune(jtconv.conv_transpose, x, w, **known)
    troubles = [
        {t.method: t.trouble for row in found.rows.values() for t in row}
        for found in (tuning, want)
    ]
    assert troubles[0] == troubles[1]
