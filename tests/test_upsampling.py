"""Pixel shuffle and its inverse: by their definition, cell by cell, torch and ONNX."""

from __future__ import annotations

import itertools
import math
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
import pytest

from jtconv.interop import onnx as interop
from jtconv.upsampling import pixel_shuffle, pixel_unshuffle
from tests.compare import assert_close


class Shuffle(NamedTuple):
    """Sizes of the array with the channels in depth, without and with batch."""

    batch: tuple[int, ...]
    space: tuple[int, ...]
    factor: tuple[int, ...]
    data_format: str | None = None


SHUFFLES = {
    "1d": Shuffle((2,), (4,), (3,)),
    "1d_unbatched": Shuffle((), (4,), (2,)),
    "2d": Shuffle((2,), (3, 2), (2, 3)),
    "2d_batches": Shuffle((2, 3), (3, 2), (1, 2)),
    "3d": Shuffle((1,), (2, 1, 3), (2, 3, 2)),
    "4d": Shuffle((2,), (2, 1, 2, 1), (1, 2, 3, 2)),
    "nchw": Shuffle((2,), (3, 2), (2, 3), "NCHW"),
    "chw": Shuffle((), (3, 2), (2, 3), "NCHW"),
    "whcn": Shuffle((2,), (3, 2), (2, 3), "WHCN"),
    "wc": Shuffle((), (5,), (2,), "NWC"),
    "ncdhw": Shuffle((1,), (2, 1, 3), (2, 1, 2), "NCDHW"),
}
FEATURES = 2


