"""What was rejected is right all the same: wrong ideas are not worth timing."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bench.rejected import bf16x3, measure, minimal_filtering
from jtconv.algorithms import gemm
from jtconv.problem.geometry import Geometry
from jtconv.problem.task import Task
from tests.compare import assert_close
from tests.selection import exhaustive

pytestmark = exhaustive


@pytest.mark.parametrize("space", [(5,), (4, 3)])
@pytest.mark.parametrize("lo", [1])
def test_minimal_filtering(space, lo, rng):
    rank, double = len(space), np.dtype("float64")
    geometry = Geometry.of(space, (4,) * rank, (2,) * rank, crops=((lo, 1),) * rank)
    x, w = rng.normal(size=(2, *space, 3)), rng.normal(size=(*(4,) * rank, 3, 5))
    y = rng.normal(size=(2, *geometry.y_size, 5))
    pairs_of = {"dgrad": (x, w), "fprop": (y, w), "wgrad": (x, y)}
    for side, pair in pairs_of.items():
        task = Task(side, geometry, 2, 3, 5, double, double)  # type: ignore[arg-type]
        operands = tuple(map(jnp.asarray, pair))
        expected = getattr(gemm, side)(*operands, task)
        form = jax.jit(getattr(minimal_filtering, side), static_argnums=2)
        assert_close(form(*operands, task), expected)


def test_bfloat16_parts_keep_the_digits_they_claim(rng):
    a, b = (rng.normal(size=(64, 64)).astype(np.float32) for _ in range(2))
    exact = a.astype(np.float64) @ b
    forms = {f"{parts}": bf16x3.matmul_of_parts(parts) for parts in (1, 2, 3)}
    one, two, three = measure("", forms, (jnp.asarray(a), jnp.asarray(b)), exact)
    assert 1e-3 < one.error < 1e-2
    assert 1e-6 < two.error < 2e-5
    assert three.error < 1e-6
