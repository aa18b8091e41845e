"""Infinities and NaN: the law multiplies only what meets, so they reach that and nothing else.

``auto`` keeps to it on a CPU, in every dtype, in transposed convolutions, and goes no further than
lax in convolutions. Of a method it is written down, as ``spreads``,
which of its operands' infinities may go further. Both are tested: what promises keeps its promise,
and what does not is seen to break the law.
"""

from __future__ import annotations

import functools
import random
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import jtconv
from jtconv.algorithms import ALGORITHMS
from jtconv.dispatch.choose import Choice, automatic, keeps_infinities
from jtconv.problem.geometry import Geometry
from jtconv.problem.task import ROLES, Side, Task
from jtconv.typing import MethodName
from tests import fuzz, oracle
from tests.axes import METHODS
from tests.cases import BY_NAME, CASES, Case, one_axis
from tests.selection import exhaustive, rows

SIDES: tuple[Side, ...] = ("dgrad", "fprop", "wgrad")
KEPT = SIDES[:2]
LAW: dict[str, Any] = {
    "dgrad": oracle.conv_transpose,
    "fprop": oracle.conv,
    "wgrad": oracle.kernel_gradient,
}
NOT_FINITE = (np.inf, -np.inf, np.nan)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_an_infinite_tap_reaches_the_cells_that_it_meets(dtype):
    w = jnp.array([jnp.inf, 1], dtype)[:, None, None]
    y = jtconv.conv_transpose(jnp.ones((1, 2, 1), dtype), w)
    assert y.ravel().tolist() == [np.inf, np.inf, 1]


def test_a_matrix_has_zeros_but_multiplies_none():
    x = jnp.array([jnp.inf, 1.0])[None, :, None]
    y = jtconv.conv_transpose(x, jnp.ones((2, 1, 1)), stride=2, method="matrix")
    assert y.ravel().tolist() == [np.inf, np.inf, 1, 1]


@functools.cache
def side_of(case: Case, side: Side, method: MethodName) -> Any:
    """One side of a case as a function of its two operands, compiled once."""
    transposed = functools.partial(jtconv.conv_transpose, method=method, **case.keywords)
    if side == "dgrad":
        return jax.jit(transposed)
    if side == "fprop":
        return jax.jit(functools.partial(jtconv.conv, method=method, **case.adjoint_keywords))
    w = jnp.zeros(case.w_shape)

    def wgrad(x, y):
        by_w = functools.partial(transposed, x)
        return jax.linear_transpose(by_w, w.astype(x.dtype))(y)[0]

    return jax.jit(wgrad)


def spoiled(case: Case, side: Side, role: str, rng: np.random.Generator) -> list[np.ndarray]:
    """The operands of a side, all positive, with one number that is not finite in one of them."""
    shapes = {"x": case.x_shape, "w": case.w_shape, "y": case.y_shape}
    operands = [rng.integers(1, 3, shapes[name]).astype(float) for name in ROLES[side][:2]]
    a = operands[ROLES[side].index(role)]
    a.flat[rng.integers(a.size)] = rng.choice(NOT_FINITE)
    return operands


def spread(case: Case, side: Side, method: MethodName, dtype: str, operands: Any) -> np.ndarray:
    """Where a result is not finite though the law's is; an infinity that is lost is an error."""
    with np.errstate(invalid="ignore"):
        want = LAW[side](*operands, case)
        got = side_of(case, side, method)(*(jnp.asarray(a, dtype) for a in operands))
    finite = np.isfinite(np.asarray(got, complex))
    assert not (finite & ~np.isfinite(want)).any()
    return ~finite & np.isfinite(want)


def task_of(case: Case, side: Side, dtype: str) -> Task:
    axes = case.x_size, case.kernel, case.stride, case.dilation, case.crops, case.groups
    shapes = {"x": case.x_shape, "w": case.w_shape, "y": case.y_shape}
    known = {role: shapes[role] for role in ROLES[side][:2]}
    return Task.of(side, Geometry.of(*axes), known, dtype, dtype, "cpu")


def drawn(count: int) -> list[Case]:
    chance = random.Random(6)
    cases = (fuzz.draw(chance).case for _ in range(count))
    return [case._replace(batch=max(case.batch, 1)) for case in cases]


# Crops, holes of a stride and a dilation, phases of unequal length, groups, cells that meet
# nothing; and a depthwise problem, of which XLA may make one with zeros between groups.
NAMED = ("k_is_2s", "k3_s2", "dilated_coprime", "crops_beyond_kernel", "grouped", "depthwise")
FILLED = one_axis("filled", 6, 9, 2, 1, (3, 4))
PROBLEMS = {
    **{name: (BY_NAME[name],) for name in NAMED},
    "filled": (FILLED,),
    **{f"drawn_{n}": (case,) for n, case in enumerate(drawn(40))},
}


@pytest.mark.parametrize("side", KEPT)
@pytest.mark.parametrize("case", rows(PROBLEMS, default=["k3_s2", "grouped"]))
def test_auto_spreads_nothing_that_lax_would_not(case, side, rng):
    for dtype in ("float32",) if case.name == "grouped" else ("float32", "complex64"):
        is_lax = automatic(task_of(case, side, dtype)).method == "dilated"
        for role in ROLES[side][:2]:
            operands = spoiled(case, side, role, rng)
            further = spread(case, side, "auto", dtype, operands)
            assert side == "fprop" or is_lax or not further.any()
            if further.any():
                of_lax = lax_side(case, side, dtype)(*(jnp.asarray(a, dtype) for a in operands))
                assert not (further & np.isfinite(np.asarray(of_lax))).any()


