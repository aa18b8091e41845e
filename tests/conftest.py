"""What every test stands on: double precision, four host devices, checked annotations, peers."""

from __future__ import annotations

import contextlib
import importlib.util
import itertools
import os
import zlib
from collections.abc import Generator

import jax
import numpy as np
import pytest
from hypothesis import settings
from jaxtyping import install_import_hook

from tests import ran
from tests.selection import exhaustive

# Random numbers by XLA's own generator: the default one takes seconds to compile for every shape
# of a parameter. In the environment, so that programs which tests start have it too.
os.environ["JAX_DEFAULT_PRNG_IMPL"] = "rbg"
jax.config.update("jax_default_prng_impl", "rbg")

# Before any device is asked for: shard_map needs several, and one CPU can play four.
jax.config.update("jax_num_cpu_devices", 4)
jax.config.update("jax_enable_x64", True)

# An example that waits for a busy machine is no failure.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")

# Annotations become checks, here and never for users.  What takes whatever a user wrote is left
# out: its own messages are under test, not beartype's.  So are the primitives, whose rules are
# handed constants that are no ``jax.Array`` yet.
CHECKED = ["jtconv.problem.geometry", "jtconv.dispatch.choose", "jtconv.algorithms"]
install_import_hook(CHECKED, "beartype.beartype")


class SinglePrecision:
    """Examples run as users run them, those in the package too, whose hooks are not ours."""

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, object, object]:
        example = isinstance(item, pytest.DoctestItem)
        with jax.enable_x64(False) if example else contextlib.nullcontext():
            return (yield)


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(SinglePrecision())
    if mutant := os.environ.get("JTCONV_MUTANT"):
        from tests import mutants

        mutants.apply(mutant)
    ran.record(config)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Examples cannot be marked where they stand. Those of the models compile for long."""
    for item in items:
        if isinstance(item, pytest.DoctestItem) and item.nodeid.startswith("jtconv/models/"):
            item.add_marker(exhaustive)


def pytest_runtest_setup(item: pytest.Item) -> None:
    for mark in item.iter_markers("peer"):
        name = mark.args[0]
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"peer {name!r} is not installed in this environment")


_finished = itertools.count(1)


def pytest_runtest_teardown() -> None:
    """Forget compiled programs now and then: thousands of them fill gigabytes."""
    if next(_finished) % 250 == 0:
        jax.clear_caches()


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> np.random.Generator:
    """Random numbers of this test's own: the same in every run, in any order and in any folder."""
    return np.random.default_rng(zlib.crc32(request.node.name.encode()))


@pytest.fixture(autouse=True)
def keys(request: pytest.FixtureRequest) -> Generator[None, None, None]:
    """Keras makes keys of two numbers, as JAX's default generator has them."""
    keras = any(mark.args[0] == "keras" for mark in request.node.iter_markers("peer"))
    with jax.default_prng_impl("threefry2x32") if keras else contextlib.nullcontext():
        yield