def by_definition(case: Shuffle, order: str, deep: np.ndarray) -> np.ndarray:
    """The shuffled array of a channels-last one."""
    larger = [n * f for n, f in zip(case.space, case.factor, strict=True)]
    wide = np.empty((*case.batch, *larger, FEATURES), deep.dtype)
    block = math.prod(case.factor)
    for cell in itertools.product(*map(range, larger)):
        outer = tuple(i // f for i, f in zip(cell, case.factor, strict=True))
        inner = tuple(i % f for i, f in zip(cell, case.factor, strict=True))
        pixel = int(np.ravel_multi_index(inner, case.factor))
        for c in range(FEATURES):
            depth = c * block + pixel if order == "CRD" else pixel * FEATURES + c
            wide[at(*cell, c)] = deep[at(*outer, depth)]
    return wide


def at(*cell: int) -> Any:
    """Of every example."""
    return (..., *cell)


def laid(case: Shuffle, a: np.ndarray) -> np.ndarray:
    """A channels-last array as its ``data_format`` says."""
    if case.data_format is None:
        return a
    letters = case.data_format if case.batch else case.data_format.replace("N", "")
    last = [letter for letter in letters if letter not in "NC"]
    last = ["N"] * bool(case.batch) + last + ["C"]
    return a.transpose([last.index(letter) for letter in letters])


@pytest.mark.parametrize("order", ["CRD", "DCR"])
@pytest.mark.parametrize("name", SHUFFLES)
def test_both_by_their_definition(name, order):
    case = SHUFFLES[name]
    shape = (*case.batch, *case.space, FEATURES * math.prod(case.factor))
    deep = np.arange(math.prod(shape), dtype=np.float32).reshape(shape)
    wide = laid(case, by_definition(case, order, deep))
    keywords: dict[str, Any] = {"order": order, "data_format": case.data_format}
    got = pixel_shuffle(laid(case, deep), case.factor, **keywords)
    np.testing.assert_array_equal(got, wide)
    np.testing.assert_array_equal(pixel_unshuffle(wide, case.factor, **keywords), laid(case, deep))


def test_cells_to_keep_are_those_of_the_layout():
    x = jnp.arange(2 * 8 * 3 * 4.0).reshape(2, 8, 3, 4)
    got = pixel_shuffle(x, 2, data_format="NCHW", output_size=(5, 8))
    np.testing.assert_array_equal(got, pixel_shuffle(x, 2, data_format="NCHW")[:, :, :5])


@pytest.mark.peer("torch")
def test_as_torch(rng):
    import torch

    x = rng.normal(size=(2, 18, 3, 4))
    want = torch.nn.functional.pixel_shuffle(torch.tensor(x), 3)
    assert_close(pixel_shuffle(x, 3, data_format="NCHW"), want)
    back = torch.nn.functional.pixel_unshuffle(want, 3)
    assert_close(pixel_unshuffle(np.asarray(want), 3, data_format="NCHW"), back)


@pytest.mark.peer("onnx")
@pytest.mark.parametrize("mode", [None, "DCR", "CRD"])
def test_as_onnx(mode, rng):
    """Its own evaluator, and onnxruntime."""
    from onnx import helper
    from onnx.reference import ReferenceEvaluator

    from tests.interop.test_onnx import by_onnxruntime, model_of

    attributes = {"blocksize": 2} | ({"mode": mode} if mode else {})
    x = rng.normal(size=(2, 12, 3, 4)).astype("float32")
    got = interop.depth_to_space(x, **attributes)
    model = model_of(helper.make_node("DepthToSpace", ["X"], ["Y"], **attributes), x, [], 13)
    for (want,) in (ReferenceEvaluator(model).run(None, {"X": x}), by_onnxruntime(model, X=x)):
        assert_close(got, want)
    assert_close(interop.space_to_depth(got, **attributes), x)
    if mode != "CRD":
        model = model_of(
            helper.make_node("SpaceToDepth", ["X"], ["Y"], blocksize=2), x[:, :, 1:], [], 13
        )
        for (want,) in (
            ReferenceEvaluator(model).run(None, {"X": x[:, :, 1:]}),
            by_onnxruntime(model, X=x[:, :, 1:]),
        ):
            assert_close(interop.space_to_depth(x[:, :, 1:], blocksize=2), want)


X = jnp.ones((2, 4, 4, 6))
ANY: Any = None
LIST: Any = [1.0]
WRONG = {
    "channels": (lambda: pixel_shuffle(X, 2), ValueError, "multiple of 4 channels.* got 6"),
    "channels_first": (
        lambda: pixel_shuffle(X, 3, data_format="NCHW"),
        ValueError,
        "multiple of 9 channels.* got 4",
    ),
    "size": (
        lambda: pixel_unshuffle(X, (2, 3)),
        ValueError,
        "factor .2, 3. divides, got 4 on spatial axis 1: pad it to a multiple of 3",
    ),
    "order": (lambda: pixel_shuffle(X, 1, order="RCD"), ValueError, "order must be one of CRD"),
    "unshuffle_order": (lambda: pixel_unshuffle(X, 1, order=ANY), ValueError, "order must be one"),
    "format": (lambda: pixel_shuffle(X, 1, data_format="NHWW"), ValueError, "data_format must be"),
    "format_space": (lambda: pixel_shuffle(X, 1, data_format="NC"), ValueError, "data_format must"),
    "format_axes": (
        lambda: pixel_unshuffle(X, 1, data_format="NCDHWT"),
        ValueError,
        "x must have the 6 axes of data_format 'NCDHWT', or one less",
    ),
    "factor": (lambda: pixel_shuffle(X, 0), ValueError, "factor must be an int >= 1"),
    "factors": (
        lambda: pixel_shuffle(X, (1, 2, 3), data_format="NCHW"),
        ValueError,
        "factor must be one int or 2 ints",
    ),
    "kept": (
        lambda: pixel_shuffle(X[..., :4], 2, output_size=6),
        ValueError,
        r"output_size\[0\] must be one of 7 to 8",
    ),
    "list": (lambda: pixel_unshuffle(LIST, 1), TypeError, "x must be an array"),
    "onnx_channels": (
        lambda: interop.depth_to_space(X, blocksize=3),
        ValueError,
        r"input must have a multiple of blocksize\*\*2 = 9 channels",
    ),
    "onnx_size": (
        lambda: interop.space_to_depth(X, blocksize=4),
        ValueError,
        "blocksize must divide the height and width of input, got 4 for W = 6",
    ),
    "onnx_axes": (
        lambda: interop.space_to_depth(X[0], blocksize=2),
        ValueError,
        r"input must have 4 axes, \(N, C, H, W\)",
    ),
    "onnx_mode": (
        lambda: interop.depth_to_space(X, blocksize=2, mode="crd"),
        ValueError,
        "mode must be one of DCR, CRD",
    ),
    "onnx_block": (
        lambda: interop.depth_to_space(X, blocksize=2.0),  # type: ignore[arg-type]
        TypeError,
        "blocksize must be an int >= 1",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_arguments(name):
    call, error, message = WRONG[name]
    with pytest.raises(error, match=message):
        call()
