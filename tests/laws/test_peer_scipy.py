"""scipy.signal: full, same and valid, convolution and correlation, in one to three dimensions."""

from __future__ import annotations

import numpy as np
import pytest

import jtconv
from jtconv.typing import ZerosName
from tests.axes import methods
from tests.compare import assert_close

pytestmark = pytest.mark.peer("scipy")

SHAPES = {1: ((9,), (4,)), 2: ((6, 7), (3, 4)), 3: ((4, 5, 3), (2, 3, 1))}
# scipy's "same" is the middle of the full result, its odd cell taken from the front.
NAMES: dict[str, ZerosName] = {"full": "FULL", "same": "SAME_LOWER", "valid": "VALID"}


def one_channel(x, w):
    return x[..., None], w[..., None, None]


@pytest.mark.parametrize("mode", NAMES)
@pytest.mark.parametrize("rank", SHAPES)
@methods(["gemm", "auto"])
def test_convolve(method, rank, mode, rng):
    from scipy import signal

    x, w = (rng.normal(size=shape) for shape in SHAPES[rank])
    got = jtconv.conv(*one_channel(x, w), padding=NAMES[mode], flip_kernel=True, method=method)
    assert_close(got[..., 0], signal.convolve(x, w, mode, "direct"))


@pytest.mark.parametrize("mode", ["full", "valid"])
@pytest.mark.parametrize("rank", SHAPES)
def test_correlate(rank, mode, rng):
    from scipy import signal

    x, w = (rng.normal(size=shape) for shape in SHAPES[rank])
    got = jtconv.conv(*one_channel(x, w), padding=NAMES[mode])
    assert_close(got[..., 0], signal.correlate(x, w, mode, "direct"))


@pytest.mark.parametrize("rank", SHAPES)
def test_conv_transpose_is_full_convolution(rank, rng):
    from scipy import signal

    x, w = (rng.normal(size=shape) for shape in SHAPES[rank])
    got = jtconv.conv_transpose(*one_channel(x, w))
    assert_close(got[..., 0], signal.convolve(x, w, "full", "direct"))


@pytest.mark.parametrize(("up", "down"), [(3, 1), (3, 2), (1, 2)])
def test_upfirdn(up, down, rng):
    """Upsample, filter, downsample: a transposed convolution, every so many cells of it."""
    from scipy import signal

    x, taps = rng.normal(size=8), rng.normal(size=5)
    got = jtconv.conv_transpose(*one_channel(x, taps), stride=up)[::down, 0]
    assert_close(got, signal.upfirdn(taps, x, up, down)[: len(got)])
    assert np.allclose(signal.upfirdn(taps, x, up, down)[len(got) :], 0)
