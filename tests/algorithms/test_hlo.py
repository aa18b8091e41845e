"""What each method promises is in the compiled program, and no slow form is."""

from __future__ import annotations

import functools
import re

import jax
import jax.numpy as jnp
import pytest

import jtconv
from tests.selection import rows

# name, x, w, stride, groups: the regimes whose plain form XLA:CPU runs in a scalar loop.
REGIMES = {
    "2-D": ((2, 8, 8, 32), (4, 4, 32, 32), 2, 1),
    "1-D": ((2, 64, 32), (4, 32, 32), 2, 1),
    "3-D": ((1, 4, 4, 4, 32), (4, 4, 4, 32, 32), 2, 1),
    "k = s": ((1, 4, 4, 4, 32), (2, 2, 2, 32, 32), 2, 1),
    "k3 s2": ((1, 8, 8, 32), (3, 3, 32, 32), 2, 1),
    "k7 s1": ((1, 12, 12, 32), (7, 7, 32, 32), 1, 1),
    "k9 s2": ((1, 8, 8, 32), (9, 9, 32, 32), 2, 1),
    "groups": ((2, 8, 8, 32), (4, 4, 8, 32), 2, 4),
    "depthwise": ((2, 8, 8, 32), (4, 4, 1, 32), 2, 32),
    "large kernel": ((1, 4, 4, 21), (64, 64, 21, 21), 32, 1),
    "large depthwise": ((1, 4, 4, 21), (64, 64, 1, 21), 32, 21),
}


@functools.cache
def compiled(regime, method, dtype=jnp.float32):
    """Optimised HLO of one training step, without the names that sources leave in it."""
    *shapes, stride, groups = REGIMES[regime]
    x, w = (jax.ShapeDtypeStruct(shape, dtype) for shape in shapes)

    def loss(x, w):
        y = jtconv.conv_transpose(x, w, stride=stride, groups=groups, method=method)
        return jnp.sum(jnp.sin(y))

    text = jax.jit(jax.value_and_grad(loss, (0, 1))).lower(x, w).compile().as_text() or ""
    return re.sub(r"metadata=\{[^}]*\}", "", text)


def convolutions(text):
    """Those that run where all numbers are finite: with four axes it is the form for infinities."""
    found = re.findall(r"= \S+ convolution\(.*", text)
    return [convolution for convolution in found if "0123" not in convolution]


def products(text):
    return re.findall(r"= \S+ dot\(", text)


@pytest.mark.parametrize(
    "regime", rows(list(REGIMES), default=["2-D", "1-D", "k3 s2", "groups", "depthwise"])
)
def test_auto_never_takes_a_slow_form(regime):
    """No zeros inserted, and no convolution with a cotangent for a kernel."""
    for convolution in convolutions(compiled(regime, "auto")):
        assert "lhs_dilate" not in convolution
        assert "rhs_dilate" not in convolution
        assert "rhs_reversal" not in convolution


@pytest.mark.parametrize(
    "regime", rows(["2-D", "3-D", "k = s", "k3 s2", "groups"], default=["2-D", "groups"])
)
def test_gemm_is_products_only(regime):
    text = compiled(regime, "gemm")
    assert len(products(text)) == 3
    assert not convolutions(text)


@pytest.mark.parametrize("regime", rows(["2-D", "3-D", "k = s"], default=["2-D"]))
def test_half_floats_are_multiplied_as_they_are(regime):
    """A product of bfloat16 operands summed in float32, not one of widened copies."""
    computations = compiled(regime, "auto", jnp.bfloat16).split("\n\n")
    products = [c for c in computations if " dot(" in c]
    assert len(products) == 3
    for product in products:
        assert re.search(r"= f32\S+ dot\(", product)
        assert product.count("= bf16") == 2


@pytest.mark.parametrize("regime", rows(["depthwise", "large depthwise"], default=["depthwise"]))
def test_taps_multiply_elementwise(regime):
    text = compiled(regime, "taps")
    assert not products(text)
    assert not convolutions(text)


def test_phases_apart_are_plain_convolutions():
    text = compiled("k3 s2", "phases")
    assert convolutions(text)
    assert "lhs_dilate" not in text


@pytest.mark.parametrize("regime", rows(["2-D", "3-D", "k7 s1", "k9 s2"], default=["2-D", "k7 s1"]))
def test_phases_together_are_products(regime):
    text = compiled(regime, "phases")
    assert len(products(text)) == 3
    assert not convolutions(text)


def test_dilated_inserts_zeros():
    assert "lhs_dilate=2x2" in compiled("2-D", "dilated")
    assert "rhs_dilate=2x2" in compiled("2-D", "dilated")


@pytest.mark.parametrize("regime", rows(["2-D", "k = s", "k3 s2"], default=["2-D", "k3 s2"]))
def test_the_fast_library_is_reached(regime):
    assert "__ynn_fusion" in compiled(regime, "auto") or products(compiled(regime, "auto"))


@pytest.mark.parametrize("regime", rows(list(REGIMES), default=["2-D", "groups"]))
def test_bias_and_activation_ride_in_the_pass_that_writes_y(regime):
    """Nothing else in the program makes an array of the output's shape.

    But what follows a branch, which is there where an infinity of the kernel might spread.
    """
    x, w, stride, groups = REGIMES[regime]

    def layer(x, w, bias):
        y = jtconv.conv_transpose(x, w, stride=stride, padding=1, groups=groups)
        return jax.nn.relu(y + bias)

    shapes = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in (x, w, w[-1:])]
    text = jax.jit(layer).lower(*shapes).compile().as_text() or ""
    size = ",".join(map(str, jax.eval_shape(layer, *shapes).shape))
    side = jtconv.explain(*shapes[:2], stride=stride, padding=1, groups=groups).sides[0]
    (branches,) = (bool(row.spreads) for row in side.rows if row.method == side.choice.method)
    assert text[text.index("ENTRY") :].count(f" = f32[{size}]") == 1 + branches
