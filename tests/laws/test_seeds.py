"""The founding documents, row by row: one test for each worked example, named after its id."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import signal

import jtconv
from tests import oracle
from tests.axes import every_method, methods
from tests.cases import Case
from tests.compare import assert_close

NCHW = ("NCHW", "OIHW", "NCHW")  # a convolution as torch lays it out
ADJOINT = ("NCHW", "IOHW", "NCHW")
DOUBLE = np.array([[0.0, 1.0], [2.0, 3.0]])


def picture(values, kernel, **keywords):
    """``conv_transpose`` of one plain matrix by another."""
    x, w = np.asarray(values, float), np.asarray(kernel, float)
    return jtconv.conv_transpose(x[..., None], w[..., None, None], **keywords)[..., 0]


def convolved(values, kernel, **keywords):
    """``conv`` of one plain matrix by another."""
    x, w = np.asarray(values, float), np.asarray(kernel, float)
    return jtconv.conv(x[..., None], w[..., None, None], **keywords)[..., 0]


def enlarged(x, stride):
    """``stride - 1`` zeros between neighbours."""
    big = np.zeros([(n - 1) * s + 1 for n, s in zip(x.shape, stride, strict=True)])
    big[tuple(slice(None, None, s) for s in stride)] = x
    return big


def test_a1_convolution_as_a_matrix(rng):
    x, w = rng.normal(size=(4, 4)), rng.normal(size=(3, 3))
    matrix = jtconv.conv_matrix(w[..., None, None], (4, 4, 1))
    assert matrix.shape == (4, 16)
    assert np.count_nonzero(np.asarray(matrix)) == 4 * 9
    y = convolved(x, w)
    assert y.shape == (2, 2)
    assert_close(matrix @ x.ravel(), y.ravel())
    assert_close(y, signal.correlate(x, w, "valid"))


def test_a2_the_transpose_and_the_enlarged_picture(rng):
    y, w = rng.normal(size=(2, 2)), rng.normal(size=(3, 3))
    matrix = jtconv.conv_matrix(w[..., None, None], (4, 4, 1))
    by_matrix = (matrix.T @ y.ravel()).reshape(4, 4)
    by_zeros = convolved(np.pad(y, 2), w[::-1, ::-1])
    assert_close(by_matrix, by_zeros)
    assert_close(picture(y, w), by_zeros)


def test_a3_size_comes_back_and_values_do_not(rng):
    x, w = rng.normal(size=(4, 4)), rng.normal(size=(3, 3))
    back = picture(convolved(x, w), w)
    assert back.shape == x.shape
    assert np.abs(back - x).max() > 0.1


def test_a4_a_photograph_through_three_channels(rng):
    x, w = rng.normal(size=(20, 30, 3)), rng.normal(size=(12, 12, 3, 3))
    assert jtconv.output_shape((480, 640, 3), w.shape, stride=2) == (970, 1290, 3)
    got = jtconv.conv_transpose(x, w, stride=2)
    assert got.shape == ((20 - 1) * 2 + 12, (30 - 1) * 2 + 12, 3)
    case = Case("photograph", (20, 30), (12, 12), (2, 2), (1, 1), ((0, 0),) * 2, 3, 3, batch=1)
    assert_close(got, oracle.formula(x[None], w, case)[0])


def assert_exact(method, got, wanted):
    """To the last bit, but for transforms, which round."""
    np.testing.assert_allclose(got, wanted, rtol=0, atol=1e-13 if method == "fft" else 0)


@every_method
def test_b1_the_double_loop(method):
    got = picture(DOUBLE, DOUBLE, method=method)
    assert_exact(method, got, [[0, 0, 1], [0, 4, 6], [4, 12, 9]])


@every_method
def test_b2_padding_takes_from_the_output(method):
    assert_exact(method, picture(DOUBLE, DOUBLE, padding=1, method=method), [[4]])


@every_method
def test_b3_stride_spreads_the_stamps(method):
    got = picture(DOUBLE, DOUBLE, stride=2, method=method)
    assert_exact(method, got, [[0, 0, 0, 1], [0, 0, 2, 3], [0, 2, 0, 3], [4, 6, 6, 9]])


def test_b4_channels_and_the_shape_that_comes_back(rng):
    x = rng.normal(size=(1, 10, 16, 16))
    down, up = rng.normal(size=(20, 10, 5, 5)), rng.normal(size=(20, 10, 5, 5))
    small = jtconv.conv(x, down, stride=3, padding=2, dimension_numbers=NCHW)
    assert small.shape == (1, 20, 6, 6)
    back = jtconv.conv_transpose(small, up, stride=3, padding=2, dimension_numbers=ADJOINT)
    assert back.shape == x.shape


ARGUMENTS: dict[str, dict[str, Any]] = {
    "kernel_size": {},
    "stride": {"stride": (2, 3)},
    "padding": {"padding": ((1, 1), (0, 0))},
    "output_padding": {"stride": (2, 3), "output_padding": (1, 2)},
    "groups": {"groups": 2},
    "dilation": {"dilation": (2, 1)},
    "all": {
        "stride": (2, 3), "padding": ((1, 1), (0, 0)), "output_padding": (1, 2), "groups": 2,
        "dilation": (2, 1),
    },
}  # fmt: skip


@pytest.mark.parametrize("with_bias", [False, True])
@pytest.mark.parametrize("given", ARGUMENTS)
def test_b5_every_argument_alone_and_together(given, with_bias, rng):
    keywords = ARGUMENTS[given]
    extra = keywords.get("output_padding", (0, 0))
    pads = keywords.get("padding", ((0, 0), (0, 0)))
    case = Case(
        given, (3, 4), (3, 2), keywords.get("stride", (1, 1)), keywords.get("dilation", (1, 1)),
        tuple((lo, hi - more) for (lo, hi), more in zip(pads, extra, strict=True)),
        4, 6, keywords.get("groups", 1),
    )  # fmt: skip
    x, w, _ = case.operands(rng)
    bias = rng.normal(size=6) if with_bias else None
    want = oracle.conv_transpose(x, w, case) + (bias if with_bias else 0)
    assert_close(jtconv.conv_transpose(x, w, bias, **keywords), want)


@methods(["gemm", "auto"])
def test_b6_forward_of_one_is_backward_of_the_other(method, rng):
    x, y, w = (
        rng.normal(size=(1, 3, 3, 2)),
        rng.normal(size=(1, 7, 7, 3)),
        rng.normal(size=(3, 3, 2, 3)),
    )
    adjoint = ("NHWC", "HWOI", "NHWC")

    def up(x):
        return jtconv.conv_transpose(x, w, stride=2, method=method)

    def down(y):
        return jtconv.conv(y, w, stride=2, dimension_numbers=adjoint, method=method)

    assert_close(jax.vjp(down, y)[1](jnp.asarray(x))[0], up(x))
    assert_close(jax.vjp(up, x)[1](jnp.asarray(y))[0], down(y))


def test_c1_plain():
    assert convolved(np.eye(5), np.eye(2), stride=2, padding=1).shape == (3, 3)


def test_c2_transposed():
    assert picture(np.eye(5), np.eye(2)).shape == (6, 6)
    assert jtconv.output_shape((5, 5, 1), (2, 2, 1, 1)) == (6, 6, 1)


def test_c3_dilated():
    assert convolved(np.eye(5), np.eye(2), stride=2, padding=2, dilation=2).shape == (4, 4)


def test_c4_grouped(rng):
    x, w = rng.normal(size=(1, 4, 5, 5)), rng.normal(size=(2, 2, 2, 2))
    got = jtconv.conv(x, w, stride=2, padding=2, groups=2, dimension_numbers=NCHW)
    assert got.shape == (1, 2, 4, 4)
    for group in range(2):
        part = slice(2 * group, 2 * group + 2)
        alone = jtconv.conv(
            x[:, part], w[group : group + 1], stride=2, padding=2, dimension_numbers=NCHW
        )
        assert_close(got[:, group : group + 1], alone)


def test_d1_full_convolution_in_one_dimension(rng):
    x, w = rng.normal(size=7), rng.normal(size=4)
    got = convolved(x, w, padding="full", flip_kernel=True)
    assert len(got) == 7 + 4 - 1
    assert_close(got, np.convolve(x, w))
    assert_close(picture(x, w), np.convolve(x, w))


@pytest.mark.parametrize("size", [3, 4])
@pytest.mark.parametrize("mode", ["full", "same", "valid"])
def test_d2_full_same_and_valid(mode, size, rng):
    """conv2 as MATLAB has it, and correlation, which does not turn the kernel."""
    x, w = rng.normal(size=(7, 8)), rng.normal(size=(size, size))
    # The middle of the full convolution, which for an even kernel is TensorFlow's SAME_LOWER.
    padding = {"full": "FULL", "same": "SAME_LOWER", "valid": "VALID"}[mode]
    got = convolved(x, w, padding=padding, flip_kernel=True)
    longer = {"full": size - 1, "same": 0, "valid": 1 - size}[mode]
    assert got.shape == (7 + longer, 8 + longer)
    assert_close(got, signal.convolve2d(x, w, mode))
    if size % 2 or mode != "same":
        assert_close(convolved(x, w, padding=padding), signal.correlate2d(x, w, mode))


def test_d3_full_convolution_is_a_transposed_one(rng):
    x, w = rng.normal(size=(2, 2)), rng.normal(size=(3, 3))
    got = picture(x, w)
    assert got.shape == (4, 4)
    assert_close(got, convolved(x, w, padding="FULL", flip_kernel=True))


def test_d4_blown_up_with_zeros(rng):
    x, w = rng.normal(size=(3, 3)), rng.normal(size=(3, 3))
    blown = np.pad(enlarged(x, (2, 2)), 1)
    assert blown.shape == (7, 7)
    got = convolved(blown, w, padding="VALID", flip_kernel=True)
    assert got.shape == (5, 5)
    assert_close(picture(x, w, stride=2, padding=1), got)


def test_d6_the_stamp_step_by_step(rng):
    x, w = rng.normal(size=(2, 2)), rng.normal(size=(4, 4))
    canvas = np.zeros((7, 7))
    for i in range(2):
        for j in range(2):
            canvas[3 * i : 3 * i + 4, 3 * j : 3 * j + 4] += x[i, j] * w
    assert_close(picture(x, w, stride=3), canvas)


def test_e1_the_toeplitz_matrix(rng):
    x, w = rng.normal(size=5), np.array([1.0, 2.0, 3.0])
    matrix = jtconv.conv_matrix(w[:, None, None], (5, 1))
    np.testing.assert_array_equal(matrix, [[1, 2, 3, 0, 0], [0, 1, 2, 3, 0], [0, 0, 1, 2, 3]])
    z = matrix @ x
    assert_close(z, convolved(x, w))
    assert (matrix.T @ z).shape == (5,)
    assert_close(matrix.T @ z, picture(z, w))


@pytest.mark.parametrize("padding", [0, 1, 2])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_e2_the_recipe(stride, padding, rng):
    """Insert s-1 zeros, pad by k-p-1, turn the kernel, convolve."""
    x, w = rng.normal(size=(3, 4)), rng.normal(size=(4, 4))
    zeros = np.pad(enlarged(x, (stride, stride)), 4 - padding - 1)
    recipe = convolved(zeros, w[::-1, ::-1])
    assert_close(picture(x, w, stride=stride, padding=padding), recipe)


@pytest.mark.parametrize(("stride", "size"), [(1, 4), (2, 5)])
def test_e3_the_formula_of_the_size(stride, size):
    assert picture(np.eye(2), np.eye(3), stride=stride).shape == (size, size)
    for n, k, s, p, d, extra in [(5, 3, 2, 1, 1, 1), (4, 4, 3, 2, 2, 1), (7, 2, 2, 0, 3, 2)]:
        want = (n - 1) * s - 2 * p + d * (k - 1) + extra + 1
        keywords: dict[str, Any] = {
            "stride": s,
            "padding": p,
            "dilation": d,
            "output_padding": extra,
        }
        assert jtconv.output_shape((n, 1), (k, 1, 1), **keywords) == (want, 1)
