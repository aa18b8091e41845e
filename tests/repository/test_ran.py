"""The comparison of what was collected with what ran must be able to fail."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import ran
from tests.selection import rows

COLLECTED = "a.py::one\na.py::two[x y]\n\n2 tests collected in 0.1s\n"
FIRST, SECOND = "passed\ta.py::one\t\n", "failed\ta.py::two[x y]\t\n"


@pytest.fixture
def folder(tmp_path):
    """One environment's, with two runs in it that together are everything."""
    folder = tmp_path / "3.11"
    folder.mkdir()
    (folder / "collected").write_text(COLLECTED)
    (folder / "default").write_text(FIRST)
    (folder / "exhaustive").write_text(SECOND)
    return folder


def test_all_that_was_collected_ran(folder, capsys):
    assert ran.main([str(folder)]) == 0
    assert "3.11: 2 ran of 2 tests, in 2 runs" in capsys.readouterr().out


def test_a_run_left_out_is_noticed(folder, capsys):
    (folder / "exhaustive").unlink()
    assert ran.main([str(folder)]) == 1
    assert "3.11: did not run: a.py::two[x y]" in capsys.readouterr().out


def test_a_test_nobody_collected_is_noticed(folder, capsys):
    (folder / "collected").write_text("a.py::one\n")
    assert ran.main([str(folder)]) == 1
    assert "ran, and was not collected: a.py::two[x y]" in capsys.readouterr().out


def test_nothing_collected_is_noticed(folder):
    for path in folder.iterdir():
        path.write_text("")
    assert ran.main([str(folder)]) == 1


def test_what_is_skipped_everywhere_needs_a_known_reason(folder, tmp_path, capsys):
    skipped = "skipped\ta.py::two[x y]\tSkipped: {}\n"
    (folder / "exhaustive").write_text(skipped.format("peer 'x' is not installed"))
    assert ran.main([str(folder)]) == 0, "one environment may lack what another has"
    assert ran.main(["--all", str(folder)]) == 1
    assert "skipped everywhere: a.py::two[x y]: Skipped: peer 'x'" in capsys.readouterr().out
    (folder / "exhaustive").write_text(skipped.format(ran.NOWHERE[0]))
    assert ran.main(["--all", str(folder)]) == 0
    (folder / "exhaustive").write_text(skipped.format("peer 'x' is not installed"))
    other = tmp_path / "3.12"
    other.mkdir()
    (other / "collected").write_text(COLLECTED)
    (other / "default").write_text(FIRST + SECOND)
    assert ran.main(["--all", str(folder), str(other)]) == 0


def test_the_recorder_writes_what_a_run_of_several_processes_did(tmp_path):
    """Of a file with one test of each outcome, run by two workers."""
    (tmp_path / "conftest.py").write_text(
        "from tests import ran\n\ndef pytest_configure(config):\n    ran.record(config)\n"
    )
    (tmp_path / "test_few.py").write_text(
        "import pytest\n"
        "def test_passes(): pass\n"
        "def test_fails(): assert 0\n"
        "def test_skips(): pytest.skip('for a\\n reason')\n"
        "@pytest.mark.xfail\n"
        "def test_xfails(): assert 0\n"
        "@pytest.fixture\n"
        "def broken(): assert 0\n"
        "def test_errs(broken): pass\n"
    )
    file, root = tmp_path / "ran", Path(__file__).parents[2]
    environment = {**os.environ, "JTCONV_RAN": str(file), "PYTHONPATH": str(root)}
    command = [sys.executable, "-m", "pytest", "-q", "-n", "2"]
    subprocess.run(command, cwd=tmp_path, env=environment, check=False, capture_output=True)
    found = ran.outcomes(file.read_text())
    assert {test.split("_")[-1]: outcome for test, (outcome, _) in found.items()} == {
        "passes": "passed",
        "fails": "failed",
        "skips": "skipped",
        "xfails": "xfailed",
        "errs": "failed",
    }
    assert found["test_few.py::test_skips"][1] == "Skipped: for a reason"


def test_rows_not_named_are_exhaustive_and_names_must_be_there():
    one, other = rows({"one": (1, 2), "other": (3, 4)}, default=["one"])
    assert (one.id, one.values, list(one.marks)) == ("one", (1, 2), [])
    assert [mark.name for mark in other.marks] == ["exhaustive"]
    assert [row.values for row in rows("ab", default="b")] == [("a",), ("b",)]
    with pytest.raises(ValueError, match="no such rows: three"):
        rows(["one", "other"], default=["one", "three"])
