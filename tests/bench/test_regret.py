"""Regret: layers at random, times of every algorithm on them, the choice judged by these."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from bench import candidates, cli, fit, random_layers, regret
from jtconv.dispatch import rates
from jtconv.dispatch.choose import automatic
from tests.selection import exhaustive

# The geometric mean of the regret on each committed sweep, with a little to spare.
MOST = {"regret-cpu-epyc-2core-fit": 1.12, "regret-cpu-epyc-2core-judge": 1.13}

SWEEPS = sorted(Path(regret.__file__).parent.glob("results/regret-cpu-*.json"))


def test_a_seed_always_draws_the_same_layers():
    first, again = (random_layers.draw(3, n, "float32") for n in (4, 6))
    assert first == again[:4]
    assert random_layers.draw(4, 4, "float32") != first


def test_layers_are_of_all_kinds_and_within_bounds():
    tasks = [layer.tasks[0] for layer in random_layers.draw(0, 120, "float32")]
    for task in tasks:
        low, high = random_layers.LEAST_PRODUCTS, random_layers.MOST_PRODUCTS
        assert low <= task.multiply_adds <= high
    assert {len(task.geometry) for task in tasks} == {1, 2, 3}
    assert {task.side for task in tasks} == {"dgrad", "fprop"}
    assert any(task.groups == task.x_channels > 1 for task in tasks)
    assert any(a.dilation > 1 for task in tasks for a in task.geometry)


def test_a_task_comes_back_from_json():
    for layer in random_layers.draw(1, 9, "bfloat16"):
        for task in layer.tasks:
            row = json.loads(json.dumps(candidates.to_json(task)))
            assert candidates.from_json(row) == task


def a_row(side="dgrad", **milliseconds):
    (layer,) = random_layers.draw(0, 1, "float32")
    task = next(task for task in layer.tasks if task.side == side)
    times = {name: ms / 1e3 for name, ms in milliseconds.items()}
    return {"layer": layer.name, **candidates.to_json(task), "times": times, "trouble": {}}


def test_a_choice_is_judged_by_the_times_of_what_it_names():
    chosen = automatic(candidates.from_json(a_row())).method
    other = "scatter" if chosen != "scatter" else "gemm"
    (found,) = regret.judge([a_row(**{chosen: 3.0, other: 2.0})])
    assert (found.chosen, found.best, found.ratio) == (chosen, other, pytest.approx(1.5))
    (near,) = regret.judge([a_row(**{chosen: 0.21, other: 0.2})])
    assert near.ratio == 1.0  # less than a tenth of a millisecond apart
    (lost,) = regret.judge([a_row(**{other: 2.0})])
    assert lost.ratio == pytest.approx(regret.PATIENCE_S / 2e-3)
    assert not list(regret.judge([a_row()]))


def test_methods_that_are_one_program_share_their_times():
    assert regret.measured(a_row("fprop", dilated=3.0, vjp=2.0)) == {"dilated": 2e-3}
    assert regret.measured(a_row("dgrad", dilated=3.0, vjp=2.0)) == {"dilated": 3e-3, "vjp": 2e-3}


def test_a_fit_finds_the_rates_that_made_the_times():
    rng = np.random.default_rng(0)
    true = {"products": 0.01, "copied": 0.3, "calls": 5e4}
    works = [
        {"products": 10 ** rng.uniform(5, 9), "copied": 10 ** rng.uniform(4, 7), "calls": 1.0}
        for _ in range(60)
    ]
    seconds = [sum(true[name] * amount for name, amount in w.items()) * 1e-9 for w in works]
    samples = fit.Samples()
    for number in range(0, len(works), 2):
        times = dict(zip("ab", seconds[number:], strict=False))
        samples.add(times, dict(zip("ab", works[number:], strict=False)))
    found = fit.fit(samples)
    for name, rate in true.items():
        assert math.isclose(found[name], rate, rel_tol=0.05)


def test_a_table_is_written_as_python_that_can_be_read(tmp_path):
    file = tmp_path / "rates.py"
    file.write_text(Path(rates.__file__).read_text())
    fit.rewrite(file, {"products": (0.01, None), "calls": (None, 7.0)})
    space: dict[str, object] = {}
    exec(file.read_text(), space)
    table = space["TABLE"]
    assert isinstance(table, dict)
    assert table["matrix products"] == {"products": (0.01, 0.01)}
    assert table["calls"] == {"calls": (7.0, 7.0)}
    with pytest.raises(ValueError, match="no word for 'surprises'"):
        fit.word_of("surprises")


def test_every_rate_has_the_word_that_a_fit_would_give_it():
    for word, group in rates.TABLE.items():
        assert {fit.word_of(name) for name in group} <= {word}


@pytest.mark.parametrize(
    "path",
    [pytest.param(p, marks=exhaustive if "fit" in p.stem else ()) for p in SWEEPS],
    ids=lambda path: path.stem,
)
def test_the_choice_is_near_the_best_on_layers_that_were_measured(path):
    """A ratchet: on the committed sweeps, those fitted to and those not."""
    found = list(regret.judge(regret.load(path)["rows"]))
    assert regret.geometric_mean(found) < MOST[path.stem]


def test_the_command_line_judges_a_file(capsys, tmp_path, monkeypatch):
    row = a_row(dilated=3.0, gemm=2.0, phases=2.5, taps=9.0)
    report = {"schema": 1, "plan": {"suite": "regret"}, "machine": {}, "rows": [row]}
    regret.save(report, tmp_path / "times.json")
    assert regret.load(tmp_path / "times.json") == report
    command = ["bench", "--regret", "--load", str(tmp_path / "times.json")]
    monkeypatch.setattr("sys.argv", command)
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert not end.value.code
    assert "geometric mean" in capsys.readouterr().out
    (tmp_path / "other.json").write_text("{}")
    with pytest.raises(ValueError, match="not a report of python -m bench --regret"):
        regret.load(tmp_path / "other.json")


@exhaustive
def test_a_layer_is_measured_by_a_process_of_its_own(tmp_path):
    sweep = regret.Sweep(0, 1, ("float32",), 1, 2.0)
    report = regret.measure(sweep, Console(quiet=True), tmp_path / "kept.json")
    assert [row["side"] for row in report["rows"]] == [
        task.side for task in random_layers.draw(0, 1, "float32")[0].tasks
    ]
    assert all({"dilated", "gemm"} <= row["times"].keys() for row in report["rows"])
    assert regret.load(tmp_path / "kept.json")["rows"] == report["rows"]


@exhaustive
def test_a_candidate_that_ends_the_process_is_left_out():
    row = candidates.to_json(random_layers.draw(0, 1, "float32")[0].tasks[0])
    worker = regret.Worker()
    worker._process.kill()
    assert worker.row({**row, "rounds": 1})["times"] == {}
    worker.close()
