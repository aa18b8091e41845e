"""Training: metrics against other people's, kills that lose nothing, and a clear command."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
import scipy.linalg
import sklearn.metrics
import typer
from PIL import Image
from typer.testing import CliRunner

from jtconv.models.train import command, data, metrics, results
from jtconv.models.train.command import RECIPES
from jtconv.models.train.results import Folder, Results, Run
from jtconv.models.train.trainer import Checkpoints
from tests import tiny

ROOT = Path(__file__).parents[2]

# --- metrics ----------------------------------------------------------------------------


def test_confusion_and_mean_iou_are_those_of_scikit_learn(rng):
    truth, found = rng.integers(0, 5, (2, 3, 40, 7))
    found = np.where(rng.random(truth.shape) < 0.5, truth, found)
    counts = metrics.confusion(truth, found, 5)
    np.testing.assert_array_equal(
        counts, sklearn.metrics.confusion_matrix(truth.ravel(), found.ravel())
    )
    want = sklearn.metrics.jaccard_score(truth.ravel(), found.ravel(), average="macro")
    assert metrics.mean_iou(counts) == pytest.approx(want)


def test_mean_iou_by_hand():
    """Class 0: 2 of 4; class 1: 1 of 3; class 2 never occurs, and does not count."""
    truth, found = np.array([0, 0, 0, 1, 1]), np.array([0, 0, 1, 0, 1])
    assert metrics.mean_iou(metrics.confusion(truth, found, 3)) == pytest.approx(
        (2 / 4 + 1 / 3) / 2
    )


def test_frechet_distance_is_the_formula_with_a_matrix_root_by_scipy(rng):
    one = rng.normal(size=(50, 6)) @ rng.normal(size=(6, 6)) + rng.normal(size=6)
    other = rng.normal(size=(70, 6)) @ rng.normal(size=(6, 6))
    first, second = np.cov(one, rowvar=False), np.cov(other, rowvar=False)
    root = scipy.linalg.sqrtm(first @ second).real
    means = ((one.mean(0) - other.mean(0)) ** 2).sum()
    want = means + np.trace(first + second - 2 * root)
    assert metrics.frechet_distance(one, other) == pytest.approx(want)
    assert metrics.frechet_distance(one, one) == pytest.approx(0, abs=1e-9)


# --- data -------------------------------------------------------------------------------


def test_held_out_digits_are_not_learnt_from():
    seen, held_out = data.digits()
    assert (len(seen.ink), len(held_out.ink)) == (1197, 600)
    assert set(seen.names) == set(held_out.names) == set(range(10))
    known = {ink.tobytes() for ink in seen.ink}
    assert not [1 for ink in held_out.ink if ink.tobytes() in known]


@pytest.mark.exhaustive
def test_scenes_hold_two_named_digits_each_and_depend_on_the_key_alone():
    make = jax.jit(data.scenes, static_argnums=2)
    seen, _ = data.photographs()
    batch = make(jax.random.key(0), seen, 8)
    again, other = make(jax.random.key(0), seen, 8), make(jax.random.key(1), seen, 8)
    assert batch.pictures.shape == (8, data.SIZE, data.SIZE, 3)
    assert 0 <= batch.pictures.min() < batch.pictures.max() <= 1
    np.testing.assert_array_equal(batch.pictures, again.pictures)
    assert not np.array_equal(batch.pictures, other.pictures)
    for classes in np.asarray(batch.classes):
        left, right = np.split(classes, 2, axis=1)
        assert len(set(left.ravel()) - {0}) == len(set(right.ravel()) - {0}) == 1


def test_held_out_photographs_are_other_parts():
    seen, held_out = data.photographs()
    width = seen.photographs.shape[2] + held_out.photographs.shape[2]
    assert width == 640
    assert held_out.photographs.shape[2] > data.SIZE
    assert not np.array_equal(seen.photographs[:, :, -100:], held_out.photographs[:, :, :100])


def test_thresholding_finds_what_stands_out_and_is_told_its_name():
    picture = np.full((1, 8, 8, 3), 0.4, np.float32)
    classes = np.zeros((1, 8, 8), np.int32)
    picture[0, 1:4, 1:4], classes[0, 1:4, 1:4] = 0.9, 3
    picture[0, 5:7, 5:7], classes[0, 5:7, 5:7] = 0.1, 7
    np.testing.assert_array_equal(metrics.by_threshold(picture, classes), classes)


@pytest.mark.exhaustive
def test_classifier_is_worth_its_verdict():
    judge = metrics.classifier(16)
    _, held_out = data.digits()
    large = np.asarray(data.resized(held_out.ink, 16))
    assert judge.accuracy > 0.95
    assert judge.accuracy == (judge.chances(large).argmax(1) == held_out.names).mean()
    # The features are what its verdict is made of.
    scores = judge.features(large) @ judge.layers.coefs_[1] + judge.layers.intercepts_[1]
    np.testing.assert_array_equal(scores.argmax(1), judge.chances(large).argmax(1))


def test_pictures(rng):
    row = rng.random((3, 4, 5, 1))
    image = results.grid([row, row])
    assert image.size == (3 * 5 + 2 * 2, 2 * 4 + 2)
    classes = np.array([[[0, 3], [10, 0]]])
    painted = results.overlay(np.ones((1, 2, 2, 3)), classes)
    assert painted[0, 0, 0].tolist() == [0.5, 0.5, 0.5]
    assert len({tuple(colour) for colour in painted[0].reshape(4, 3)}) == 3
    signed = results.contrast(np.array([[-2.0, 0.0, 1.0], [0.0, 0.0, 0.0]]))
    np.testing.assert_allclose(signed, [[0.0, 0.5, 0.75], [0.5, 0.5, 0.5]], atol=0.01)


# --- kills ------------------------------------------------------------------------------

STEPS = 5


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """Where a run stands after each checkpoint, when nothing happens to it."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    run, stands = tiny.trainer(folder), {}
    while run.at.step < STEPS:
        run.train(min(run.at.step + tiny.EVERY, STEPS), tiny.EVERY)
        stands[run.at.step] = jax.tree.map(np.array, run.at)
    assert list(stands) == [2, 4, 5]
    return stands


