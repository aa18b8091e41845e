"""What calls cost in Python: every row is there and fair, and its report is one of the others."""

from __future__ import annotations

import itertools

import jax
import jax.numpy as jnp
import pytest

from bench import cli, overhead, report, summary, table, timing
from bench.overhead import Pair
from tests.selection import rows

OPERATIONS = ("conv_transpose", "conv")
EAGER = itertools.product(
    (f"{op}, {n}-D" for n in (1, 2, 3) for op in OPERATIONS), ("call", "grad")
)
TRACED = itertools.product((f"2 layers of {op}" for op in OPERATIONS), ("make_jaxpr", "lower"))
ROWS = dict.fromkeys((*EAGER, *TRACED), "lax")
ROWS |= {(f"{module}.ConvTranspose", "call"): "flax" for module in ("nnx", "linen")}
ROWS |= {("import", "fresh process"): "jax"}


@pytest.fixture(autouse=True)
def hurried(monkeypatch):
    monkeypatch.setattr(timing, "SETTLE_S", 0.0)
    monkeypatch.setattr(timing, "ENOUGH_S", 1e-4)


@pytest.fixture(scope="module")
def pairs():
    return list(overhead.pairs(depth=2))


@pytest.fixture(scope="module")
def pair_of(pairs):
    return {(pair.case, pair.mode): pair for pair in pairs}


def test_every_call_has_its_peer(pairs):
    assert {(pair.case, pair.mode): pair.peer for pair in pairs} == ROWS
    assert len(pairs) == len(ROWS)


TABLE = {" ".join(row): (row,) for row in ROWS}
BY_DEFAULT = [
    "conv_transpose, 2-D call",
    "conv, 1-D grad",
    "2 layers of conv lower",
    "nnx.ConvTranspose call",
]


@pytest.mark.parametrize("row", rows(TABLE, default=BY_DEFAULT))
def test_both_do_the_same(row, pair_of):
    """The answers agree, where there are some; networks that are only traced end in one shape."""
    ours, theirs = pair_of[row].ours(), pair_of[row].theirs()
    assert overhead._error(ours, theirs) < 1e-6
    if "make_jaxpr" in row:
        assert [a.shape for a in ours.out_avals] == [a.shape for a in theirs.out_avals]


@pytest.mark.parametrize("operation", OPERATIONS)
def test_nothing_is_traced_twice(operation):
    for operator in overhead.operators(2, 1, "VALID")[operation]:
        trace = overhead._tracing(operator, 2, jax.make_jaxpr)
        assert [trace().in_avals[-1].shape[0] for _ in range(3)] == [1, 2, 3]


@pytest.mark.parametrize("module", ["nnx", "linen"])
def test_accelerated_layers_are_ours(module, pair_of):
    pair = pair_of[f"{module}.ConvTranspose", "call"]
    assert ["jtconv" in str(jax.make_jaxpr(f)()) for f in (pair.ours, pair.theirs)] == [True, False]


def test_report_is_one_of_the_benchmarks(pairs, monkeypatch, tmp_path):
    some = [pair for pair in pairs if pair.case == "conv, 1-D"]
    monkeypatch.setattr(overhead, "pairs", lambda: iter(some))
    found = overhead.run(rounds=1)
    assert found["plan"]["suite"] == "overhead" and not found["plan"]["imports_flax"]
    assert found["machine"]["versions"]["jax"] == jax.__version__
    for row in found["rows"]:
        ours, theirs = (cell["median_s"] for cell in row["cells"].values())
        assert row["ratio"] == ours / theirs > 0
    console = table.console()
    with console.capture() as capture:
        report.finish(found, console, tmp_path / "run.json", None, False)
        assert report.load(tmp_path / "run.json") == found
        assert report.compare(console, found, found) == 0
    shown = capture.get()
    assert "conv, 1-D" in shown and "grad" in shown and "leaves out Flax" in shown
    with pytest.raises(ValueError, match="--overhead has none"):
        report.finish(found, console, None, tmp_path / "plot", False)


def test_other_answers_are_a_fault():
    x = jnp.ones(3)
    row = overhead.measure(Pair("a", "call", "lax", lambda: x, lambda: 2 * x), rounds=1)
    assert summary.faults([row]) == ["a call float32 jtconv: wrong, off by 5.0e-01"]
    console = table.console()
    with console.capture() as capture:
        console.print(table.overhead([row]))
    assert "WRONG" in capture.get()
    row = overhead.measure(Pair("a", "call", "lax", lambda: x, lambda: x[1:]), rounds=1)
    assert len(summary.faults([row])) == 1


def test_the_command_calls_it(monkeypatch):
    rounds = []
    plan = {"suite": "overhead", "imports_flax": False}
    empty = {"schema": 1, "machine": {}, "plan": plan, "limits": {}, "rows": []}

    def run(count):
        rounds.append(count)
        return empty

    monkeypatch.setattr(overhead, "run", run)
    monkeypatch.setattr("sys.argv", ["bench", "--overhead", "--rounds", "3"])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert rounds == [3] and not end.value.code
