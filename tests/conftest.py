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

# Random numbers by XLA's own generator: the default one takes seconds to compile for every shape
# of a parameter. In the environment, so that programs which tests start have it too.
os.environ["JAX_DEFAULT_PRNG_IMPL"] = "rbg"
jax.config.update("jax_default_prng_impl", "rbg")

# Before any device is asked for: shard_map needs several, and one CPU can play four.
jax.config.update("jax_num_cpu_devices", 4)
jax.config.update("jax_enable_x64", True)

# Annotations become checks, here and never for users.  The rooms that take whatever a user
# wrote are left out: their own messages are under test, not beartype's.  So are the
# primitives, whose rules are handed constants that are no ``jax.Array`` yet.
CHECKED_ROOMS = ["jtconv.problem.geometry", "jtconv.dispatch.choose", "jtconv.algorithms"]
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


# Tables of hundreds of rows, or of slow ones, and how many Pythons share them: each takes its part
# by default, and as many versions in a row take all; `-m ""` runs every row.
SHARED = {
    "test_adjoint": 4,
    "test_bias": 2,
    "test_derivatives": 4,
    "test_draw": 2,
    "test_explain": 2,
    "test_kernels": 2,
    "test_kernels_transformed": 2,
    "test_linen": 3,
    "test_models": 2,
    "test_nnx": 3,
    "test_notebooks": 2,
    "test_roads": 4,
    "test_transformations": 4,
    "test_value": 4,
    "test_conventions": 2,
}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is another Python's part as slow; of the examples of models, too, which compile."""
    for item in items:
        if item.path.stem == "test_adjoint" and "pallas" in item.name:
            item.add_marker(pytest.mark.slow)  # seconds each, and its values are under test
        model = isinstance(item, pytest.DoctestItem) and "models" in item.path.parts
        share = 2 if model else SHARED.get(item.path.stem, 1) if "[" in item.name else 1
        if zlib.crc32(item.nodeid.encode()) % share != sys.version_info.minor % share:
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
    from jtconv.algorithms.pallas.interpret import interpreted

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


@pytest.fixture(autouse=True)
def keys(request: pytest.FixtureRequest) -> Generator[None, None, None]:
    """Keras makes keys of two numbers, as JAX's default generator has them."""
    keras = any(mark.args[0] == "keras" for mark in request.node.iter_markers("peer"))
    with jax.default_prng_impl("threefry2x32") if keras else contextlib.nullcontext():
        yield
