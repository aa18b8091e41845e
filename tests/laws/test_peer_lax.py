"""jax.lax: ``conv_transpose`` under each way to write its padding, with either kernel."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import pytest
from jax import lax

import jtconv
from jtconv.conventions import lax as convention
from tests.axes import methods
from tests.compare import assert_close

# kernel, stride, dilation of two axes that differ
PROBLEMS = [
    ((3, 4), (2, 2), (1, 1)),
    ((2, 5), (3, 1), (1, 2)),
    ((1, 3), (2, 3), (2, 1)),
]


def operands(kernel, rng):
    return rng.normal(size=(2, 4, 3, 2)), rng.normal(size=(*kernel, 2, 3))


@pytest.mark.parametrize("name", ["SAME", "VALID"])
@pytest.mark.parametrize(("kernel", "stride", "dilation"), PROBLEMS)
@pytest.mark.parametrize("flipped", [False, True])
def test_names(kernel, stride, dilation, name, flipped, rng):
    """lax convolves with the kernel as it stands, which is the flipped kernel of the adjoint."""
    x, w = operands(kernel, rng)
    theirs = w if flipped else jnp.flip(w, (0, 1))
    want = lax.conv_transpose(x, theirs, stride, name, rhs_dilation=dilation)
    got = jtconv.conv_transpose(
        x, w, stride=stride, dilation=dilation, padding=name, flip_kernel=flipped
    )
    assert_close(got, want)


@pytest.mark.parametrize("pads", [((0, 0), (0, 0)), ((2, 1), (0, 3)), ((4, 2), (1, 1))])
@pytest.mark.parametrize(("kernel", "stride", "dilation"), PROBLEMS)
def test_integer_pads_pad_the_dilated_input(kernel, stride, dilation, pads, rng):
    x, w = operands(kernel, rng)
    crops = convention.crops(kernel, stride, pads, dilation)
    want = lax.conv_transpose(x, w, stride, pads, rhs_dilation=dilation)
    if 0 in want.shape:
        pytest.skip("lax answers with an empty array, which is an error here")
    got = jtconv.conv_transpose(
        x, w, stride=stride, dilation=dilation, padding=crops, flip_kernel=True
    )
    assert_close(got, want)


@pytest.mark.parametrize("name", ["SAME", "VALID"])
@pytest.mark.parametrize(("kernel", "stride", "dilation"), PROBLEMS)
@methods(["gemm", "auto"])
def test_transpose_kernel(method, kernel, stride, dilation, name, rng):
    """With ``transpose_kernel`` lax turns the kernel itself and swaps its channels: our "HWOI"."""
    x, w = rng.normal(size=(2, 4, 3, 2)), rng.normal(size=(*kernel, 3, 2))
    want = lax.conv_transpose(x, w, stride, name, rhs_dilation=dilation, transpose_kernel=True)
    got = jtconv.conv_transpose(
        x, w, stride=stride, dilation=dilation, padding=name, method=method,
        dimension_numbers=("NHWC", "HWOI", "NHWC"),
    )  # fmt: skip
    assert_close(got, want)


@pytest.mark.parametrize("name", ["SAME", "SAME_LOWER", "VALID"])
@pytest.mark.parametrize(("kernel", "stride", "dilation"), PROBLEMS)
def test_names_of_the_plain_convolution(kernel, stride, dilation, name, rng):
    x, w = rng.normal(size=(2, 11, 12, 2)), rng.normal(size=(*kernel, 2, 3))
    want = lax.conv_general_dilated(
        x, w, stride, name, rhs_dilation=dilation, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    assert_close(jtconv.conv(x, w, stride=stride, dilation=dilation, padding=name), want)


def test_gradients_in_the_place_of_lax(rng):
    """The call that stood in somebody's training loop, swapped for ours."""
    x, w = rng.normal(size=(2, 4, 3, 2)), rng.normal(size=(4, 4, 2, 3))

    def loss(call):
        return jax.grad(lambda x, w: jnp.sum(jnp.sin(call(x, w))), (0, 1))(x, w)

    ours = loss(
        lambda x, w: jtconv.conv_transpose(x, w, stride=2, padding="SAME", flip_kernel=True)
    )
    for mine, theirs in zip(
        ours, loss(lambda x, w: lax.conv_transpose(x, w, (2, 2), "SAME")), strict=True
    ):
        assert_close(mine, theirs, slack=4)
