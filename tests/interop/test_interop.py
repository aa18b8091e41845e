"""What all rooms of interop share: frameworks stay asleep, and the table of words is true."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import jtconv
from jtconv.interop import equinox, keras, migration, onnx, torch
from tests.interop.compiled import parameters

README = Path(__file__).parents[2] / "README.md"
FRAMEWORKS = ("torch", "keras", "onnx", "haiku", "equinox", "tensorflow")


def test_no_framework_is_imported_unasked():
    code = f"import sys, jtconv.interop; print([n for n in {FRAMEWORKS} if n in sys.modules])"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"


@pytest.mark.parametrize("room", [torch, keras, onnx, equinox], ids=lambda room: room.__name__)
def test_a_missing_framework_says_what_to_install(room, monkeypatch, rng):
    name = room.__name__.split(".")[-1]
    monkeypatch.setitem(sys.modules, name, None)
    layer = jtconv.nnx.ConvTranspose(2, 2, 3, **parameters(rng))
    with pytest.raises(ImportError, match=f"this needs {name}: python -m pip install {name}"):
        room.from_nnx(layer)


@pytest.mark.parametrize("row", migration.ROWS, ids=lambda row: f"{row.framework}-{row.words}")
def test_formulas_of_the_table_make_its_numbers(row):
    words = {
        name: value[0] if isinstance(value, list) else value for name, value in row.example.items()
    }
    a = words.get("output_padding", 0)
    full = (migration.INPUT - 1) * migration.STRIDE + migration.KERNEL
    out = words.get("output_shape", 0)
    low, high = words["padding"] if isinstance(words.get("padding"), tuple) else (1, 1)
    begin, end = row.example.get("pads", (0, 0))
    known = {
        "D": migration.KERNEL, "s": migration.STRIDE, "a": a, "p": words.get("padding"),
        "T": migration.KERNEL + a - migration.STRIDE, "U": full + a - out, "full": full,
        "out": out, "low": low, "high": high, "begin": begin, "end": end,
        "max": max, "min": min,
    }  # fmt: skip
    ((lo, hi),) = row.crops(**row.example)
    assert eval(row.lo, known) == lo
    assert eval(row.hi, {**known, "lo": lo}) == hi


def test_readme_holds_the_table():
    found = re.search(r"<!-- words -->\n(.*?)<!-- /words -->", README.read_text("utf-8"), re.DOTALL)
    assert found, "README.md has lost its markers"
    assert found[1] == migration.table(), "python -m jtconv.interop prints the table of now"
