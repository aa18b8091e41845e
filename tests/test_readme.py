"""What README.md promises: its examples run, and what it points to is there."""

from __future__ import annotations

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
