"""A bias goes through a primitive of its own: it must be what adding it afterwards is."""

from __future__ import annotations

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export
from jax.sharding import PartitionSpec as P

import jtconv
from tests.cases import BY_NAME
from tests.compare import assert_close
from tests.selection import rows

CASE = BY_NAME["grouped"]._replace(batch=4)
FORMS = {
    "conv_transpose": (CASE.keywords, CASE.features),
    "conv": (CASE.adjoint_keywords, CASE.channels),
}
each_form = pytest.mark.parametrize("form", rows(list(FORMS), default=["conv_transpose"]))


def within(form):
    keywords, _ = FORMS[form]
    return lambda x, w, bias: getattr(jtconv, form)(x, w, bias, **keywords)


def afterwards(form):
    keywords, _ = FORMS[form]
    return lambda x, w, bias: getattr(jtconv, form)(x, w, **keywords) + bias


def operands_of(form, rng, dtype=np.float64):
    x, w, y = CASE.operands(rng, np.dtype(dtype))
    bias = rng.normal(size=FORMS[form][1]).astype(dtype)
    return jnp.asarray(x if form == "conv_transpose" else y), jnp.asarray(w), jnp.asarray(bias)


def loss_of(f):
    return lambda *operands: jnp.sum(jnp.sin(f(*operands)))


def assert_all_close(got, want):
    for ours, theirs in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        assert_close(ours, theirs, slack=4)


@each_form
def test_value_gradients_and_their_gradients(form, rng):
    operands = operands_of(form, rng)

    def all_of(f):
        gradient = jax.grad(loss_of(f), (0, 1, 2))
        along = tuple(0.5 * a for a in operands)
        return f(*operands), gradient(*operands), jax.jvp(gradient, operands, along)[1]

    assert_all_close(all_of(within(form)), all_of(afterwards(form)))


@pytest.mark.parametrize("only", range(3))
def test_tangents_of_one_operand(only, rng):
    """The others' terms are not even computed."""
    form = "conv_transpose"
    operands = list(operands_of(form, rng))

    def tangent(f):
        def moved(a):
            return f(*operands[:only], a, *operands[only + 1 :])

        return jax.jvp(moved, (operands[only],), (2 * operands[only],))[1]

    assert_all_close(tangent(within(form)), tangent(afterwards(form)))


@each_form
@pytest.mark.parametrize("axes", [(0, None, None), (1, 0, None), (None, 0, None), (None, None, 0)])
def test_mapped(form, axes, rng):
    stacked = [
        a if axis is None else jnp.stack([a, 2 * a, -a], axis)
        for a, axis in zip(operands_of(form, rng), axes, strict=True)
    ]
    got = jax.vmap(within(form), axes)(*stacked)
    assert_all_close(got, jax.vmap(afterwards(form), axes)(*stacked))


# The operands that the result is linear in: those of one product, and the bias.
LINEAR = {"x": (0,), "w": (1,), "bias": (2,), "x_bias": (0, 2), "w_bias": (1, 2)}


@pytest.mark.parametrize("dtype", rows(["float64", "complex128"], default=["float64"]))
@pytest.mark.parametrize("linear", rows(list(LINEAR), default=["x_bias", "w"]))
@each_form
def test_transposed(form, linear, dtype, rng):
    """By itself, mapped and in a scan that adds up the cotangents of what every step reads."""
    operands = operands_of(form, rng, dtype)
    moved = [operands[i] for i in LINEAR[linear]]

    def of(f):
        def call(*moved):
            every = dict(enumerate(operands)) | dict(zip(LINEAR[linear], moved, strict=True))
            return f(*every.values())

        def repeated(*moved):
            return jax.lax.scan(lambda _, scale: (None, scale * call(*moved)), None, scales)[1]

        def mapped(*moved):
            return jax.vmap(lambda *args: call(*args))(*(jnp.stack([a, 2 * a]) for a in moved))

        scales = jnp.arange(1.0, 4.0)
        for g in (call, repeated, mapped):
            y = jax.eval_shape(g, *moved)
            weights = jnp.cos(jnp.arange(y.size)).reshape(y.shape).astype(y.dtype)
            yield jax.linear_transpose(g, *moved)(weights)

    got, want = jax.jit(lambda: [list(of(f(form))) for f in (within, afterwards)])()
    assert_all_close(got, want)


def test_transposed_line_of_the_report():
    x, w, b = jnp.ones((1, 3, 1)), jnp.ones((2, 1, 1)), jnp.ones(1)
    pull = jax.linear_transpose(lambda x, b: jtconv.conv_transpose(x, w, b), x, b)
    dx, db = pull(jnp.ones((1, 4, 1)))
    np.testing.assert_array_equal(dx[0, :, 0], [2, 2, 2])
    np.testing.assert_array_equal(db, [4])


@pytest.mark.parametrize("function", [jtconv.conv_transpose, jtconv.conv])
def test_no_transpose_in_input_and_kernel_at_once(function):
    operands = jnp.ones((1, 3, 1)), jnp.ones((2, 1, 1)), jnp.ones(1)
    for given in (operands, operands[:2]):
        y = function(*given)
        with pytest.raises(TypeError, match="linear in its input or in its kernel"):
            jax.linear_transpose(function, *given)(y)


def test_mapped_over_nothing():
    x, w, bias = jnp.ones((0, 1, 3, 2)), jnp.ones((2, 2, 3)), jnp.ones(3)
    assert jax.vmap(jtconv.conv_transpose, (0, None, None))(x, w, bias).shape == (0, 1, 4, 3)


def test_split_over_devices(rng):
    """Kernel and bias are on all devices: their gradients need the sum over them."""
    form = "conv_transpose"
    operands = operands_of(form, rng)
    mesh = jax.make_mesh((4,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    split = jax.shard_map(
        within(form), mesh=mesh, in_specs=(P("data"), P(), P()), out_specs=P("data")
    )
    got = jax.jit(jax.grad(loss_of(split), (0, 1, 2)))(*operands)
    assert_all_close(got, jax.grad(loss_of(afterwards(form)), (0, 1, 2))(*operands))


def test_exported_with_a_symbolic_batch(rng):
    form = "conv"
    x, w, bias = operands_of(form, rng)
    (batch,) = export.symbolic_shape("b")
    shape = jax.ShapeDtypeStruct((batch, *x.shape[1:]), x.dtype)
    call = export.export(jax.jit(within(form)))(shape, w, bias).call
    assert_all_close(call(x, w, bias), afterwards(form)(x, w, bias))


def test_the_gradient_of_a_half_bias_is_summed_wide():
    """Told by the program: on a CPU XLA would sum halves wide by itself."""
    x, w = jnp.ones((1, 8, 1), jnp.bfloat16), jnp.ones((1, 1, 1), jnp.bfloat16)
    loss = lambda bias: jtconv.conv_transpose(x, w, bias)[0, 3, 0]  # noqa: E731
    program = str(jax.make_jaxpr(jax.grad(loss))(jnp.zeros(1, jnp.bfloat16)))
    assert set(re.findall(r":(\w+)\[[\d,]*\] = reduce_sum", program)) == {"f32"}
