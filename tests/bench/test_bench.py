"""The benchmark itself: one small case all the way through, and the table of layers."""

import copy
import dataclasses
import itertools
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from rich.console import Console

from bench import (
    cli,
    gpu,
    implementations,
    machine,
    readme,
    report,
    row,
    summary,
    table,
)
from bench.cases import CASES, QUICK, Case, select
from bench.implementations import PEERS, installed, ours_by_method
from bench.implementations.modes import jax_program
from bench.problem import ANSWERS, MODES, SIDES, Data, Problem, Sweep
from tests.selection import rows

LIMITS = {"multiply_adds_per_s": {"float32": 1e11, "bfloat16": 4e11}, "bytes_per_s": 1e10}
TINY = Case("tiny", "a test", (4, 6), 3, 2, (2, 5, 5), (2, 5, 5), 1, 1, groups=2)
SAMPLING = row.Sampling(rounds=2, budget_s=0.05)

# Output sizes that the sources themselves state or assert, at the true size.
STATED = {
    "dcgan1": (4, 4), "dcgan2": (8, 8), "dcgan3": (16, 16), "dcgan4": (32, 32),
    "dcgan5": (64, 64), "fcn8s_upscore2": (34, 34), "fcn8s_pool4": (70, 70),
    "fcn8s_upscore8": (568, 568), "fcn32s": (544, 544), "unet1": (80, 120), "unet4": (640, 960),
    "stylegan2": (257, 257), "hifigan1": (6400,), "hifigan3": (102400,), "encodec1": (600,),
    "encodec2": (3000,), "encodec3": (12000,), "encodec4": (24000,), "dac1": (6880,),
    "dac3": (220160,), "nnunet5": (128, 128, 128), "sam2": (256, 256), "vitdet2": (256, 256),
    "dpt1": (148, 148), "dpt2": (74, 74), "maskrcnn": (28, 28), "pose3": (64, 48),
    "centernet2": (128, 128), "centernet4": (128, 128), "vae": (256, 256),
}  # fmt: skip


@pytest.fixture(autouse=True)
def known_limits(monkeypatch):
    """Measuring the machine takes seconds that a test has no use for."""
    monkeypatch.setattr(machine, "limits", lambda dtypes: LIMITS)


@pytest.fixture
def measured():
    sweep = Sweep([TINY], "small", ("float32",), MODES)
    console = table.console()
    return cli.run(sweep, SAMPLING, "auto", ["lax"], console)


def test_names_are_unique_and_quick_is_part_of_full():
    names = [case.name for case in CASES]
    assert len(set(names)) == len(names)
    assert set(QUICK) <= set(names)
    assert [case.name for case in select([], "quick")] == [n for n in names if n in QUICK]


@pytest.mark.parametrize("name", STATED)
def test_output_sizes_are_those_of_the_sources(name):
    (case,) = select([name], "full")
    assert case.geometry("true").y_size == STATED[name]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_small_sizes_only_shrink(case):
    assert len(case.small) == len(case.true)
    assert all(
        small <= true for small, true in zip(case.small[1:], case.true[1:], strict=True)
    ) or (
        # HiFi-GAN is measured as it is trained: several short pieces.
        case.name.startswith(("hifigan", "encodec"))
    )
    assert 1e6 <= case.multiply_adds("small") <= 1e9
    assert case.small[0] % case.steps == 0


def test_multiply_adds_leave_out_inserted_zeros():
    (case,) = select(["stylegan2"], "full")
    assert case.multiply_adds("true") == 8 * (128 * 3) ** 2 * 256 * 128


@pytest.mark.parametrize("pattern, count", [("dcgan*", 5), ("nnunet?", 5), ("fcn32s", 1)])
def test_select_by_glob(pattern, count):
    assert len(select([pattern], "quick")) == count


def test_select_names_what_there_is():
    with pytest.raises(ValueError, match=r"no case matches .*dcgan1"):
        select(["nothing"], "full")


def test_reference_is_one_trilinear_form():
    data = Data(TINY, "small", "float32")
    x, w, g = (data.arrays[name].astype(np.float64) for name in "xwg")
    expected = data.expected
    value = np.vdot(expected["y"], g)
    np.testing.assert_allclose(np.vdot(x, expected["dx"]), value)
    np.testing.assert_allclose(np.vdot(w, expected["dw"]), value)


VARIANTS: dict[str, dict[str, Any]] = {
    "grouped": {},
    "channels first": {"groups": 1, "channels_first": True},
    "scan": {"groups": 1, "channels_first": True, "steps": 2},
    "dilated": {"dilation": 2, "groups": 1},
    "audio": {"small": (2, 9), "true": (2, 9), "output_padding": 0, "trim": 1, "groups": 1},
    "volume": {"small": (1, 3, 4, 3), "true": (1, 3, 4, 3)},
}


