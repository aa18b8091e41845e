"""The tables, with the package broken on purpose: each must notice (``-m exhaustive``)."""

from __future__ import annotations

import importlib.util

import pytest

from tests import mutants


@pytest.mark.exhaustive
@pytest.mark.parametrize(("table", "mutant"), mutants.trials())
def test_the_table_notices(table, mutant):
    if table == "torch" and importlib.util.find_spec("torch") is None:
        pytest.skip("peer 'torch' is not installed in this environment")
    assert mutants.notices(table, mutant)


def test_every_table_meets_every_fault():
    met = {(table, mutant.split(":")[0]) for table, mutant in mutants.trials()}
    assert met == {(table, fault) for table in mutants.TABLES for fault in mutants.FAULTS}
