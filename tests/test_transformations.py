"""Transformations: what JAX does to functions, done to every method, against the plain formula."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export, lax
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

import jtconv
from tests import oracle
from tests.axes import each, every_method
from tests.cases import BY_NAME
from tests.compare import assert_close

CASE = BY_NAME["grouped"]
MAPPED = 3

formula = partial(oracle.formula, case=CASE)


def operator(method):
    return partial(jtconv.conv_transpose, method=method, **CASE.keywords)


def loss_of(function):
    return lambda x, w: jnp.sum(jnp.sin(function(x, w)))


def stacked(rng, argnum=None):
    """``MAPPED`` operand pairs, or one of the two stacked and the other plain."""
    many = [CASE.operands(rng)[:2] for _ in range(MAPPED)]
    columns = list(zip(*many, strict=True))
    return tuple(
        np.stack(column) if argnum in (None, number) else column[0]
        for number, column in enumerate(columns)
    )


def assert_trees_close(got, want, slack=1.0):
    leaves = zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True)
    for ours, theirs in leaves:
        assert_close(ours, theirs, slack=slack)


@every_method
def test_jit_and_its_gradient(method, rng):
    x, w, _ = CASE.operands(rng)
    got = jax.jit(jax.value_and_grad(loss_of(operator(method)), (0, 1)))(x, w)
    assert_trees_close(got, jax.value_and_grad(loss_of(formula), (0, 1))(x, w), slack=4)


MAPS = {"x": (0, None), "w": (None, 0), "both": (0, 0)}


@pytest.mark.parametrize("mapped", MAPS)
@every_method
def test_vmap(method, mapped, rng):
    operands = stacked(rng, {"x": 0, "w": 1, "both": None}[mapped])
    got = jax.vmap(operator(method), MAPS[mapped])(*operands)
    assert_close(got, jax.vmap(formula, MAPS[mapped])(*operands))


@pytest.mark.parametrize("mapped", MAPS)
@every_method
def test_vmap_of_gradients(method, mapped, rng):
    """Every side of the form is batched here, on each pair of its operands."""
    operands = stacked(rng, {"x": 0, "w": 1, "both": None}[mapped])
    got = jax.vmap(jax.grad(loss_of(operator(method)), (0, 1)), MAPS[mapped])(*operands)
    want = jax.vmap(jax.grad(loss_of(formula), (0, 1)), MAPS[mapped])(*operands)
    assert_trees_close(got, want, slack=4)


@every_method
def test_gradient_of_vmap(method, rng):
    x, w = stacked(rng, 1)

    def loss(function, x, w):
        return jnp.sum(jnp.sin(jax.vmap(function, (None, 0))(x, w)))

    got = jax.grad(partial(loss, operator(method)), (0, 1))(x, w)
    assert_trees_close(got, jax.grad(partial(loss, formula), (0, 1))(x, w), slack=4)


@pytest.mark.parametrize("axes", [(1, 2), (-1, 0)])
@every_method
def test_vmap_of_axes_inside_and_twice(method, axes, rng):
    x, w = stacked(rng)
    x, w = np.moveaxis(x, 0, axes[0]), np.moveaxis(w, 0, axes[1])
    twice = np.stack([x, -0.5 * x])

    def both(function):
        return jax.vmap(jax.vmap(function, axes, 1), (0, None), -1)(twice, w)

    assert_close(both(operator(method)), both(formula))


@pytest.mark.parametrize("argnum", [0, 1])
@every_method
def test_linear_transpose(method, argnum, rng):
    x, w, y = CASE.operands(rng)
    call = operator(method)
    linear = (lambda x: call(x, w)) if argnum == 0 else (lambda w: call(x, w))
    (got,) = jax.linear_transpose(linear, (x, w)[argnum])(jnp.asarray(y))
    want = oracle.conv(y, w, CASE) if argnum == 0 else oracle.kernel_gradient(x, y, CASE)
    assert_close(got, want)


@every_method
def test_linearize(method, rng):
    x, w, _ = CASE.operands(rng)
    dx, dw, _ = CASE.operands(rng)
    got, tangent = jax.linearize(operator(method), x, w)
    want, expected = jax.jvp(formula, (x, w), (dx, dw))
    assert_close(got, want)
    assert_close(tangent(dx, dw), expected, slack=2)


@every_method
def test_checkpoint(method, rng):
    x, w, _ = CASE.operands(rng)
    got = jax.grad(jax.checkpoint(loss_of(operator(method))), (0, 1))(x, w)
    assert_trees_close(got, jax.grad(loss_of(formula), (0, 1))(x, w), slack=4)


@every_method
def test_scan(method, rng):
    xs, w = stacked(rng, 0)

    def total(function, xs, w):
        def step(carried, x):
            y = function(x, w * (1 + carried))
            return jnp.tanh(y.mean()), jnp.sin(y)

        carried, ys = lax.scan(step, 0.0, xs)
        return carried + jnp.sum(ys)

    got = jax.value_and_grad(partial(total, operator(method)), (0, 1))(xs, w)
    want = jax.value_and_grad(partial(total, formula), (0, 1))(xs, w)
    assert_trees_close(got, want, slack=32)


def wide_batch(rng):
    """Operands whose batch four devices can share."""
    xs, w = stacked(rng, 0)
    x = np.concatenate([*xs, xs[0] * 0.3])
    return x, w


@every_method
def test_shard_map_with_gradient(method, rng):
    """The batch split over devices, the kernel on all of them: its gradient needs their sum."""
    x, w = wide_batch(rng)
    mesh = jax.make_mesh((4,), ("data",), axis_types=(AxisType.Auto,))

    def split(x, w):
        local = jnp.sum(jnp.sin(operator(method)(x, w)))
        return lax.psum(local, "data")

    total = jax.shard_map(split, mesh=mesh, in_specs=(P("data"), P()), out_specs=P())
    got = jax.jit(jax.value_and_grad(total, (0, 1)))(x, w)
    assert_trees_close(got, jax.value_and_grad(loss_of_any(x), (0, 1))(x, w), slack=4)


@every_method
def test_shard_map_over_kernels(method, rng):
    """The features split over devices and the input on all of them, backwards too."""
    x, w, _ = BY_NAME["gan"].operands(rng)
    w = np.concatenate([w, 2 * w, w[..., :2]], axis=-1)
    call = partial(jtconv.conv_transpose, method=method, **BY_NAME["gan"].keywords)
    mesh = jax.make_mesh((4,), ("model",), axis_types=(AxisType.Auto,))
    specs = (P(), P(None, None, None, "model"))
    split = jax.shard_map(call, mesh=mesh, in_specs=specs, out_specs=P(None, None, None, "model"))
    plain = partial(oracle.formula, case=BY_NAME["gan"]._replace(features=8))
    got = jax.jit(jax.value_and_grad(loss_of(split), (0, 1)))(x, w)
    assert_trees_close(got, jax.value_and_grad(loss_of(plain), (0, 1))(x, w), slack=4)


@every_method
def test_shard_map_under_set_mesh(method, rng):
    x, w = wide_batch(rng)
    with jax.set_mesh(jax.make_mesh((4,), ("data",), axis_types=(AxisType.Auto,))):
        split = jax.shard_map(operator(method), in_specs=(P("data"), P()), out_specs=P("data"))
        got = jax.jit(jax.value_and_grad(loss_of(split), (0, 1)))(x, w)
    assert_trees_close(got, jax.value_and_grad(loss_of_any(x), (0, 1))(x, w), slack=4)


@every_method
def test_a_batch_sharded_by_its_type(method, rng):
    """Explicit sharding: the result is sharded as the input is, and so is the gradient."""
    x, w = wide_batch(rng)
    mesh = jax.make_mesh((4,), ("data",), axis_types=(AxisType.Explicit,))
    with jax.set_mesh(mesh):
        x = jax.device_put(x, NamedSharding(mesh, P("data")))
        w = jax.device_put(w, NamedSharding(mesh, P()))
        y = jax.jit(operator(method))(x, w)
        assert jax.typeof(y).sharding.spec[0] == "data"
        assert_close(y, formula(np.asarray(x), np.asarray(w)))


def loss_of_any(x):
    """The plain loss at the batch of ``x``."""
    return loss_of(partial(oracle.formula, case=CASE._replace(batch=len(x))))


@every_method
def test_export_with_a_symbolic_batch(method, rng):
    (batch,) = export.symbolic_shape("b")
    x = jax.ShapeDtypeStruct((batch, *CASE.x_shape[1:]), jnp.float64)
    w = jax.ShapeDtypeStruct(CASE.w_shape, jnp.float64)
    gradient = jax.value_and_grad(loss_of(operator(method)), (0, 1))
    stored = export.export(jax.jit(gradient))(x, w).serialize()
    call = export.deserialize(stored).call
    for count in (1, 5):
        case = CASE._replace(batch=count)
        operands = case.operands(rng)[:2]
        plain = loss_of(partial(oracle.formula, case=case))
        want = jax.value_and_grad(plain, (0, 1))(*operands)
        assert_trees_close(call(*operands), want, slack=4)


@each([BY_NAME[name] for name in ("k3_s2", "depthwise", "unet_3d")])
@every_method
def test_all_at_once(method, case, rng):
    """A jitted, checkpointed, per-example gradient inside a scan."""
    x, w, _ = case.operands(rng)
    xs = np.stack([x, 0.5 * x, -x])

    def step(function, w, x):
        one = jax.checkpoint(lambda w, x: jnp.sum(jnp.sin(function(x[None], w))))
        return w - 0.01 * jax.vmap(jax.grad(one), (None, 0))(w, x).mean(0), w.sum()

    def train(function):
        return jax.jit(lambda w, xs: lax.scan(partial(step, function), w, xs))(w, xs)

    call = partial(jtconv.conv_transpose, method=method, **case.keywords)
    plain = partial(oracle.formula, case=case._replace(batch=1))
    assert_trees_close(train(call), train(plain), slack=8)
