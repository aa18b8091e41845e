"""Values: every method, every case, every side and every dtype against the loop."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jtconv
from tests import oracle
from tests.axes import NAMES, NO_INTEGERS, each, every_name, methods, methods_and_cases
from tests.cases import BY_NAME, CASES, REPRESENTATIVE
from tests.compare import assert_close
from tests.selection import rows

DTYPES = ("float16", "bfloat16", "float32", "float64", "complex64", "complex128")
FEW = [BY_NAME[name] for name in ("dilated_coprime", "grouped")]
# For what happens before and after a method.
some_names = methods(["auto", "gemm", "vjp"], NAMES)
every_name_and_case = methods_and_cases(NAMES, by_all=REPRESENTATIVE[:2], by_auto=CASES)
# The other two sides meet the same geometries.
every_name_and_few_cases = methods_and_cases(
    NAMES, by_all=REPRESENTATIVE[1:2], by_auto=REPRESENTATIVE
)


@every_name_and_case
def test_conv_transpose(method, case, rng):
    x, w, _ = case.operands(rng)
    got = jtconv.conv_transpose(x, w, method=method, **case.keywords)
    assert_close(got, oracle.conv_transpose(x, w, case))


@every_name_and_few_cases
def test_conv(method, case, rng):
    _, w, y = case.operands(rng)
    got = jtconv.conv(y, w, method=method, **case.adjoint_keywords)
    assert_close(got, oracle.conv(y, w, case))


@pytest.mark.parametrize("left_over", [1, 2])
@some_names
def test_conv_passes_over_cells_too_few_for_a_step(method, left_over, rng):
    """Zeros added behind, fewer than a stride, change nothing: no window reaches them."""
    case = BY_NAME["dilated_coprime"]
    _, w, y = case.operands(rng)
    (lo, hi), *_ = case.crops
    keywords = {**case.adjoint_keywords, "padding": [(lo, hi + left_over)]}
    assert_close(jtconv.conv(y, w, method=method, **keywords), oracle.conv(y, w, case))


@every_name_and_few_cases
def test_kernel_gradient(method, case, rng):
    x, w, y = case.operands(rng)
    _, pull = jax.vjp(lambda w: jtconv.conv_transpose(x, w, method=method, **case.keywords), w)
    assert_close(pull(jnp.asarray(y))[0], oracle.kernel_gradient(x, y, case))


@pytest.mark.parametrize("dtype", rows(DTYPES, default=["bfloat16"]))
@each(FEW[1:])
@every_name
def test_dtype(method, case, dtype, rng):
    x, w, y = case.operands(rng, jnp.dtype(dtype))
    got, pull = jax.vjp(
        lambda x, w: jtconv.conv_transpose(x, w, method=method, **case.keywords), x, w
    )
    dx, dw = pull(jnp.asarray(y))
    assert got.dtype == dx.dtype == dw.dtype == jnp.dtype(dtype)
    assert_close(got, oracle.conv_transpose(x, w, case))
    assert_close(dx, oracle.conv(y, w, case))
    assert_close(dw, oracle.kernel_gradient(x, y, case))


@each(FEW)
@every_name
def test_small_integers_are_summed_in_int32(method, case, rng):
    if method in NO_INTEGERS:
        pytest.skip(f"{method} takes no integers: see test_refusals")
    x, w, _ = case.operands(rng, np.int8)
    got = jtconv.conv_transpose(x, w, method=method, **case.keywords)
    assert got.dtype == jnp.int32
    assert np.abs(got).max() > 127
    np.testing.assert_array_equal(got, oracle.conv_transpose(x, w, case))


@every_name
def test_half_precision_sums_in_float32(method):
    """A thousand small products on top of a large one: summed in bfloat16 they would be lost."""
    terms = 1025
    x = jnp.full((1, 1, terms), 2.0**-4, jnp.bfloat16).at[0, 0, 0].set(64.0)
    w = jnp.ones((1, terms, 2), jnp.bfloat16)
    got = jtconv.conv_transpose(x, w, method=method)
    assert_close(got, np.full((1, 1, 2), 128.0))


@pytest.mark.parametrize("asked", ["float32", "float64", "bfloat16"])
@some_names
def test_preferred_element_type_is_the_dtype_of_the_result(method, asked, rng):
    case = BY_NAME["grouped"]
    x, w, _ = case.operands(rng, jnp.bfloat16)
    got = jtconv.conv_transpose(x, w, method=method, preferred_element_type=asked, **case.keywords)
    assert got.dtype == jnp.dtype(asked)
    assert_close(got, oracle.conv_transpose(x, w, case), asked)


@pytest.mark.parametrize(
    ("operand", "asked", "factor", "expected"),
    [
        ("int32", "int64", 2**20, 2**40),
        ("int16", "int64", 2**14, 2**28 * 64),
        ("float32", "float64", 1, 1),
    ],
)
@every_name
def test_a_wider_result_is_summed_wide(method, operand, asked, factor, expected):
    if method in NO_INTEGERS and operand.startswith("int"):
        pytest.skip(f"{method} takes no integers: see test_refusals")
    terms = 64 if operand == "int16" else 1
    x, w = jnp.full((1, 1, terms), factor, operand), jnp.full((1, terms, 1), factor, operand)
    got = jtconv.conv_transpose(x, w, method=method, preferred_element_type=asked)
    assert got.dtype == jnp.dtype(asked)
    assert got.item() == expected


@every_name
def test_a_wider_float_keeps_what_float32_would_lose(method):
    x, w = jnp.array([[[1.0, 2.0**-30]]], jnp.float32), jnp.ones((1, 2, 1), jnp.float32)
    got = jtconv.conv_transpose(x, w, method=method, preferred_element_type="float64")
    assert got.item() == 1 + 2.0**-30


@some_names
def test_bias_is_added_to_each_feature(method, rng):
    case = BY_NAME["lopsided"]
    x, w, y = case.operands(rng)
    up, down = rng.normal(size=case.features), rng.normal(size=case.channels)
    got = jtconv.conv_transpose(x, w, up, method=method, **case.keywords)
    assert_close(got, oracle.conv_transpose(x, w, case) + up)
    got = jtconv.conv(y, w, down, method=method, **case.adjoint_keywords)
    assert_close(got, oracle.conv(y, w, case) + down)


@pytest.mark.parametrize("function", ["conv_transpose", "conv"])
@some_names
def test_flip_kernel_turns_every_spatial_axis(method, function, rng):
    case = BY_NAME["lopsided"]
    x, w, y = case.operands(rng)
    forward = function == "conv_transpose"
    operand, keywords = (x, case.keywords) if forward else (y, case.adjoint_keywords)
    call = getattr(jtconv, function)
    got = call(operand, w, flip_kernel=True, method=method, **keywords)
    assert_close(got, getattr(oracle, function)(operand, w[::-1, ::-1], case))


@each(CASES, default=[case.name for case in REPRESENTATIVE])
def test_the_formula_agrees_with_the_loop(case, rng):
    """The two oracles are written apart; what derivatives are compared with must hold too."""
    x, w, _ = case.operands(rng)
    if case.batch:  # JAX's einsum cannot reshape nothing into groups
        assert_close(oracle.formula(x, w, case), oracle.conv_transpose(x, w, case))
