"""The house: who may import whom, what is public, and what may not be said where."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import jtconv

HOME = Path(jtconv.__file__).parent
FILES = sorted(path.relative_to(HOME).as_posix() for path in HOME.rglob("*.py"))

# Floors, bottom first; rooms on one floor do not know of each other.
FLOORS = (
    {"arguments", "geometry"},
    {"padding"},
    {"layout"},
    {"request", "operands"},
    {"words"},
    {"methods"},
    {"rules"},
    {"choose", "batching"},
    {"primitives"},
    {"matrices", "tuning"},
    {"plan"},
    {"api"},
    {"layers", "unpool"},
    {"upsampling"},
    {"nnx", "linen", "initializers", "shard"},
    {"interop"},
    {"models", "draw"},
    {"cli"},
    {"__main__"},
)
# What several methods are written against; the methods themselves never meet.
SHARED = {
    "task",
    "products",
    "moves",
    "raster",
    "stamps",
    "cells",
    "mirror",
    "mec",
    "unit",
    "merged",
    "strips",
    "convolution",
    "library",
    "kernels",
}

PUBLIC = {
    "Plan",
    "Tuning",
    "Unsupported",
    "conv",
    "conv_matrix",
    "conv_transpose",
    "explain",
    "max_pool_with_indices",
    "max_unpool",
    "methods",
    "output_shape",
    "tune",
}


def tree(file: str) -> ast.Module:
    return ast.parse((HOME / file).read_text(encoding="utf-8"), file)


def imported(file: str) -> set[str]:
    """Every module a file imports, wherever in it, as a dotted name."""
    names = set()
    for node in ast.walk(tree(file)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: imports are written out in full"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def room(dotted: str) -> str | None:
    """The room of the package a dotted name lies in, if it does."""
    parts = dotted.split(".")
    return parts[1] if parts[0] == "jtconv" and len(parts) > 1 else None


def room_of(file: str) -> str:
    return file.removesuffix(".py").split("/")[0]


def floor(name: str) -> int:
    found = [number for number, rooms in enumerate(FLOORS) if name in rooms]
    assert found, f"jtconv.{name} has no floor: give it one in {Path(__file__).name}"
    return found[0]


@pytest.mark.parametrize("file", [file for file in FILES if file != "__init__.py"])
def test_a_file_imports_only_from_floors_below(file):
    here = room_of(file)
    for name in imported(file):
        there = room(name)
        if there in (None, here):
            continue
        assert floor(there) < floor(here), f"{file} imports {name}, which is not below it"


@pytest.mark.parametrize("file", [f for f in FILES if f.startswith("methods/")])
def test_methods_never_import_each_other(file):
    name = Path(file).stem
    if name == "__init__":
        pytest.skip("the table of methods knows them all")
    met = {
        dotted.split(".")[2] for dotted in imported(file) if dotted.startswith("jtconv.methods.")
    }
    assert met <= SHARED - {name}


def needs(name: str) -> set[str]:
    """The outside modules that importing a room brings in, through rooms below it too."""
    outside: set[str] = set()
    for dotted in imported(f"{name}.py"):
        there = room(dotted)
        outside |= needs(there) if there else {dotted.split(".")[0]}
    return outside


@pytest.mark.parametrize("name", ["geometry", "arguments", "padding"])
def test_integers_need_no_jax(name):
    assert needs(name).isdisjoint({"jax", "jaxlib", "numpy"})
    assert "jax" in needs("layout"), "what this test looks for can be found"


def test_importing_jtconv_leaves_flax_alone():
    """It takes a second; rooms that need it are opened at first use."""
    look = "import jtconv, sys; print('flax' in sys.modules, jtconv.nnx, 'flax' in sys.modules)"
    run = subprocess.run(
        [sys.executable, "-c", look], cwd=HOME.parent, capture_output=True, text=True, check=True
    )
    assert run.stdout.startswith("False <module 'jtconv.nnx'") and run.stdout.endswith("True\n")
    assert {"nnx", "linen", "initializers", "upsampling"} <= set(dir(jtconv))


def test_one_file_knows_the_interpreters():
    users = [file for file in FILES if any(".interpreters" in name for name in imported(file))]
    text = [file for file in FILES if "jax.interpreters" in (HOME / file).read_text("utf-8")]
    assert users == text == ["primitives.py"]


@pytest.mark.parametrize("file", FILES)
def test_nothing_reaches_into_the_inside_of_jax(file):
    assert not [name for name in imported(file) if "._src" in name]


@pytest.mark.parametrize("file", FILES)
def test_no_assert_statements(file):
    """Asserts vanish under -O and tell a user nothing."""
    assert not [n.lineno for n in ast.walk(tree(file)) if isinstance(n, ast.Assert)]


@pytest.mark.parametrize("file", FILES)
def test_every_file_says_what_it_is(file):
    assert ast.get_docstring(tree(file))


def test_public_names_are_those_of_the_contract():
    assert set(jtconv.__all__) == PUBLIC
    assert list(jtconv.__all__) == sorted(jtconv.__all__)
    rooms = {room_of(file) for file in FILES}
    names = {name for name in vars(jtconv) if not name.startswith("_")} - rooms
    assert names <= PUBLIC | {"methods"}, "a public name that __all__ does not list"


def test_public_names_are_documented_by_example():
    for name in PUBLIC - {"Plan", "Unsupported"}:
        assert ">>>" in getattr(jtconv, name).__doc__, f"{name} shows no example"
