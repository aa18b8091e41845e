"""tune: what is measured, how it is kept, and that it is obeyed."""

from __future__ import annotations

import json

import jax
import jax.numpy as jnp
import pytest

import jtconv
from jtconv.algorithms import ALGORITHMS
from jtconv.dispatch.choose import Choice, automatic
from jtconv.dispatch.tuning import Timing, Tuning, key
from jtconv.problem.task import Task

SIDES = ("dgrad", "fprop", "wgrad")
X, W = jnp.ones((2, 5, 3)), jnp.ones((4, 3, 2))


def loss(x, w):
    return jnp.sum(jtconv.conv_transpose(x, w, stride=2) ** 2)


def lowered(x, w):
    """The methods that run, by side."""
    text = jax.jit(jax.grad(loss, (0, 1))).lower(x, w).as_text(debug_info=True)
    return {f"jtconv_{s}_{m}" for s in SIDES for m in ALGORITHMS if f"jtconv_{s}_{m}" in text}


@pytest.fixture(scope="module")
def tuning():
    return jtconv.tune(jax.grad(loss, (0, 1)), X, W)


def test_every_side_and_method_is_a_row(tuning):
    assert sorted(name.split()[0] for name in tuning.rows) == ["dgrad", "fprop", "wgrad"]
    for timings in tuning.rows.values():
        assert [t.method for t in timings] == list(ALGORITHMS)
        assert all((t.seconds is None) == (t.trouble is not None) for t in timings)


def favouring(tuning, method):
    """The same tuning, had ``method`` been the fastest."""
    rows = {
        name: tuple(Timing(t.method, 1.0 if t.method == method else 2.0) for t in timings)
        for name, timings in tuning.rows.items()
    }
    return Tuning(rows, tuning.device, tuning.version)


@pytest.mark.parametrize("method", ["scatter", "matrix"])
def test_the_fastest_runs_inside_and_only_inside(tuning, method):
    before = lowered(X, W)
    with favouring(tuning, method):
        inside = lowered(X, W)
    assert inside == {f"jtconv_{side}_{method}" for side in SIDES}
    assert not inside & before
    assert lowered(X, W) == before


def test_unknown_tasks_are_left_to_the_rules(tuning):
    with favouring(tuning, "matrix"):
        plan = jtconv.explain(jnp.ones((2, 6, 3)), W, stride=2)
        assert plan.sides[0].choice.method != "matrix"
        known = jtconv.explain(X, W, stride=2).sides[0].choice
        assert known == Choice("matrix", "measured fastest by the tuning in force")


def test_watching_a_block():
    with jtconv.tune() as watched:
        jtconv.conv(X, jnp.ones((2, 3, 4)))
    assert [name.split()[0] for name in watched.rows] == ["fprop"]


def test_a_failed_candidate_is_a_row(monkeypatch):
    def crash(*_):
        raise RuntimeError("no luck today")

    monkeypatch.setattr(ALGORITHMS["phases"], "fprop", crash)
    found = jtconv.tune(jtconv.conv, X, jnp.ones((2, 3, 5)))
    (timings,) = found.rows.values()
    troubles = {t.method: t.trouble for t in timings if t.trouble}
    assert troubles.pop("pallas").endswith("this runs on cpu")
    assert troubles == {"phases": "RuntimeError: no luck today"}


def test_saving_and_loading(tuning, tmp_path):
    tuning.save(tmp_path / "t.json")
    loaded = Tuning.load(tmp_path / "t.json")
    assert loaded.rows == tuning.rows
    assert str(loaded) == str(tuning)
    assert "gemm" in str(loaded)


@pytest.mark.parametrize(("field", "value"), [("device", "another card"), ("jax", "0.0.1")])
def test_another_machine_is_refused(tuning, field, value):
    stored = json.loads(tuning.dumps()) | {field: value}
    with pytest.raises(ValueError, match=f"{value}.*measure again"):
        Tuning.loads(json.dumps(stored))


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"device": 1}'])
def test_what_is_no_tuning_is_refused(text):
    with pytest.raises(ValueError, match="not a tuning"):
        Tuning.loads(text)


def test_a_function_is_wanted():
    with pytest.raises(TypeError, match="function must be callable, got 3"):
        jtconv.tune(3)  # type: ignore[arg-type]


def test_keys_tell_tasks_apart():
    geometry = jtconv.explain(X, W, stride=2).call.geometry
    f32, bf16 = jnp.dtype("float32"), jnp.dtype("bfloat16")
    tasks = [
        Task(side, geometry, batch, 3, 2, dtype, dtype)
        for side in ("dgrad", "wgrad")
        for batch in (2, 3)
        for dtype in (f32, bf16)
    ]
    assert len({key(task) for task in tasks}) == len(tasks)
    assert automatic(tasks[0]).method in ALGORITHMS
