"""What every test stands on: double precision, four host devices, checked annotations, peers."""

from __future__ import annotations

import contextlib
import importlib.util
import itertools
import os
import sys
import zlib
from collections.abc import Generator

import jax
import numpy as np
import pytest
from jaxtyping import install_import_hook

# Before any device is asked for: shard_map needs several, and one CPU can play four.
jax.config.update("jax_num_cpu_devices", 4)
jax.config.update("jax_enable_x64", True)

# Annotations become checks, here and never for users.  The rooms that take whatever a user
# wrote are left out: their own messages are under test, not beartype's.  So are the
# primitives, whose rules are handed constants that are no ``jax.Array`` yet.
CHECKED_ROOMS = ["jtconv.geometry", "jtconv.choose", "jtconv.methods"]
install_import_hook(CHECKED_ROOMS, "beartype.beartype")


class SinglePrecision:
    """Examples run as users run them, those in the package too, whose hooks are not ours."""

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, object, object]:
        example = isinstance(item, pytest.DoctestItem)
        with jax.enable_x64(False) if example else contextlib.nullcontext():
            return (yield)


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(SinglePrecision())
    mutant = os.environ.get("JTCONV_MUTANT")
    if mutant:
        from tests import mutants

        mutants.apply(mutant)


# Tables of laws with hundreds of rows. Each Python takes its half by default, an even and an odd
# version all of them together; `-m ""` runs every row.
SAMPLED = (
    "test_adjoint",
    "test_bias",
    "test_derivatives",
    "test_draw",
    "test_explain",
    "test_kernels",
    "test_kernels_transformed",
    "test_linen",
    "test_nnx",
    "test_notebooks",
    "test_roads",
    "test_transformations",
    "test_value",
    "test_words",
)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the other half of the rows of large tables as slow."""
    for item in items:
        if item.path.stem == "test_adjoint" and "pallas" in item.name:
            item.add_marker(pytest.mark.slow)  # seconds each, and its values are under test
        ours = zlib.crc32(item.nodeid.encode()) % 2 == sys.version_info.minor % 2
        if item.path.stem in SAMPLED and "[" in item.name and not ours:
            item.add_marker(pytest.mark.slow)


def pytest_runtest_setup(item: pytest.Item) -> None:
    for mark in item.iter_markers("peer"):
        name = mark.args[0]
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"peer {name!r} is not installed in this environment")


# Where the laws of values are, "pallas" is its TPU kernel, interpreted. An interpreted program
# takes seconds to compile, so elsewhere it is what it is on a CPU: refused.
INTERPRETED = ("test_value", "test_adjoint", "test_refusals")


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """Laws asked of "pallas" are skipped, with its reason, where it refuses."""
    values = getattr(pyfuncitem, "callspec", None)
    if values is None or not any(v == "pallas" for v in values.params.values() if type(v) is str):
        return (yield)
    from jtconv import Unsupported
    from jtconv.methods.kernels.interpret import interpreted

    here = pyfuncitem.path.stem in INTERPRETED
    with interpreted("tpu") if here else contextlib.nullcontext():
        try:
            return (yield)
        except Unsupported as refusal:
            pytest.skip(str(refusal))


_finished = itertools.count(1)


def pytest_runtest_teardown() -> None:
    """Forget compiled programs now and then: thousands of them fill gigabytes."""
    if next(_finished) % 250 == 0:
        jax.clear_caches()


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> np.random.Generator:
    """Random numbers of this test's own: the same in every run and in any order."""
    return np.random.default_rng(zlib.crc32(request.node.nodeid.encode()))
