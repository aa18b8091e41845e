"""Derivatives: first to third order, forwards and backwards, against the plain formula's.

The formula is an einsum, so its derivatives are JAX's own and need no rule of ours.  XLA's
convolution is no reference here: some of its own gradients abort the process on CPU.
"""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

import jtconv
from tests import oracle
from tests.axes import each, every_method, every_method_and_case
from tests.cases import BY_NAME, TELLING
from tests.compare import assert_close

# Small enough for a full Hessian, and still strided, cropped and grouped.
SMALL = [BY_NAME[name] for name in ("k3_s2", "multiplier")]


def operator(method, case):
    return partial(jtconv.conv_transpose, method=method, **case.keywords)


def formula(case):
    return partial(oracle.formula, case=case)


def loss_of(function):
    """A loss whose derivatives of every order depend on both operands."""
    return lambda x, w: jnp.sum(jnp.sin(function(x, w)) * 0.5) + jnp.sum(x) * jnp.sum(w)


@every_method_and_case
def test_first_order(method, case, rng):
    x, w, _ = case.operands(rng)
    got = jax.grad(loss_of(operator(method, case)), (0, 1))(x, w)
    want = jax.grad(loss_of(formula(case)), (0, 1))(x, w)
    for ours, theirs in zip(got, want, strict=True):
        assert_close(ours, theirs, slack=4)


@each(TELLING)
@every_method
def test_forward_mode(method, case, rng):
    x, w, _ = case.operands(rng)
    dx, dw, _ = case.operands(rng)
    got = jax.jvp(operator(method, case), (x, w), (dx, dw))
    want = jax.jvp(formula(case), (x, w), (dx, dw))
    for ours, theirs in zip(got, want, strict=True):
        assert_close(ours, theirs, slack=2)


@pytest.mark.parametrize("mode", [jax.jacfwd, jax.jacrev])
@each(SMALL)
@every_method
def test_jacobians(method, case, mode, rng):
    x, w, _ = case.operands(rng)
    got = mode(operator(method, case), (0, 1))(x, w)
    want = mode(formula(case), (0, 1))(x, w)
    for ours, theirs in zip(got, want, strict=True):
        assert_close(ours, theirs)


@pytest.mark.parametrize("argnum", [0, 1])
@each(SMALL)
@every_method
def test_hessian(method, case, argnum, rng):
    x, w, _ = case.operands(rng)
    got = jax.hessian(loss_of(operator(method, case)), argnum)(x, w)
    want = jax.hessian(loss_of(formula(case)), argnum)(x, w)
    assert_close(got, want, slack=8)


@each(TELLING)
@every_method
def test_gradient_of_a_gradient(method, case, rng):
    """The mixed second derivative: the step of a training loop derived by what it trains on."""
    x, w, _ = case.operands(rng)

    def step(function):
        inside = jax.grad(loss_of(function), 1)
        return jax.grad(lambda x: jnp.sum(jnp.cos(inside(x, w))))(x)

    assert_close(step(operator(method, case)), step(formula(case)), slack=32)


@each(SMALL)
@every_method
def test_third_order(method, case, rng):
    """Backwards, forwards, forwards: each order along random directions of both operands."""
    x, w, _ = case.operands(rng)
    along = [case.operands(rng)[:2] for _ in range(2)]

    def third(function):
        derived = jax.grad(loss_of(function), (0, 1))
        for direction in along:
            derived = partial(_directional, derived, direction)
        return derived(x, w)

    for ours, theirs in zip(third(operator(method, case)), third(formula(case)), strict=True):
        assert_close(ours, theirs, slack=64)


def _directional(function, direction, *at):
    return jax.jvp(function, at, direction)[1]


@every_method
def test_against_differences(method, rng):
    """No shared calculus at all: small steps, both modes, to second order."""
    case = BY_NAME["k3_s2"]
    x, w, _ = case.operands(rng)
    check_grads(loss_of(operator(method, case)), (x, w), order=2, modes=["fwd", "rev"])


@each([BY_NAME["dilated_coprime"]])
@every_method
def test_complex(method, case, rng):
    """A holomorphic function: the derivative is complex linear, with no conjugate anywhere."""
    x, w, y = case.operands(rng, np.complex128)
    _, pull = jax.vjp(operator(method, case), x, w)
    dx, dw = pull(jnp.asarray(y))
    assert_close(dx, oracle.conv(y, w, case))
    assert_close(dw, oracle.kernel_gradient(x, y, case))


@pytest.mark.parametrize("wide", ["float32", "bfloat16"])
@every_method
def test_half_precision_with_a_wider_result(method, wide, rng):
    """Cotangents come in the dtype of the result, gradients leave in that of the operand."""
    case = BY_NAME["lopsided"]
    x, w, y = case.operands(rng, jnp.bfloat16)
    call = partial(operator(method, case), preferred_element_type=wide)
    got, pull = jax.vjp(call, x, w)
    dx, dw = pull(jnp.asarray(y, got.dtype))
    assert got.dtype == jnp.dtype(wide) and dx.dtype == dw.dtype == jnp.bfloat16
    assert_close(dx, oracle.conv(y, w, case))
    assert_close(dw, oracle.kernel_gradient(x, y, case))
