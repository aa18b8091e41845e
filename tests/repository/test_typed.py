"""What type checkers are told is what is so; the checkers themselves run in ``.ci/run``."""

from __future__ import annotations

import inspect
import types
from pathlib import Path
from typing import get_args

import pytest

import jtconv
from jtconv import devices
from jtconv.algorithms import ALGORITHMS
from jtconv.problem import padding
from jtconv.problem.task import SIDES
from tests import typed


def words(alias: object) -> list[str]:
    """The strings of a union of literals."""
    items = get_args(alias)
    return [word for item in items for word in ([item] if isinstance(item, str) else words(item))]


@pytest.mark.parametrize(
    ("alias", "known"),
    [
        (jtconv.typing.MethodName, ["auto", *ALGORITHMS]),
        (jtconv.typing.Op, list(SIDES)),
        (jtconv.typing.Platform, list(devices.PLATFORMS)),
        (jtconv.typing.ZerosName, [*padding.NAMES, *map(str.lower, padding.NAMES)]),
        (jtconv.typing.BorderName, [*padding.BORDERS, *map(str.lower, padding.BORDERS)]),
    ],
)
def test_literals_are_what_is_known(alias, known):
    assert sorted(words(alias)) == sorted(known)


OPERATIONS = {
    "conv_transpose": set(),
    "conv": {"output_padding", "output_size"},
    "output_shape": set(),
    "explain": set(),
    "streaming.conv_transpose": {"output_size"},  # None alone
    "streaming.conv": {"output_padding", "output_size"},
    "conv_matrix": {
        *("output_padding", "output_size", "method", "precision", "preferred_element_type"),
    },
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_keywords_are_those_of_the_operation(name):
    """Written out in each signature, and alike: but for padding's default in a stream."""
    known = inspect.signature(jtconv.conv_transpose).parameters
    function = jtconv
    for part in name.split("."):
        function = getattr(function, part)
    here = inspect.signature(function).parameters  # type: ignore[arg-type]
    assert not any(p.kind is p.VAR_KEYWORD for p in here.values())
    for keyword in [k for k, p in known.items() if p.kind is p.KEYWORD_ONLY]:
        if keyword in OPERATIONS[name]:
            continue
        assert here[keyword].annotation == known[keyword].annotation, keyword
        if keyword != "padding":
            assert here[keyword].default == known[keyword].default, keyword


def test_aliases_in_public_signatures_can_be_imported():
    """No annotation of a public function names an alias that jtconv.typing does not have."""
    aliases = set(jtconv.typing.__all__)
    assert all(hasattr(jtconv.typing, name) for name in aliases)
    for module in (jtconv, jtconv.streaming, jtconv.upsampling):
        for name in module.__all__:
            value = getattr(module, name)
            if isinstance(value, types.FunctionType):
                own = vars(inspect.getmodule(inspect.unwrap(value)))
                for alias in ("PerAxis", "Padding", "Method", "DimensionNumbers", "Precision"):
                    assert own.get(alias) in (None, getattr(jtconv.typing, alias)), (name, alias)


def test_all_of_readme_and_public_docstrings_is_looked_at(tmp_path):
    assert typed.write(tmp_path) == len(list(Path(tmp_path).iterdir()))
    found = {path.stem for path in Path(tmp_path).iterdir()}
    assert {"readme_0", "jtconv_conv_transpose", "jtconv_nnx_ConvTranspose", "wrong"} <= found
    assert len(found) > 50


def test_a_fault_that_is_none_and_one_that_is_passed_are_told():
    mypy = "wrong.py:2: error: no  [call-arg]\nright.py:7: error: bad  [x]\nright.py:8: note: y\n"
    pyright = "  /a/wrong.py:2:3 - error: no\n  /a/right.py:7:1 - error: bad\n    more: 3\n"
    for output, message in ((mypy, "bad  [x]"), (pyright, "bad")):
        found = typed.differences(output, wrong="one\ntwo\n", head="head\n")
        assert found == [f"right.py:7: {message}", "passed: two"]


def test_dir_lists_what_is_public():
    listed = {name for name in dir(jtconv) if not name.startswith("__")}
    modules = {name for name in listed if isinstance(getattr(jtconv, name), types.ModuleType)}
    assert listed == {*jtconv.__all__, *modules}
    assert {"nnx", "linen", "typing", "interop", "streaming"} <= modules


@pytest.mark.parametrize("module", typed.public_modules(), ids=lambda module: module.__name__)
def test_public_modules_list_what_they_have(module):
    assert module.__all__ and all(hasattr(module, name) for name in module.__all__)