@exhaustive
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64", "complex128"])
@pytest.mark.parametrize("case", [case for case in CASES if case.batch], ids=lambda case: case.name)
def test_auto_spreads_nothing_in_any_dtype(case, dtype, rng):
    for role in "xw":
        assert not spread(case, "dgrad", "auto", dtype, spoiled(case, "dgrad", role, rng)).any()


@exhaustive
@pytest.mark.parametrize("side", KEPT)
@pytest.mark.parametrize("case", rows(PROBLEMS, default=PROBLEMS))
def test_auto_spreads_no_further_than_lax_where_both_operands_have_infinities(case, side, rng):
    first, second = (spoiled(case, side, role, rng)[n] for n, role in enumerate(ROLES[side][:2]))
    further = spread(case, side, "auto", "float32", (first, second))
    of_lax = np.asarray(lax_side(case, side)(*(jnp.asarray(a, "float32") for a in (first, second))))
    assert not (further & np.isfinite(of_lax)).any()


def lax_side(case: Case, side: Side, dtype: str = "float32") -> Any:
    """The same as JAX's own users write it: a dilated convolution, and its derivatives."""
    letters = "DHWT"[: len(case.x_size)]
    columns = zip(case.kernel, case.dilation, case.crops, strict=True)
    pads = [(d * (k - 1) - lo, d * (k - 1) - hi) for k, d, (lo, hi) in columns]

    def dgrad(x, w):
        return lax.conv_general_dilated(
            x,
            lax.rev(w, range(len(letters))),
            (1,) * len(letters),
            pads,
            lhs_dilation=case.stride,
            rhs_dilation=case.dilation,
            dimension_numbers=(f"N{letters}C", f"{letters}IO", f"N{letters}C"),
            feature_group_count=case.groups,
        )

    x, w = jnp.zeros(case.x_shape, dtype), jnp.zeros(case.w_shape, dtype)
    sides = {
        "dgrad": dgrad,
        "fprop": lambda y, w: jax.linear_transpose(lambda x: dgrad(x, w), x)(y)[0],
        "wgrad": lambda x, y: jax.linear_transpose(lambda w: dgrad(x, w), w)(y)[0],
    }
    return jax.jit(sides[side])


def by_name() -> dict[str, tuple[str, Side]]:
    names = [name for name in METHODS if name != "auto"]
    return {f"{name}-{side}": (name, side) for name in names for side in SIDES}


@pytest.mark.parametrize(("method", "side"), rows(by_name(), default=["scatter-fprop"]))
def test_a_method_spreads_what_it_says_and_nothing_else(method, side, rng):
    """Over all problems: no other operand's infinities, and its own at least once."""
    broken = False
    for (case,) in PROBLEMS.values() if method != "scatter" else list(PROBLEMS.values())[:9]:
        task = task_of(case, side, "float32")
        if ALGORITHMS[method].refuse(task) is not None:
            continue
        says = ALGORITHMS[method].spreads(task)
        for role in ROLES[side][:2]:
            found = spread(case, side, method, "float32", spoiled(case, side, role, rng)).any()
            assert not found or role in says, (case, role)
            broken = broken or bool(found)
    always = all(
        ALGORITHMS[method].spreads(task_of(case, side, "float32")) == ""
        for (case,) in PROBLEMS.values()
    )
    assert broken != always


def test_explain_says_what_spreads():
    x, w = jnp.zeros((1, 8, 8, 2)), jnp.zeros((3, 3, 2, 2))
    known: dict[MethodName, bool] = {"auto": True, "gemm": True, "taps": False}
    for method, kept in known.items():
        plan = jtconv.explain(x, w, padding=1, method=method, verbose=True)
        assert plan.sides[0].keeps_infinities == kept
        assert plan.as_dict()["sides"]["forward"]["keeps_infinities"] == kept
        assert ("here none does" if kept else "here, too") in str(plan)
        spreads = {row.method: row.spreads for row in plan.sides[0].rows}
        assert (spreads["gemm"], spreads["taps"], spreads["fft"]) == ("", "w", "xw")
    assert "may spread" not in str(jtconv.explain(x.astype("int8"), w.astype("int8"), verbose=True))


def test_where_auto_contains_what_spreads():
    choice = Choice("taps", "a reason")
    task = task_of(BY_NAME["grouped"], "dgrad", "float32")
    assert keeps_infinities(("auto",), choice, task)
    assert keeps_infinities(("auto",), choice, replace(task, side="fprop"))
    assert not keeps_infinities(("auto",), Choice("gemm", ""), replace(task, side="fprop"))
    assert not keeps_infinities(("auto",), choice, replace(task, side="wgrad"))
    assert not keeps_infinities(("taps",), choice, task)
    assert not keeps_infinities(("auto",), choice, replace(task, platform="cuda"))
    assert not keeps_infinities(("auto",), Choice("dilated", "a reason"), task)
