"""What README.md promises: its examples run, and what it points to is there."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```python\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)


def test_there_is_an_example():
    assert EXAMPLES


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_example_runs(number, capsys):
    exec(compile(EXAMPLES[number], f"README example {number + 1}", "exec"), {})
    if "print(" in EXAMPLES[number]:
        assert capsys.readouterr().out.strip()


def test_files_it_points_to_exist():
    targets = re.findall(r'(?:src="|\]\()([^")]+)', TEXT)
    local = [target for target in targets if "://" not in target]
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