VARIANTS_AND_MODES = {
    f"{variant}-{mode}": (variant, mode)
    for variant in VARIANTS
    for mode in ("training", "forward", "activated", *SIDES)
    if mode == "training" or variant in ("grouped", "scan")
}
BY_DEFAULT = ["grouped-training", "scan-training", "volume-training", "grouped-activated"]


@pytest.mark.parametrize(("variant", "mode"), rows(VARIANTS_AND_MODES, default=BY_DEFAULT))
def test_all_implementations_agree_with_the_reference(variant, mode):
    case = dataclasses.replace(TINY, **VARIANTS[variant])
    data = Data(case, "small", "float32")
    found = ours_by_method("auto") | {n: p for n, p in PEERS.items() if installed(n)}
    for name, implementation in found.items():
        for variant, build in implementation(Problem(data, mode)).items():
            try:
                program = build()
            except row.Refused:
                continue
            errors = data.errors(mode, program.answers(program.call(0)))
            assert set(errors) == set(ANSWERS[mode])
            assert max(errors.values()) < 2e-6, (name, variant, errors)


def test_unrolled_program_gives_the_same_answers():
    data = Data(TINY, "small", "float32")
    implementation = ours_by_method("auto")["jtconv"]
    (build,) = implementation(Problem(data, "training", copies=3, unroll=True)).values()
    program = build()
    assert program.calls == 3
    assert max(data.errors("training", program.answers(program.call(0))).values()) < 2e-6


def test_the_whole_of_an_accelerators_run(monkeypatch):
    """Several copies of the arguments in one program, every mode, methods side by side."""
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    sweep = Sweep([TINY], "true", ("float32", "bfloat16"), cli.WHAT["all"])
    problems = list(sweep)
    assert all(problem.unroll and problem.copies == 16 for problem in problems)
    monkeypatch.undo()
    monkeypatch.setattr(Sweep, "__iter__", lambda self: iter(problems[:3]))
    monkeypatch.setattr(machine, "limits", lambda dtypes: LIMITS)
    console = table.console()
    with console.capture() as capture:
        found = cli.run(sweep, SAMPLING, "auto,pallas", ["lax"], console)
    assert "jtconv[pallas]" in capture.get()
    modes = {row["mode"]: row["cells"] for row in found["rows"]}
    assert set(modes) == {"forward", "training", "activated"}
    for cells in modes.values():
        assert cells["jtconv"]["status"] == cells["lax"]["status"] == "ok"
        assert "Hopper" in cells["jtconv[pallas]"]["reason"]


def test_report_goes_to_json_and_back(measured, tmp_path):
    path = tmp_path / "run.json"
    report.save(measured, path)
    assert report.load(path) == measured
    cell = measured["rows"][0]["cells"]["jtconv"]
    assert cell["status"] == "ok" and cell["runs"] >= 1 and "dgrad" in cell["way"]
    assert measured["rows"][0]["multiply_adds"] * 3 == measured["rows"][1]["multiply_adds"]


def test_report_refuses_what_is_none(measured, tmp_path):
    with pytest.raises(ValueError, match="schema 99"):
        report.check(measured | {"schema": 99})
    with pytest.raises(ValueError, match="'limits' must be a dict"):
        report.check({name: part for name, part in measured.items() if name != "limits"})


def test_tables_and_readme(measured, tmp_path):
    console = table.console()
    with console.capture() as capture:
        report.finish(measured, console, None, None, False)
    assert "tiny" in capture.get() and "geometric mean" in capture.get()
    page = tmp_path / "README.md"
    page.write_text("before\n<!-- bench -->\nold\n<!-- /bench -->\nafter\n")
    readme.rewrite(measured, page)
    text = page.read_text()
    assert "old" not in text and "| tiny |" in text
    assert text.startswith("before\n") and text.endswith("<!-- /bench -->\nafter\n")


def test_compare_finds_the_regression(measured):
    slower = copy.deepcopy(measured)
    cell = slower["rows"][1]["cells"]["jtconv"]
    for end in ("p10_s", "median_s", "p90_s"):
        cell[end] = measured["rows"][1]["cells"]["jtconv"]["p90_s"] * 3
    console = table.console()
    with console.capture() as capture:
        assert report.compare(console, measured, slower) == 1
    assert "REGRESSION" in capture.get()
    with console.capture():
        assert report.compare(console, measured, measured) == 0


