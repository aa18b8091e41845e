"""Layouts: the same numbers, however the axes lie; torch's kernel and one example included."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import jtconv
from tests.cases import BY_NAME
from tests.compare import assert_close

GROUPED = BY_NAME["grouped"]
PLAIN = BY_NAME["lopsided"]
ORDERS = [
    ("NCHW", "HWIO", "NCHW"),
    ("NCHW", "OIHW", "NHWC"),
    ("HWCN", "IHOW", "CNWH"),
    ("CHWN", "OHWI", "HWNC"),
    # lax lets the spatial letters differ in order between input and kernel.
    ("NWHC", "HWIO", "NCWH"),
]


def laid(a, order, names="NHWC"):
    return np.transpose(a, [names.index(letter) for letter in order])


@pytest.mark.parametrize("order", ORDERS, ids=" ".join)
@pytest.mark.parametrize("case", [GROUPED, PLAIN], ids=lambda case: case.name)
def test_any_order(case, order, rng):
    x, w, _ = case.operands(rng)
    want = laid(jtconv.conv_transpose(x, w, **case.keywords), order[2])
    operands = laid(x, order[0]), laid(w, order[1], "HWIO")
    got = jtconv.conv_transpose(*operands, dimension_numbers=order, **case.keywords)
    assert_close(got, want)


@pytest.mark.parametrize("order", ORDERS, ids=" ".join)
def test_any_order_of_conv_as_lax_has_it(order, rng):
    x, w = rng.normal(size=(2, 7, 9, 4)), rng.normal(size=(3, 2, 2, 6))
    operands = laid(x, order[0]), laid(w, order[1], "HWIO")
    got = jtconv.conv(*operands, stride=(2, 3), groups=2, padding=1, dimension_numbers=order)
    want = lax.conv_general_dilated(
        operands[0], operands[1], (2, 3), [(1, 1)] * 2,
        dimension_numbers=order, feature_group_count=2,
    )  # fmt: skip
    assert_close(got, want)


def test_numbers_as_lax_hands_them_out(rng):
    """``lax.conv_dimension_numbers`` lists positions where a user writes letters."""
    x, w, _ = PLAIN.operands(rng)
    words = ("NCHW", "OIHW", "NHWC")
    x, w = laid(x, words[0]), laid(w, words[1], "HWIO")
    numbers = lax.conv_dimension_numbers(x.shape, w.shape, words)
    got = jtconv.conv_transpose(x, w, dimension_numbers=numbers, **PLAIN.keywords)
    want = jtconv.conv_transpose(x, w, dimension_numbers=words, **PLAIN.keywords)
    np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("rank", [1, 2, 3, 4])
def test_the_default_is_channels_last(rank, rng):
    words = {1: "NWC WIO", 2: "NHWC HWIO", 3: "NDHWC DHWIO", 4: "NTDHWC TDHWIO"}[rank].split()
    x, w = (
        rng.normal(size=(2, *(3, 2, 1, 2)[:rank], 2)),
        rng.normal(size=(*(2, 1, 3, 2)[:rank], 2, 3)),
    )
    got = jtconv.conv_transpose(x, w, stride=2)
    want = jtconv.conv_transpose(x, w, stride=2, dimension_numbers=(words[0], words[1], words[0]))
    np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("function", ["conv_transpose", "conv"])
@pytest.mark.parametrize("order", [None, ("NCHW", "HWIO", "CHWN")])
def test_one_example_without_batch(function, order, rng):
    x, w = rng.normal(size=(1, 5, 6, 4)), rng.normal(size=(3, 2, 4, 3))
    out = order[2] if order else "NHWC"
    x = laid(x, order[0]) if order else x
    call = getattr(jtconv, function)
    with_batch = call(x, w, stride=2, dimension_numbers=order)
    assert_close(
        call(x[0], w, stride=2, dimension_numbers=order), jnp.squeeze(with_batch, out.index("N"))
    )


def test_one_example_is_differentiable(rng):
    x, w, _ = GROUPED.operands(rng)

    def loss(x, w):
        return jnp.sum(jnp.sin(jtconv.conv_transpose(x, w, **GROUPED.keywords)))

    for ours, theirs in zip(
        jax.grad(loss, (0, 1))(x[0], w), jax.grad(loss, (0, 1))(x[:1], w), strict=True
    ):
        assert_close(ours, np.reshape(theirs, ours.shape))


def test_the_adjoint_reads_the_same_array_in_groups(rng):
    """A kernel of ``conv`` named HWIO, (k, C/g, O), serves its adjoint named HWOI."""
    _, w, y = GROUPED.operands(rng)
    small = jtconv.conv(y, w, **GROUPED.adjoint_keywords)
    assert small.shape == GROUPED.x_shape
    _, pull = jax.vjp(lambda y: jtconv.conv(y, w, **GROUPED.adjoint_keywords), y)
    assert_close(jtconv.conv_transpose(small, w, **GROUPED.keywords), pull(jnp.asarray(small))[0])


def test_a_kernel_laid_as_torch_lays_it(rng):
    """(C_in, C_out // groups, *k): torch's own array is the adjoint's array, read as OIHW."""
    x, w, _ = GROUPED.operands(rng)
    groups, depth = GROUPED.groups, GROUPED.channels // GROUPED.groups
    torch_like = np.concatenate(
        [laid(part, "IOHW", "HWIO") for part in np.split(w, groups, axis=-1)]
    )
    assert torch_like.shape == (groups * depth, GROUPED.features // groups, *GROUPED.kernel)
    words = ("NCHW", "IOHW", "NCHW")
    back = ("NCHW", "OIHW", "NCHW")
    want = laid(jtconv.conv_transpose(x, w, **GROUPED.keywords), "NCHW")
    # As a convolution's kernel (O = C_in of the transpose) it is what torch's conv2d takes.
    y = rng.normal(size=want.shape)
    through = jtconv.conv(y, torch_like, dimension_numbers=back, **GROUPED.keywords)
    assert_close(np.sum(through * laid(x, "NCHW")), np.sum(want * y), np.float64, slack=8)
    if groups == 1:
        assert_close(
            jtconv.conv_transpose(laid(x, "NCHW"), torch_like, dimension_numbers=words), want
        )
