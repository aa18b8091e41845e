"""What JAX does to functions, done to a call of "pallas": the TPU kernel, interpreted.

Each is compared with the same done to a call of "scatter".  The kernels for GPUs are simulated by
callbacks, which JAX transforms in no such way; there they lower (see test_kernels).
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import pytest
from jax import lax

import jtconv
from jtconv.algorithms.pallas.interpret import interpreted
from tests.cases import one_axis
from tests.compare import assert_close

CASE = one_axis("", 3, 3, 2, crops=(1, 0), batch=1)


def loss_of(f):
    return lambda *operands: jnp.sum(jnp.sin(f(*operands)))


def scanned(f, x, w, bias):
    """The kernel learns, step by step."""

    def step(w, x):
        loss, slope = jax.value_and_grad(loss_of(f), 1)(x, w, bias)
        return w - 0.1 * slope, loss

    return lax.scan(step, w, jnp.stack([x, -x]))


def twice(f, *operands):
    """The gradient of a gradient's size."""
    first = jax.grad(loss_of(f), (0, 1, 2))
    size = lambda *operands: sum(jnp.sum(part**2) for part in first(*operands))  # noqa: E731
    return jax.grad(size, (0, 1, 2))(*operands)


def mapped(number):
    """vmap over one operand, and over it and the first."""

    def run(f, *operands):
        axes = tuple(0 if n == number else None for n in range(3))
        stacked = [jnp.stack([a, 2 * a]) if n == number else a for n, a in enumerate(operands)]
        return jax.vmap(f, axes)(*stacked)

    return run


TRANSFORMS = {
    "jit": lambda f, *operands: jax.jit(f)(*operands),
    "vmap over x": mapped(0),
    "vmap over w": mapped(1),
    "vmap over the bias": mapped(2),
    "vmap of a gradient": lambda f, x, *rest: jax.vmap(
        jax.grad(loss_of(f), (0, 1, 2)), (0, None, None)
    )(jnp.stack([x, -x]), *rest),
    "gradient": lambda f, *operands: jax.value_and_grad(loss_of(f), (0, 1, 2))(*operands),
    "gradient of a gradient": twice,
    "jvp": lambda f, *operands: jax.jvp(f, operands, tuple(0.5 * a for a in operands)),
    "linearize": lambda f, *operands: jax.linearize(f, *operands)[1](*operands),
    "scan": scanned,
    "remat": lambda f, *operands: jax.grad(jax.checkpoint(loss_of(f)), (0, 1, 2))(*operands),
}


QUICK = "vmap over x", "jvp"


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.exhaustive if name not in QUICK else ())
        for name in TRANSFORMS
    ],
)
def test_transformed(name, rng):
    x, w, _ = CASE.operands(rng)
    operands = jnp.asarray(x), jnp.asarray(w), jnp.asarray(rng.normal(size=CASE.features))

    def by(method):
        def call(x, w, bias):
            return jtconv.conv_transpose(x, w, bias, method=method, **CASE.keywords)

        return TRANSFORMS[name](call, *operands)

    with interpreted("tpu"):
        got = by("pallas")
    for ours, theirs in zip(jax.tree.leaves(got), jax.tree.leaves(by("scatter")), strict=True):
        assert_close(ours, theirs, slack=4)
