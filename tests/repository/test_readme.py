"""What README.md promises: its examples and commands run, and what it says is so."""

from __future__ import annotations

import json
import re
import runpy
import shlex
from inspect import signature
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import jtconv
from bench import readme, report
from jtconv.cli import app
from jtconv.interop import torch
from jtconv.typing import Padding

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```python\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)


def test_there_is_an_example():
    assert EXAMPLES


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_example_runs(number, capsys):
    exec(compile(EXAMPLES[number], f"README example {number + 1}", "exec"), {})
    if "print(" in EXAMPLES[number]:
        assert capsys.readouterr().out.strip()


def commands() -> list[str]:
    """Every command it names, ``python -m jtconv`` as ``jtconv``."""
    blocks = re.findall(r"^```sh\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)
    named = [part for block in blocks for part in re.split(r"&&|\n", block)]
    named += re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", TEXT, flags=re.M | re.S))
    words = [part.strip().replace("python -m jtconv ", "jtconv ") for part in named]
    return [said for said in dict.fromkeys(words) if re.match(r"(jtconv|python) ", said)]


# Commands that take long, and the test which runs them.
ELSEWHERE = {
    "python -m pip install": ".ci/run",
    "python -m pytest": ".ci/run",
    "jtconv demo": "tests/cli/test_cli.py",
    "jtconv docs": "tests/cli/test_cli.py",
    "python -m jtconv.models.train": "tests/models/test_train.py",
    "python -m bench": "tests/bench/test_bench.py",
}
HERE = [said for said in commands() if not said.startswith(tuple(ELSEWHERE))]


def test_commands_are_found():
    assert len(HERE) >= 4
    for start in ELSEWHERE:
        assert any(said.startswith(start) for said in commands()), start


@pytest.mark.parametrize("command", HERE)
def test_command_runs(command, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("webbrowser.open", lambda url: None)
    Image.new("RGB", (12, 8), "teal").save("photo.jpg")
    program, *words = shlex.split(command)
    if program == "jtconv":
        result = CliRunner().invoke(app, words)
        assert result.exit_code == 0, result.output
    else:
        assert words[0] == "-m"
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)
        assert capsys.readouterr().out in TEXT


def test_measured_tables_are_those_of_the_kept_results():
    files = re.findall(r"python -m bench --load (\S+) --readme", TEXT)
    assert len(files) >= 2
    for file in files:
        assert readme.filled(TEXT, report.load(ROOT / file)) == TEXT


def lax(x: np.ndarray, w: np.ndarray, padding: Any) -> jax.Array:
    """``jax.lax.conv_transpose`` at stride 2, of one line or picture without a batch."""
    operands = jnp.asarray(x[None]), jnp.asarray(w)
    return jax.lax.conv_transpose(*operands, (2,) * (w.ndim - 2), padding)[0]


def test_what_is_wrong_today_is_so(rng):
    """The lines of the first table that no benchmark measures."""
    known = signature(jax.lax.conv_transpose).parameters
    assert {"strides", "rhs_dilation"} <= set(known)
    assert not [name for name in known if re.search("group|output|size", name)]
    x, w = rng.normal(size=(8, 1)), rng.normal(size=(4, 1, 1))
    both: tuple[Padding, ...] = ("VALID", [(0, 0)])
    theirs = ", ".join(str(len(lax(x, w, padding))) for padding in both)
    ours = ", ".join(str(len(jtconv.conv_transpose(x, w, stride=2, padding=p))) for p in both)
    assert f"| [{theirs}](" in TEXT and f"| {ours} |" in TEXT
    x, weight = rng.normal(size=(1, 4, 5, 5)), rng.normal(size=(4, 3, 4, 4))
    right = jnp.moveaxis(torch.conv_transpose2d(x, weight, stride=2)[0], 0, -1)
    there = lax(np.moveaxis(x[0], 0, -1), np.transpose(weight, (2, 3, 0, 1)), "VALID")
    assert there.shape == right.shape
    assert np.abs(there - right).max() > 1


def test_files_it_points_to_exist():
    targets = re.findall(r'(?:src="|\]\()([^")]+)', TEXT)
    local = [target for target in targets if "://" not in target and target[0] != "#"]
    assert local
    assert [target for target in local if not (ROOT / target).exists()] == []


def test_pictures_are_small():
    assert sum(path.stat().st_size for path in (ROOT / ".github/pictures").iterdir()) < 300_000


MODELS = json.loads((ROOT / ".github/pictures/models.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("model", MODELS)
def test_numbers_of_models_are_those_their_command_reached(model):
    steps, found = MODELS[model]["steps"], MODELS[model]["metrics"]
    assert f"train {model} --data" in MODELS[model]["command"]
    if model == "dcgan":
        distances = [found[f"frechet_distance{of}"] for of in ("", "_of_real_digits")]
        said = [f"draws all {found['classes_covered']}", *(f"{d:.1f}" for d in distances)]
        assert all(f" {number}" in TEXT for number in said)
        assert f"`dcgan --steps {steps}`" in TEXT
    else:
        iou = [number for name, number in found.items() if "iou" in name]
        cells = " | ".join(f"{number:.2f}" for number in iou)
        assert f"| `{model} --steps {steps}` | {cells} |" in TEXT
