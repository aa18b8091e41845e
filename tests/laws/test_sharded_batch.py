"""A batch that is sharded stays so: with groups, too, no method gathers what XLA need not."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

import jtconv
from tests.axes import METHODS
from tests.selection import exhaustive, rows

# Made of XLA's grouped convolution, whose input XLA's partitioner gathers, in lax's own, too.
XLA = ("dilated", "vjp", "fold")
# XLA's partitioner gathers what is transformed; `phases` has convolutions where phases differ.
GATHERS = (*XLA, "fft", "phases")

GATHERING = ("all-gather", "all-to-all")


def compiled(function, *operands):
    lowered = jax.jit(function).lower(*operands)
    return lowered.compile()


@pytest.mark.parametrize("stride", [pytest.param(1, marks=exhaustive), 2])
@pytest.mark.parametrize("op", ["conv", "conv_transpose"])
@pytest.mark.parametrize("method", rows(METHODS, default=["auto", "gemm"]))
def test_groups_on_a_sharded_batch(method, op, stride):
    mesh = jax.make_mesh((4,), ("b",), axis_types=(AxisType.Auto,))
    split, whole = NamedSharding(mesh, P("b")), NamedSharding(mesh, P())
    call = partial(getattr(jtconv, op), stride=stride, groups=2, method=method)
    rng = np.random.default_rng(0)
    shapes = {"x": (8, 8, 8, 8), "w": (3, 3, 4, 8)}
    x, w = (rng.integers(-2, 3, shape).astype("float32") for shape in shapes.values())
    c = np.ones(call(x, w).shape, "float32")

    def sides(x, w, c):
        y, pull = jax.vjp(call, x, w)
        return y, *pull(c)

    operands = jax.device_put((x, w, c), (split, whole, split))
    program = compiled(sides, *operands)
    y, dx, dw = program(*operands)
    if method != "fft":
        assert [a.sharding.is_equivalent_to(split, a.ndim) for a in (y, dx)] == [True, True]
    gathered = [name for name in GATHERING if f" {name}(" in program.as_text()]
    assert method in GATHERS or gathered == []
    for got, want in zip((y, dx, dw), jax.jit(sides)(x, w, jnp.asarray(c)), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-3)


# What `auto` has other methods for: x, w and the stride. The last has a branch for infinities, and
# more groups than anyone would write out.
REGIMES = {
    "long": ((8, 1024, 32), (4, 16, 32), 2),
    "many taps": ((8, 32, 32, 16), (7, 7, 8, 16), 1),
    "depthwise": ((8, 16, 16, 16), (4, 4, 1, 16), 2),
    "multiplier": ((8, 16, 16, 16), (4, 4, 1, 32), 2),
    "3-D": ((8, 6, 6, 6, 8), (3, 3, 3, 4, 8), 2),
    "few channels of x": ((8, 44, 44, 16), (4, 4, 2, 32), 2),
}


@pytest.mark.parametrize(("x", "w", "stride"), rows(REGIMES, default=["few channels of x"]))
def test_auto_gathers_nothing(x, w, stride):
    mesh = jax.make_mesh((4,), ("b",), axis_types=(AxisType.Auto,))
    split, whole = NamedSharding(mesh, P("b")), NamedSharding(mesh, P())
    groups = x[-1] // w[-2]
    call = partial(jtconv.conv_transpose, stride=stride, groups=groups)
    x, w = (
        jax.ShapeDtypeStruct(shape, "float32", sharding=sharding)
        for shape, sharding in ((x, split), (w, whole))
    )
    y, pull = jax.eval_shape(call, x, w), lambda x, w, c: jax.vjp(call, x, w)[1](c)
    c = jax.ShapeDtypeStruct(y.shape, "float32", sharding=split)
    for function, operands in ((call, (x, w)), (pull, (x, w, c))):
        program = compiled(function, *operands)
        first, *_ = jax.tree.leaves(program.output_shardings)
        assert first.is_equivalent_to(split, len(x.shape))
        assert not [name for name in GATHERING if f" {name}(" in program.as_text()]
