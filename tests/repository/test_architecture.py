"""The architecture: who may import whom, what is public, and what may not be used where."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
import types
from pathlib import Path

import pytest

import jtconv

HOME = Path(jtconv.__file__).parent
FILES = sorted(path.relative_to(HOME).as_posix() for path in HOME.rglob("*.py"))

SPECIAL = ("__init__", "__main__")
PUBLIC = {
    "Plan",
    "Tuning",
    "Unsupported",
    "accelerate",
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


def imported(file: str, at_once: bool = False) -> set[str]:
    """Every module a file imports, wherever in it or ``at_once``, as a dotted name."""
    names = set()
    for node in tree(file).body if at_once else ast.walk(tree(file)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: imports are written out in full"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def layers() -> dict[str, int]:
    """The layer of every package and file, as CONTRIBUTING's table has it."""
    text = (HOME.parent / "CONTRIBUTING.md").read_text(encoding="utf-8")
    table = text.split("<!-- layers -->")[1].split("<!-- /layers -->")[0]
    rows = (line.split("|") for line in table.strip().splitlines()[2:])
    return {name: int(row[1]) for row in rows for name in re.findall(r"`(\w+)`", row[2])}


LAYERS = layers()


def package(dotted: str) -> str | None:
    """The package or file of jtconv that a dotted name is in, if it is."""
    parts = dotted.split(".")
    return parts[1] if parts[0] == "jtconv" and len(parts) > 1 else None


def package_of(file: str) -> str:
    return file.removesuffix(".py").split("/")[0]


def test_the_table_of_layers_names_what_is_there():
    assert LAYERS.keys() == {package_of(file) for file in FILES} - {"__init__"}


@pytest.mark.parametrize("file", [file for file in FILES if file != "__init__.py"])
def test_a_file_imports_only_from_lower_layers(file):
    here = package_of(file)
    for name in imported(file):
        there = package(name)
        if there in (None, here):
            continue
        assert LAYERS[there] < LAYERS[here], f"{file} imports {name}, which is not of a lower layer"


@pytest.mark.parametrize("file", [f for f in FILES if f.startswith("algorithms/")])
def test_algorithms_never_import_each_other(file):
    name = Path(file).parts[1].removesuffix(".py")
    if name == "__init__":
        pytest.skip("the table of algorithms knows them all")
    met = {d.split(".")[2] for d in imported(file) if d.startswith("jtconv.algorithms.")}
    assert met <= {"common", "algorithm", name} - ({"pallas"} if name == "common" else set())


FIRST = """
import importlib, sys
for name in sys.argv[1:]:
    for known in [known for known in sys.modules if known.split(".")[0] == "jtconv"]:
        del sys.modules[known]
    module = importlib.import_module(name)
    assert module.__name__ == name, module
"""


def test_every_package_can_be_imported_first():
    """By its full name, which no function of the same name hides, with no other one known yet."""
    names = [f"jtconv.{name}" for name in sorted(LAYERS.keys() - {"__main__"})]
    subprocess.run([sys.executable, "-c", FIRST, *names], cwd=HOME.parent, check=True)


def modules() -> list[tuple[str, str]]:
    """Every module and package, as the package that holds it and its own name there."""
    dotted = (file.removesuffix(".py").removesuffix("/__init__").split("/") for file in FILES)
    return [(".".join(("jtconv", *parts[:-1])), parts[-1]) for parts in dotted]


@pytest.mark.parametrize(("parent", "name"), [m for m in modules() if m[1] not in SPECIAL])
def test_no_module_has_the_name_of_a_public_function(parent, name):
    """Not in one namespace: `jtconv.nnx.accelerate` is a function, so no file is called that."""
    found = getattr(importlib.import_module(parent), name, None)
    assert found is None or isinstance(found, types.ModuleType)


def needs(name: str) -> set[str]:
    """The outside modules that importing a file of problem/ brings in, through others there too."""
    outside: set[str] = set()
    for dotted in imported(f"problem/{name}.py", at_once=True):
        inside = dotted.startswith("jtconv.problem.")
        outside |= needs(dotted.split(".")[2]) if inside else {dotted.split(".")[0]}
    return outside


@pytest.mark.parametrize("name", ["geometry", "arguments", "padding", "reading"])
def test_integers_need_no_jax(name):
    assert needs(name).isdisjoint({"jax", "jaxlib", "numpy"})
    assert "jax" in needs("layout"), "what this test looks for can be found"


def test_importing_jtconv_leaves_flax_alone():
    """It takes a second; what needs it is imported at first use."""
    look = "import jtconv, sys; print('flax' in sys.modules, jtconv.nnx, 'flax' in sys.modules)"
    run = subprocess.run(
        [sys.executable, "-c", look], cwd=HOME.parent, capture_output=True, text=True, check=True
    )
    assert run.stdout.startswith("False <module 'jtconv.nnx'") and run.stdout.endswith("True\n")
    assert {"nnx", "linen", "initializers", "upsampling"} <= set(dir(jtconv))


def test_two_files_know_the_interpreters():
    """One has rules of its own for them, the other what of them is not documented."""
    users = [file for file in FILES if any(".interpreters" in name for name in imported(file))]
    text = [file for file in FILES if "jax.interpreters" in (HOME / file).read_text("utf-8")]
    assert users == text == ["dispatch/primitives.py", "dispatch/tag.py"]


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
    names = {name for name in vars(jtconv) if not name.startswith("_")} - LAYERS.keys()
    assert names <= PUBLIC, "a public name that __all__ does not list"


def test_public_names_are_documented_by_example():
    for name in PUBLIC - {"Plan", "Unsupported"}:
        assert ">>>" in getattr(jtconv, name).__doc__, f"{name} shows no example"
