"""What all frameworks share: none is imported before it is needed, and the table is true."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import jtconv
from jtconv.conventions.layer import EXAMPLE_INPUT, EXAMPLE_KERNEL, EXAMPLE_STRIDE
from jtconv.interop import equinox, keras, migration, onnx, torch
from tests.interop.compiled import parameters

README = Path(__file__).parents[2] / "README.md"
FRAMEWORKS = ("torch", "keras", "onnx", "haiku", "equinox", "tensorflow")


def test_no_framework_is_imported_before_it_is_needed():
    code = f"import sys, jtconv.interop; print([n for n in {FRAMEWORKS} if n in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


@pytest.mark.parametrize("framework", [torch, keras, onnx, equinox], ids=lambda f: f.__name__)
def test_a_missing_framework_says_what_to_install(framework, monkeypatch, rng):
    name = framework.__name__.split(".")[-1]
    monkeypatch.setitem(sys.modules, name, None)
    layer = jtconv.nnx.ConvTranspose(2, 2, 3, **parameters(rng))
    with pytest.raises(ImportError, match=f"this needs {name}: python -m pip install {name}"):
        framework.from_nnx(layer)


@pytest.mark.parametrize("row", migration.ROWS, ids=lambda row: f"{row.framework}-{row.padding}")
def test_formulas_of_the_table_make_its_numbers(row):
    numbers = {
        name: value[0] if isinstance(value, list) else value for name, value in row.example.items()
    }
    a = numbers.get("output_padding", 0)
    full = (EXAMPLE_INPUT - 1) * EXAMPLE_STRIDE + EXAMPLE_KERNEL
    out = numbers.get("output_shape", 0)
    low, high = numbers["padding"] if isinstance(numbers.get("padding"), tuple) else (1, 1)
    begin, end = row.example.get("pads", (0, 0))
    known = {
        "D": EXAMPLE_KERNEL, "s": EXAMPLE_STRIDE, "a": a, "p": numbers.get("padding"),
        "T": EXAMPLE_KERNEL + a - EXAMPLE_STRIDE, "U": full + a - out, "full": full,
        "out": out, "low": low, "high": high, "begin": begin, "end": end,
        "max": max, "min": min,
    }  # fmt: skip
    ((lo, hi),) = row.crops(**row.example)
    assert eval(row.lo, known) == lo
    assert eval(row.hi, {**known, "lo": lo}) == hi


def test_readme_holds_the_table():
    found = re.search(
        r"<!-- padding -->\n(.*?)<!-- /padding -->", README.read_text("utf-8"), re.DOTALL
    )
    assert found, "README.md has lost its markers"
    assert found[1] == migration.table(), "python -m jtconv.interop prints the table of now"