def same(one, other):
    return tiny.equal(one, other)


def test_a_step_changes_all_that_is_kept(uninterrupted):
    """So that a checkpoint which lost some of it would be noticed."""
    before, after = (jax.tree.leaves(uninterrupted[step].variables) for step in (2, 4))
    assert len(before) > 8, "parameters, averages and the optimizer's moments"
    assert not [1 for a, b in zip(before, after, strict=True) if np.array_equal(a, b)]


def killed(folder, *words):
    """A process of its own that trains, and is killed as the words say."""
    environment = {**os.environ, "JAX_ENABLE_X64": "1", "JAX_NUM_CPU_DEVICES": "4"}
    run = subprocess.run(
        [str(word) for word in (sys.executable, "-m", "tests.tiny", folder, STEPS, *words)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == -signal.SIGKILL, run.stderr


def check_resumes(folder, uninterrupted):
    run = tiny.trainer(folder)
    assert run.at.step in (0, *uninterrupted)
    if run.at.step:
        assert same(run.at, uninterrupted[run.at.step])
    run.train(STEPS, tiny.EVERY)
    assert same(run.at, uninterrupted[STEPS])
    assert same(Checkpoints(folder).newest(like=run.at.variables), uninterrupted[STEPS])


# Inside a step; and when the first and the second checkpoint are written but not yet named.
MOMENTS = [("rename", 2)]
MORE_MOMENTS = [("step", n) for n in (0, 1, 2, 3, 4)] + [("rename", n) for n in (1, 3)]


@pytest.mark.parametrize("what, number", MOMENTS)
def test_killed_and_resumed(what, number, tmp_path, uninterrupted):
    killed(tmp_path, what, number)
    check_resumes(tmp_path, uninterrupted)


@pytest.mark.exhaustive
@pytest.mark.parametrize("what, number", MORE_MOMENTS)
def test_killed_and_resumed_at_any_moment(what, number, tmp_path, uninterrupted):
    killed(tmp_path, what, number)
    check_resumes(tmp_path, uninterrupted)


@pytest.mark.exhaustive
def test_whatever_is_on_disk_when_it_dies_can_be_resumed(tmp_path, uninterrupted):
    """The folder as it is before each single opening, renaming or removal of a file in it."""
    folder, copies = tmp_path / "run", tmp_path / "copies"
    moments: list[Path] = []
    watching = True

    def keep(event, arguments):
        nonlocal watching
        if not watching or not event.startswith(("os.", "open", "shutil.")):
            return
        if not any(str(folder) in str(argument) for argument in arguments):
            return
        watching = False  # copying opens files, too
        moments.append(copies / f"{len(moments):03d} {event}")
        try:
            if folder.exists():
                shutil.copytree(folder, moments[-1])
        except (shutil.Error, FileNotFoundError):  # changed by another thread: no single moment
            shutil.rmtree(moments[-1], ignore_errors=True)
        finally:
            watching = True

    sys.addaudithook(keep)
    tiny.trainer(folder).train(STEPS, tiny.EVERY)
    watching = False
    found = [moment for moment in moments if moment.exists()]
    assert len(found) > 20
    assert any(next(moment.glob("*.orbax*"), None) for moment in found), "some are half written"
    like = tiny.trainer(tmp_path / "fresh").at.variables
    reached = set()
    for moment in found:
        checkpoint = Checkpoints(moment).newest(like)
        reached.add(checkpoint and checkpoint.step)
        assert checkpoint is None or same(checkpoint, uninterrupted[checkpoint.step]), moment
    assert reached == {None, *uninterrupted}


def test_how_often_it_is_saved_does_not_matter(tmp_path, uninterrupted):
    run = tiny.trainer(tmp_path)
    run.train(STEPS, 100)
    assert same(run.at, uninterrupted[STEPS])


def test_another_seed_is_another_run(tmp_path, uninterrupted):
    run = tiny.Trainer(tiny.RECIPE, 1, tiny.SOURCE, Checkpoints(tmp_path))
    run.train(STEPS, tiny.EVERY)
    assert not same(run.at, uninterrupted[STEPS])


def test_losses_are_kept_and_told(tmp_path):
    run = tiny.trainer(tmp_path)
    told: list[Any] = []
    run.train(20, 15, lambda step, losses: told.append([step, losses]))
    assert [step for step, _ in told] == [10, 15, 20]
    assert [entry for entry in told if entry[0] != 15] == run.facts["history"]
    assert run.facts["steps"] == 20
    assert run.facts["seconds"] > 0
    assert len({losses["drawn"] for _, losses in told}) == 3, "every step draws anew"


# --- the folder and the command ---------------------------------------------------------


@pytest.fixture
def train(monkeypatch):
    """The command line, on recipes that take no time."""
    monkeypatch.setattr(command, "RECIPES", dict.fromkeys(RECIPES, tiny.RECIPE))
    monkeypatch.setattr(command, "DATA", {"digits": lambda: (tiny.SOURCE, tiny.SOURCE)})
    app = typer.Typer()
    app.command()(command.run)
    return lambda *words: CliRunner().invoke(app, [str(word) for word in words])


def test_a_run_leaves_its_metrics_and_goes_on_when_asked_for_more(train, tmp_path):
    out = tmp_path / "new" / "run"
    first = train("dcgan", "--out", out, "--steps", 10, "--seed", 7)
    assert first.exit_code == 0, first.output
    found = json.loads((out / "metrics.json").read_text())
    assert found["command"] == (
        f"python -m jtconv.models.train dcgan --data digits --steps 10 --seed 7 --out {out}"
    )
    assert found["steps"] == 10
    assert found["history"][0][0] == 10
    assert set(found["versions"]) >= {"python", "jtconv", "jax", "flax", "optax"}
    assert f"bias: {found['metrics']['bias']}" in first.output
    assert [path for path in out.iterdir() if path.suffix == ".part"] == []
    more = train("dcgan", "--out", out, "--steps", 12, "--seed", 7)
    assert "going on from step 10" in more.output
    assert json.loads((out / "metrics.json").read_text())["steps"] == 12
    again = train("dcgan", "--out", out, "--seed", 7)
    assert again.exit_code == 0, "steps default to what has been done, where that is more"
    less = train("dcgan", "--out", out, "--steps", 11, "--seed", 7)
    assert less.exit_code == 2
    assert "is at step 12 already" in plain(less)


def test_a_folder_of_another_run_is_left_alone(train, tmp_path):
    assert train("dcgan", "--out", tmp_path, "--steps", 2).exit_code == 0
    for other in (["dcgan", "--seed", 1], ["unet"]):
        refused = train(*other, "--out", tmp_path)
        assert refused.exit_code == 2
        assert "holds dcgan on digits with seed 0, not" in plain(refused)


def test_a_folder_of_something_else_is_left_alone(train, tmp_path):
    (tmp_path / "thesis.txt").write_text("all my work")
    refused = train("dcgan", "--out", tmp_path)
    assert refused.exit_code == 2
    assert "is not empty and holds no run" in plain(refused)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
    (tmp_path / "run.json").write_text("[1, 2]")
    assert "is not the record of a run" in plain(train("dcgan", "--out", tmp_path))


def test_a_file_is_no_folder(train, tmp_path):
    (tmp_path / "file").touch()
    refused = train("dcgan", "--out", tmp_path / "file")
    assert refused.exit_code == 2
    assert "cannot make" in plain(refused)


def test_data_must_fit_the_model(train, tmp_path):
    refused = train("dcgan", "--out", tmp_path, "--data", "photos")
    assert refused.exit_code == 2
    assert "dcgan learns from digits, not from photos" in plain(refused)
    assert list(tmp_path.iterdir()) == []


def test_unknown_model_is_refused_with_those_there_are(train, tmp_path):
    refused = train("resnet", "--out", tmp_path)
    assert refused.exit_code == 2
    assert all(name in plain(refused) for name in ("resnet", *RECIPES))


def test_interrupted_by_hand(train, tmp_path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(tiny.Tiny, "learn", interrupt)
    stopped = train("dcgan", "--out", tmp_path)
    assert stopped.exit_code == 130
    assert "step 0 is kept, the same command goes on from there" in stopped.output


def plain(result):
    """What was said, without the frame around it."""
    return " ".join(result.output.replace("│", " ").split())


def test_pictures_are_written_whole(tmp_path):
    folder = Folder(tmp_path / "run", Run("unet", "photos", 0))
    (tmp_path / "run" / "stale.png.part").write_bytes(b"cut off")
    written = folder.write(Results({"a": 1}, {"grid": Image.new("RGB", (3, 2))}), {"steps": 4})
    assert [path.name for path in written] == ["grid.png", "metrics.json"]
    with Image.open(written[0]) as image:
        assert image.size == (3, 2)
    assert json.loads(written[1].read_text()) == {"steps": 4, "metrics": {"a": 1}}


# --- the recipes ------------------------------------------------------------------------


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_killed_from_outside_and_resumed(name, tmp_path, monkeypatch):
    """The real thing: the command, killed by another process while it works."""
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path / "cache"))  # compiled only once
    monkeypatch.setenv("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
    words = [sys.executable, "-m", "jtconv.models.train", name, "--steps", "6", "--save-every", "2"]
    subprocess.run([*words, "--out", str(tmp_path / "whole")], cwd=ROOT, check=True)
    cut = tmp_path / "cut"
    for last in (2, 4):
        run = subprocess.Popen([*words, "--out", str(cut)], cwd=ROOT)
        while run.poll() is None and not (cut / "checkpoints" / str(last)).exists():
            try:
                run.wait(0.05)
            except subprocess.TimeoutExpired:
                continue
        run.kill()
        run.wait()
    subprocess.run([*words, "--out", str(cut)], cwd=ROOT, check=True)
    whole, resumed = (
        json.loads((tmp_path / d / "metrics.json").read_text()) for d in ("whole", "cut")
    )
    assert resumed["metrics"] == whole["metrics"]
    recipe = RECIPES[name]
    like = tiny.Trainer(recipe, 0, tiny.SOURCE, Checkpoints(tmp_path / "fresh")).at.variables
    one, other = (Checkpoints(tmp_path / d / "checkpoints").newest(like) for d in ("whole", "cut"))
    assert one and other and tiny.equal(one, other)
