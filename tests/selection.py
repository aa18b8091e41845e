"""Which rows of a table a plain ``pytest`` runs: those named. The others are ``exhaustive``.

There are two groups and no third: a test without a mark is in the default run, which a newcomer
waits for, and ``-m exhaustive`` is everything else. Every row is in exactly one of them, wherever
and whenever it is collected.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pytest

exhaustive = pytest.mark.exhaustive


def rows(table: Mapping[str, tuple[Any, ...]] | Iterable[str], default: Iterable[str]) -> list[Any]:
    """Parameters for ``parametrize``: the rows named in ``default``, and the others as exhaustive.

    ``table`` has the values of each row by name; a sequence of names is a table of themselves.
    A name in ``default`` that the table does not have is an error, so that a row which was renamed
    does not leave the default run unseen.
    """
    table = table if isinstance(table, Mapping) else {name: (name,) for name in table}
    default = set(default)
    if unknown := default - table.keys():
        raise ValueError(f"no such rows: {', '.join(sorted(unknown))}")
    return [
        pytest.param(*values, id=name, marks=() if name in default else exhaustive)
        for name, values in table.items()
    ]