def test_a_wrong_answer_is_a_fault_and_a_crash_of_ours_too():
    problem = Problem(Data(TINY, "small", "float32"), "forward")
    y = problem.data.expected["y"]

    def zeros(problem):
        operator = lambda x, w, b: x.sum() * np.zeros(y.shape, np.float32)  # noqa: E731
        return {"": lambda: jax_program(problem, operator)}

    def crashing(problem):
        return {"": lambda: 1 / 0}

    measured = row.measure(problem, {"jtconv": crashing, "lax": zeros}, SAMPLING)
    assert measured["cells"]["lax"]["status"] == "wrong"
    assert [fault.split(":")[0] for fault in summary.faults([measured])] == [
        "tiny forward float32 jtconv",
        "tiny forward float32 lax",
    ]


@pytest.mark.peer("flax")
def test_refusals_are_rows_with_their_reason():
    problem = Problem(Data(TINY, "small", "float32"), "forward")
    cells = row.measure(problem, {"flax": PEERS["flax"]}, SAMPLING)["cells"]
    assert cells["flax"]["status"] == "refused" and "groups" in cells["flax"]["reason"]


def _row(**times):
    cells = {name: {"status": "ok", "median_s": t} for name, t in times.items()}
    return {
        "case": "a", "mode": "forward", "dtype": "float32", "cells": cells,
        "multiply_adds": 1e9, "bytes": 1e6,
    }  # fmt: skip


def test_speedups_means_and_limit():
    rows = [_row(jtconv=0.01, torch=0.02), _row(jtconv=0.01, torch=0.08)]
    (mean,) = summary.mean_speedups(rows)
    assert mean.mean == pytest.approx(4) and mean.worst == pytest.approx(2)
    assert summary.limit_s(rows[0], LIMITS) == (pytest.approx(0.01), "C")
    unfinished = _row(jtconv=0.01)
    unfinished["cells"]["lax"] = {"status": "over_budget", "lower_bound_s": 10}
    assert str(summary.speedup(unfinished, "lax")) == ">1000"


def test_options_say_what_may_be():
    with pytest.raises(ValueError, match="--peer must be one of torch"):
        implementations.select("auto", ["tensorflow"])
    assert list(implementations.select("auto", ["none"])[0]) == ["jtconv"]
    assert "jtconv[gemm]" in implementations.select("all", ["none"])[0]


def test_the_suite_for_gpus(tmp_path, monkeypatch):
    """On a CPU, one small layer: every side by every form of use, and beside its peers."""
    monkeypatch.setattr(machine, "limits", lambda dtypes: LIMITS)
    monkeypatch.setattr(gpu, "DTYPES", ("float32",))
    monkeypatch.setattr(gpu, "PEERS", ("lax",))
    page, sampling = tmp_path / "README.md", row.Sampling(rounds=1, budget_s=0.01)
    found = cli.on_gpu(sampling, "small", ["fcn8s_upscore2"], gpu.FORMS, Console(quiet=True), None)
    cells = {one["mode"]: set(one["cells"]) for one in found["rows"]}
    forms = {f"jtconv[{name}]" for name in ("dilated", "gemm", "phases")}
    peers = {"jtconv", "lax"}
    assert cells == dict.fromkeys(SIDES, forms) | dict.fromkeys(MODES, peers)
    assert all(cell["status"] == "ok" for one in found["rows"] for cell in one["cells"].values())
    found["machine"] |= {"backend": "gpu", "device": "some GPU"}
    page.write_text("<!-- gpu -->\n<!-- /gpu -->\n<!-- bench -->\nkept\n<!-- /bench -->\n")
    readme.rewrite(found, page)
    assert "some GPU" in page.read_text() and "| fcn8s_upscore2 f32 |" in page.read_text()
    assert "kept" in page.read_text()


def test_the_choice_on_gpus_is_that_of_the_measurement():
    """Of the layers that were measured, each row by the best form or little more."""
    kept = report.load(Path(readme.README).parent / "bench/results/gpu-h200.json")
    shown = gpu.regret(kept["rows"])
    sides, dtypes, means, worst, _ = (list(column.cells) for column in shown.columns)
    assert set(zip(sides, dtypes, strict=True)) == set(itertools.product(SIDES, gpu.DTYPES))
    assert all(float(str(mean)) < 1.02 for mean in means)
    assert all(float(str(one).split()[0]) < 1.2 for one in worst)


def test_the_table_of_gpus_is_that_of_the_file():
    kept = report.load(Path(readme.README).parent / "bench/results/gpu-h200.json")
    page = readme.README.read_text(encoding="utf-8")
    assert readme.filled(page, kept) == page
