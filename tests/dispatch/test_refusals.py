"""Refusals: a method that cannot do a problem says so by name and with its reason, at once."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jtconv
from jtconv.algorithms import ALGORITHMS
from tests.axes import NAMES
from tests.cases import CASES
from tests.compare import assert_close


class Hard(NamedTuple):
    """A problem that some methods refuse, and the words with which each does."""

    name: str
    x: tuple[int, ...]
    w: tuple[int, ...]
    stride: int
    dtype: Any
    refusals: dict[str, str]
    groups: int = 1


HARD = (
    Hard(
        "integers",
        (1, 3, 2),
        (2, 2, 3),
        2,
        jnp.int8,
        {"vjp": "int8 has no derivative", "fft": "sums of int8 are exact"},
    ),
    Hard("phases", (1, 1, 1, 2), (10, 10, 2, 2), 9, jnp.float32, {"phases": "81 convolutions"}),
    Hard(
        "stride_of_one",
        (1, 2, 2, 1),
        (12, 12, 1, 1),
        1,
        jnp.float32,
        {"gemm": "144 terms", "taps": "144 terms"},
    ),
    Hard(
        "tall",
        (1, 2, 2, 1),
        (70, 1, 1, 1),
        1,
        jnp.float32,
        {"gemm": "70 terms", "taps": "70 terms", "fold": "70 times"},
    ),
    Hard(
        "very_many_groups",
        (1, 1, 1, 2048),
        (9, 9, 1, 2048),
        2,
        jnp.float32,
        {"dense": "81 MiB"},
        groups=2048,
    ),
    Hard("long", (1, 30000, 1), (2, 1, 1), 1, jnp.float32, {"matrix": "GiB"}),
)
REFUSED = [
    pytest.param(hard, method, id=f"{hard.name}-{method}")
    for hard in HARD
    for method in hard.refusals
]


def shapes(hard):
    return (jax.ShapeDtypeStruct(shape, hard.dtype) for shape in (hard.x, hard.w))


def keywords(hard):
    return {"stride": hard.stride, "groups": hard.groups}


@pytest.mark.parametrize(("hard", "method"), REFUSED)
def test_a_refusal_names_method_and_reason(hard, method):
    """Already when traced: nothing has been compiled by the time the user hears of it."""
    with pytest.raises(jtconv.Unsupported) as caught:
        jax.eval_shape(
            lambda x, w: jtconv.conv_transpose(x, w, **keywords(hard), method=method),
            *shapes(hard),
        )
    assert isinstance(caught.value, ValueError)
    for words in (repr(method), hard.refusals[method], "method='auto'"):
        assert words in str(caught.value)


@pytest.mark.parametrize("hard", HARD, ids=lambda hard: hard.name)
def test_only_the_refusals_of_the_table(hard):
    plan = jtconv.explain(*shapes(hard), **keywords(hard))
    rows = plan.sides[0].rows
    assert tuple(row.method for row in rows) == jtconv.methods()
    assert {row.method for row in rows if row.refusal} == {*hard.refusals, "pallas"}
    for row in rows:
        assert hard.refusals.get(row.method, "") in (row.refusal or "")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_no_method_refuses_a_named_case(case):
    """The laws are asked of every method and case: no pair of them may be empty."""
    x, w = (jax.ShapeDtypeStruct(shape, jnp.float32) for shape in (case.x_shape, case.w_shape))
    plan = jtconv.explain(x, w, **case.keywords)
    refusing = {row.method for side in plan.sides for row in side.rows if row.refusal}
    assert refusing == {"pallas"}


@pytest.mark.parametrize("hard", HARD, ids=lambda hard: hard.name)
def test_the_first_that_can_runs(hard):
    """A sequence is asked in order; a refusal in it is no error unless all refuse."""
    refusing = next(iter(hard.refusals))
    plan = jtconv.explain(*shapes(hard), **keywords(hard), method=(refusing, "scatter"))
    assert plan.sides[0].choice.method == "scatter"
    plan = jtconv.explain(*shapes(hard), **keywords(hard), method=["dilated", refusing])
    assert plan.sides[0].choice.method == "dilated"
    plan = jtconv.explain(*shapes(hard), **keywords(hard), method=[refusing, "auto"])
    assert plan.sides[0].choice.method in ALGORITHMS


def test_all_refusals_are_told():
    x, w = jnp.ones((1, 2, 2, 1), jnp.int8), jnp.ones((17, 17, 1, 1), jnp.int8)
    with pytest.raises(jtconv.Unsupported, match=r"'vjp' cannot.*: .*; method 'taps' cannot"):
        jtconv.conv_transpose(x, w, method=("vjp", "taps"))


def test_the_first_that_can_gives_the_values(rng):
    x, w = rng.normal(size=(1, 2, 2, 1)), rng.normal(size=(12, 12, 1, 1))
    got = jtconv.conv_transpose(x, w, method=("gemm", "phases"))
    assert_close(got, jtconv.conv_transpose(x, w, method="dilated"))


@pytest.mark.parametrize("hard", HARD, ids=lambda hard: hard.name)
def test_auto_always_can(hard):
    choices = [side.choice.method for side in jtconv.explain(*shapes(hard), **keywords(hard)).sides]
    assert set(choices) <= set(ALGORITHMS) - set(hard.refusals)


@pytest.mark.parametrize("method", NAMES)
def test_the_method_asked_for_really_runs(method):
    """The name is in the compiled program, for the call and for both of its gradients."""
    x, w = jnp.zeros((2, 5, 3)), jnp.zeros((4, 3, 2))

    def loss(x, w):
        return jnp.sum(jnp.sin(jtconv.conv_transpose(x, w, stride=2, method=method)))

    lowered = jax.jit(jax.grad(loss, (0, 1))).lower(x, w).as_text(debug_info=True)
    plan = jtconv.explain(x, w, stride=2, method=method)
    for side in plan.sides:
        assert method in ("auto", side.choice.method)
        assert f"jtconv_{side.side}_{side.choice.method}" in lowered
        others = set(ALGORITHMS) - {side.choice.method}
        assert not any(f"jtconv_{side.side}_{other}" in lowered for other in others)


def test_a_crash_inside_a_method_is_no_fallback(monkeypatch):
    """Only a refusal moves on to the next name: an error is an error."""

    def crash(*_):
        raise NotImplementedError("a fault of our own")

    monkeypatch.setattr(ALGORITHMS["gemm"], "dgrad", crash)
    with pytest.raises(NotImplementedError, match="a fault of our own"):
        jtconv.conv_transpose(np.ones((1, 7, 2)), np.ones((5, 2, 3)), method=("gemm", "scatter"))


def test_names_of_the_axis():
    assert {*jtconv.methods(), "auto"} == {*NAMES, "pallas"}
