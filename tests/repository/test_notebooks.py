"""The course in ``notebooks/``: every cell runs, and shows what the file says that it shows.

    python -m tests.repository.test_notebooks

runs all of them and keeps what they show.  A cell tagged "varies" (times, results of training)
may show something else each time; one tagged "A1" works out that row of the founding documents.
"""

from __future__ import annotations

import itertools
import os
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from tests.laws import test_seeds
from tests.selection import rows

ROOT = Path(__file__).parents[2]
PATHS = sorted((ROOT / "notebooks").glob("*.ipynb"))
SEEDS = [f"{letter}{n}" for letter, count in zip("ABCDE", (5, 6, 6, 6, 4), strict=True)
         for n in range(1, count + 1)]  # fmt: skip
SECONDS_A_CELL = 300
TABLE = {path.stem: (path,) for path in PATHS}
each_notebook = pytest.mark.parametrize("path", rows(TABLE, default=TABLE))


def read(path: Path) -> Any:
    return nbformat.read(path, 4)


def code(notebook: Any, tag: str | None = None) -> list[Any]:
    """Its cells of code, or those with a tag."""
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    return [cell for cell in cells if tag is None or tag in tags(cell)]


def tags(cell: Any) -> list[str]:
    return cell.metadata.get("tags", [])


def executed(path: Path) -> Any:
    """The notebook run from its first cell to its last, by a fresh kernel of this Python."""
    notebook = read(path)
    client = NotebookClient(
        notebook,
        timeout=SECONDS_A_CELL,
        record_timing=False,
        resources={"metadata": {"path": str(path.parent)}},
    )
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    client.execute(env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)})
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    return notebook


def words(cell: Any) -> str:
    """What a cell shows, but for pictures."""
    shown = [output.get("text") or output.get("data", {}).get("text/plain", "")
             for output in cell.outputs]  # fmt: skip
    return "".join(shown)


@pytest.mark.parametrize("path", rows(TABLE, default=["01_what_it_is"]))
def test_every_cell_runs_and_shows_what_it_showed(path):
    before, after = read(path), executed(path)
    for kept, new in zip(code(before), code(after), strict=True):
        kinds = {kind for output in new.outputs for kind in output.get("data", {})}
        assert kinds == {kind for output in kept.outputs for kind in output.get("data", {})}
        assert not [output for output in new.outputs if output.get("name") == "stderr"], words(new)
        if "varies" not in tags(new):
            assert words(new) == words(kept), (
                "python -m tests.repository.test_notebooks keeps what is shown"
            )


@each_notebook
def test_exercises_are_checked(path):
    """Each answer stands in a folded cell, and the next one compares it with something."""
    cells = read(path).cells
    answers = [n for n, cell in enumerate(cells) if "solution" in tags(cell)]
    assert len(answers) >= 2
    for n in answers:
        assert cells[n].metadata["jupyter"]["source_hidden"]
        assert "check" in tags(cells[n + 1])
        assert "assert" in cells[n + 1].source
        assert cells[n - 1].cell_type == "markdown"


def test_they_are_small():
    sizes = [path.stat().st_size for path in PATHS]
    assert len(sizes) == 9
    assert max(sizes) < 250_000
    assert sum(sizes) < 1_200_000


def test_every_row_of_the_founding_documents_is_shown_or_tested():
    tagged = itertools.chain(*(tags(cell) for path in PATHS for cell in code(read(path))))
    tested = [name.split("_")[1].upper() for name in vars(test_seeds) if name.startswith("test_")]
    assert set(SEEDS) <= {*tagged, *tested}


if __name__ == "__main__":
    for path in PATHS:
        nbformat.write(executed(path), path)
        print(path.relative_to(ROOT))
