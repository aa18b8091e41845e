"""Derivatives: first to third order, forwards and backwards, against the plain formula's.

The formula is an einsum, so its derivatives are JAX's own and need no rule of ours.  XLA's
convolution is no reference here: some of its own gradients abort the process on CPU.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

import jtconv
from jtconv.typing import MethodName
from tests import oracle
from tests.axes import METHODS, auto_by_default, each, methods_and_cases
from tests.cases import BY_NAME, REPRESENTATIVE, Case
from tests.compare import assert_close

# Small enough for a full Hessian, and still strided, cropped and grouped.
SMALL = [BY_NAME[name] for name in ("k3_s2", "multiplier")]


def operator(method: MethodName, case: Case) -> Callable:
    return partial(jtconv.conv_transpose, method=method, **case.keywords)


def loss_of(function: Callable) -> Callable:
    """A loss whose derivatives of every order depend on both operands."""
    return lambda x, w: jnp.sum(jnp.sin(function(x, w)) * 0.5) + jnp.sum(x) * jnp.sum(w)


def directional(function: Callable, direction: tuple) -> Callable:
    return lambda *at: jax.jvp(function, at, direction)[1]


@cache
def operands(case: Case) -> list[tuple]:
    """A point ``(x, w)`` and two directions, the same for every method."""
    rng = np.random.default_rng(5)
    return [case.operands(rng)[:2] for _ in range(3)]


def forward_mode(function: Callable, case: Case) -> Callable:
    return lambda x, w: jax.jvp(function, (x, w), operands(case)[1])


def jacfwd(function: Callable, case: Case) -> Callable:
    return jax.jacfwd(function, (0, 1))


def jacrev(function: Callable, case: Case) -> Callable:
    return jax.jacrev(function, (0, 1))


def hessian(function: Callable, case: Case) -> Callable:
    return jax.hessian(loss_of(function), (0, 1))


def gradient_of_a_gradient(function: Callable, case: Case) -> Callable:
    """The step of a training loop, derived by what it trains on."""
    step = jax.grad(loss_of(function), 1)
    return jax.grad(lambda x, w: jnp.sum(jnp.cos(step(x, w))), (0, 1))


def third_order(function: Callable, case: Case) -> Callable:
    """Backwards, forwards, forwards: along directions of both operands."""
    _, one, two = operands(case)
    return directional(directional(jax.grad(loss_of(function), (0, 1)), one), two)


@cache
def expected(law: Callable, case: Case) -> Any:
    return jax.jit(law(partial(oracle.formula, case=case), case))(*operands(case)[0])


def assert_law(law: Callable, method: MethodName, case: Case, slack: float) -> None:
    got = jax.jit(law(operator(method, case), case))(*operands(case)[0])
    want = expected(law, case)
    for ours, theirs in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        assert_close(ours, theirs, slack=slack)


@methods_and_cases(METHODS, by_all=[BY_NAME["grouped"]], by_auto=REPRESENTATIVE[:1])
def test_first_order(method, case, rng):
    """The chain rule through one call, its factors from the loops."""
    x, w, _ = case.operands(rng)
    y, pull = jax.vjp(operator(method, case), x, w)
    dy = np.cos(y) * 0.5
    dx, dw = pull(jnp.asarray(dy))
    assert_close(dx, oracle.conv(dy, w, case))
    assert_close(dw, oracle.kernel_gradient(x, dy, case))


@each(REPRESENTATIVE, default=["grouped"])
@auto_by_default
def test_forward_mode(method, case):
    assert_law(forward_mode, method, case, slack=2)


@pytest.mark.parametrize("law", [jacfwd, jacrev])
@each(SMALL)
@auto_by_default
def test_jacobians(method, case, law):
    assert_law(law, method, case, slack=1)


@each(SMALL)
@auto_by_default
def test_hessian(method, case):
    assert_law(hessian, method, case, slack=8)


@each([*SMALL, BY_NAME["lopsided"]])
@auto_by_default
def test_gradient_of_a_gradient(method, case):
    assert_law(gradient_of_a_gradient, method, case, slack=32)


@each(SMALL)
@auto_by_default
def test_third_order(method, case):
    assert_law(third_order, method, case, slack=64)


@auto_by_default
def test_against_differences(method, rng):
    """No shared calculus at all: small steps, both modes, to second order."""
    case = BY_NAME["k3_s2"]
    x, w, _ = case.operands(rng)
    loss = jax.jit(loss_of(operator(method, case)))
    check_grads(loss, (x, w), order=2, modes=["fwd", "rev"])


@auto_by_default
def test_complex(method, rng):
    """A holomorphic function: the derivative is complex linear, with no conjugate anywhere."""
    case = BY_NAME["dilated_coprime"]
    x, w, y = case.operands(rng, np.complex128)
    _, pull = jax.vjp(operator(method, case), x, w)
    dx, dw = pull(jnp.asarray(y))
    assert_close(dx, oracle.conv(y, w, case))
    assert_close(dw, oracle.kernel_gradient(x, y, case))


@auto_by_default
def test_half_precision_with_a_wider_result(method, rng):
    """Cotangents come in the dtype of the result, gradients leave in that of the operand."""
    case = BY_NAME["lopsided"]
    x, w, y = case.operands(rng, jnp.bfloat16)
    call = partial(operator(method, case), preferred_element_type="float32")
    got, pull = jax.vjp(call, x, w)
    dx, dw = pull(jnp.asarray(y, got.dtype))
    assert got.dtype == jnp.float32 and dx.dtype == dw.dtype == jnp.bfloat16
    assert_close(dx, oracle.conv(y, w, case))
    assert_close(dw, oracle.kernel_gradient(x, y, case))
