"""Streams under JAX's transformations, their integers, and what wrong arguments get."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jtconv
from jtconv import streaming
from tests.compare import assert_close
from tests.selection import exhaustive

UP: dict[str, Any] = {"stride": 2, "padding": ((1, 0),), "groups": 2}
DOWN: dict[str, Any] = {"stride": 2, "padding": "SAME", "dilation": 2}


@pytest.fixture(params=["inputs", "outputs"])
def up(request, rng):
    """A transposed convolution that carries the one or the other, and its input."""
    channels, features = (2, 8) if request.param == "inputs" else (8, 2)
    w = jnp.asarray(rng.normal(size=(5, channels // 2, features)), "float32")
    bias = jnp.asarray(rng.normal(size=features), "float32")
    stream = streaming.conv_transpose(w, bias, **UP)
    assert stream.carried.what == request.param
    return stream, jnp.asarray(rng.normal(size=(3, 12, channels)), "float32")


def fed(stream, x, length):
    """The whole, from equal pieces, by a scan."""
    pieces = jnp.moveaxis(x.reshape(x.shape[0], -1, length, x.shape[-1]), 1, 0)
    state, y = jax.lax.scan(lambda s, x: stream.step(x, s)[::-1], stream.init(x), pieces)
    y = jnp.moveaxis(y, 0, 1).reshape(x.shape[0], -1, y.shape[-1])
    return jnp.concatenate([y, stream.finish(state)], 1)[:, stream.latency :]


@pytest.mark.parametrize("length", [4, pytest.param(1, marks=exhaustive)])
def test_scan_and_gradients(up, length):
    stream, x = up

    def whole(x, w, bias):
        return jtconv.conv_transpose(x, w, bias, **UP)

    def pieces(x, w, bias):
        return fed(streaming.conv_transpose(w, bias, **UP), x, length)

    operands = x, stream.w, stream.bias
    want, back = jax.vjp(whole, *operands)
    got, back_of_pieces = jax.vjp(jax.jit(pieces), *operands)
    assert_close(got, want)
    for one, other in zip(back_of_pieces(jnp.cos(want)), back(jnp.cos(want)), strict=True):
        assert_close(one, other, slack=4)


def test_several_streams_by_vmap(up):
    stream, x = up
    state = jax.vmap(lambda x: stream.init(x))(x)
    assert state.shape[0] == len(x)
    y, after = jax.vmap(stream.step)(x, state)
    want, wanted_state = stream.step(x, stream.init(x))
    assert_close(y, want)
    assert_close(after, wanted_state)


def test_a_step_compiles_once_for_each_length(up):
    stream, x = up
    traced = []

    @jax.jit
    def step(stream, x, state):
        traced.append(x.shape)
        return stream.step(x, state)

    state = stream.init(x)
    for start, stop in ((0, 3), (3, 6), (6, 7), (7, 10), (10, 11)):
        _, state = step(stream, x[:, start:stop], state)
    assert [shape[1] for shape in traced] == [3, 1]
    again = streaming.conv_transpose(stream.w + 1, stream.bias, **UP)
    step(again, x[:, :3], state)
    assert len(traced) == 2, "other weights are no other program"


def exported(stream, unit, channels):
    """A step for pieces of any length and any batch."""
    batch, length = jax.export.symbolic_shape("b, t")
    piece = jax.ShapeDtypeStruct((batch, unit * length, channels), "float32")
    state = jax.eval_shape(stream.init, piece)
    step = jax.export.export(jax.jit(stream.step))(piece, state)
    return jax.export.deserialize(step.serialize())


def test_a_step_is_exported_with_a_symbolic_batch_and_length(up):
    stream, x = up
    step = exported(stream, 1, x.shape[2])
    state = stream.init(x)
    for length in (4, 1):
        piece = x[:, :length]
        for got, want in zip(step.call(piece, state), stream.step(piece, state), strict=True):
            assert_close(got, want)


@exhaustive
@pytest.mark.parametrize("padding", ["SAME", "CAUSAL", "VALID"])
def test_a_step_of_a_convolution_is_exported_likewise(padding, rng):
    w = jnp.asarray(rng.normal(size=(3, 8, 2)), "float32")
    stream = streaming.conv(w, stride=2, padding=padding)
    x = jnp.asarray(rng.normal(size=(3, 4, 8)), "float32")
    got, want = (step(x, stream.init(x)) for step in (exported(stream, 2, 8).call, stream.step))
    for one, other in zip(got, want, strict=True):
        assert_close(one, other)
    with pytest.raises(ValueError, match="a size that is one for certain, such as 2"):
        exported(stream, 1, 8)


def test_finish_is_pure(up):
    stream, x = up
    y, state = stream.step(x[:, :5], stream.init(x))
    assert_close(stream.finish(state), stream.finish(state))
    rest, state = stream.step(x[:, 5:], state)
    got = jnp.concatenate([y, rest, stream.finish(state)], 1)[:, stream.latency :]
    assert_close(got, jtconv.conv_transpose(x, stream.w, stream.bias, **UP))


def test_what_is_held_is_as_wide_as_sums_are():
    for dtype, wide in (("bfloat16", "float32"), ("int8", "int32"), ("float64", "float64")):
        w = jnp.ones((4, 9, 1), dtype)
        stream = streaming.conv_transpose(w)
        assert stream.carried == streaming.Carried("outputs", 3, 3 * jnp.dtype(wide).itemsize)
        state = stream.init((2, 1, 9))
        assert (state.shape, state.dtype) == ((2, 3, 1), wide)
        y, after = jax.eval_shape(stream.step, jnp.ones((2, 1, 9), dtype), state)
        assert (y.dtype, after.dtype) == ("int32" if dtype == "int8" else dtype, wide)


def test_nothing_is_carried_where_nothing_overlaps():
    stream = streaming.conv_transpose(jnp.ones((2, 3, 1)), stride=3)
    assert stream.init((4, 1, 3)).shape == (4, 0, 3)
    assert (stream.latency, stream.tail, stream.carried.bytes, stream.ratio) == (0, 0, 0, 3)


def test_a_convolution_says_what_it_needs():
    stream = streaming.conv(jnp.ones((7, 1, 1)), **DOWN)
    assert stream.receptive_field == 13 and 1 / stream.ratio == 2
    assert (stream.latency, stream.tail) == (3, 3)
    up = streaming.conv_transpose(jnp.ones((7, 1, 1)), stride=2)
    assert up.receptive_field == 4


def test_in_the_middle_of_other_axes(rng):
    """A spectrogram's time: pieces of columns, under another padding along the frequencies."""
    x, w = rng.normal(size=(2, 6, 4, 3)), rng.normal(size=(3, 4, 3, 2))
    same = (1, 0)
    stream = streaming.conv_transpose(w, stride=2, padding=(same, (0, 2)), axis=-1)
    state, out = stream.init(x), []
    for piece in np.split(x, [1], 2):
        y, state = stream.step(piece, state)
        out.append(y)
    whole = jtconv.conv_transpose(x, w, stride=2, padding=(same, (0, 2)))
    assert_close(np.concatenate(out, 2), whole)
    assert whole.shape[1:3] == (12, 8)


W = jnp.ones((4, 8, 2), "float32")
X = jnp.ones((3, 6, 8), "float32")
WRONG = {
    "batch": (lambda s: s.step(X, s.init((2, 6, 8))), ValueError, "a batch of 2, not 3"),
    "channels": (lambda s: s.step(X[..., :3], s.init(X)), ValueError, "x must have the 8 channels"),
    "dtype": (lambda s: s.step(X.astype("int8"), s.init(X)), TypeError, "x must have the dtype of"),
    "no_batch": (lambda s: s.step(X[0], s.init(X)), ValueError, r"state must have shape \(3, 2\)"),
    "axes": (lambda s: s.step(X[..., None], s.init(X)), ValueError, "x must have 3 axes"),
    "another": (lambda s: s.step(X, jnp.ones((3, 9, 2))), ValueError, "of 9, not 3: it is the"),
    "state_dtype": (lambda s: s.step(X, s.init(X).astype("int32")), TypeError, "must be float32"),
    "no_state": (lambda s: s.step(X, None), TypeError, "that init, or the step before, returned"),
    "no_piece": (lambda s: s.step([1.0], s.init(X)), TypeError, "x must be an array"),
    "finish": (lambda s: s.finish(jnp.ones((3, 9, 2))), ValueError, "of 9, not 3"),
    "finish_axes": (lambda s: s.finish(jnp.ones(3)), ValueError, "state must have shape"),
    "finish_dtype": (lambda s: s.finish(jnp.ones((3, 3, 2), "int32")), TypeError, "float32"),
    "init_dtype": (lambda s: s.init(X.astype("int8")), TypeError, "x must have the dtype of w"),
    "init_shape": (lambda s: s.init((3, 6)), ValueError, "x must have the 8 channels"),
    "init_number": (lambda s: s.init(3), TypeError, "x must be a tuple of ints"),
    "empty": (lambda s: s.step(X[:, :0], s.init(X)), ValueError, "at least 1 cells along time"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_pieces_and_states(name):
    call, error, message = WRONG[name]
    with pytest.raises(error, match=message):
        call(streaming.conv_transpose(W))


WITHOUT_TYPES: Any = streaming
MADE_WRONG = {
    "output_size": (
        lambda: WITHOUT_TYPES.conv_transpose(W, padding=1, output_size=8),
        "latency of 1",
    ),
    "axis": (lambda: streaming.conv(W, axis=1), "axis must be one of the 1 spatial axes, -1 to 0"),
    "axis_kind": (lambda: WITHOUT_TYPES.conv(W, axis=0.0), "axis must be an int"),
    "bias": (lambda: streaming.conv(W, 2), "these go by name"),
    "bias_shape": (lambda: streaming.conv(W, jnp.ones(3, "float32")), r"\(C_out,\) = \(2,\)"),
    "stride": (lambda: streaming.conv(W, stride=0), "stride must be an int >= 1"),
    "padding": (lambda: WITHOUT_TYPES.conv(W, padding="SAMEE"), "Did you mean 'SAME'"),
    "more": (lambda: streaming.conv_transpose(W, output_padding=1), r"output_padding\[0\] must be"),
    "method": (lambda: WITHOUT_TYPES.conv(W, method="fast"), "method must be one of"),
    "kernel": (lambda: streaming.conv(jnp.ones(4)), "w must have 1 to 4 spatial axes"),
    "flip": (lambda: WITHOUT_TYPES.conv(W, flip_kernel=1), "flip_kernel must be True or False"),
    "uneven": (
        lambda: (s := streaming.conv(W, stride=4)).step(X, s.init((3, 4, 8))),
        r"a multiple of the stride, 4, .* got 6: feed 4 or 8",
    ),
    "short": (
        lambda: (s := streaming.conv(W, stride=4)).step(X[:, :3], s.init((3, 4, 8))),
        "got 3: feed 4",
    ),
    "empty": (
        lambda: (s := streaming.conv(W, stride=4)).step(X[:, :0], s.init((3, 4, 8))),
        r"at least 4 cells along time \(axis 1\), got \(3, 0, 8\): leave empty pieces out",
    ),
    "refused": (
        lambda: (s := streaming.conv(W, method="pallas")).step(X, s.init(X)),
        "method 'pallas' cannot",
    ),
}


@pytest.mark.parametrize("name", MADE_WRONG)
def test_wrong_streams(name):
    call, message = MADE_WRONG[name]
    with pytest.raises((ValueError, TypeError), match=message):
        call()


def test_a_kernel_laid_out_as_its_adjoints(rng):
    """Of groups, which its shape alone does not tell."""
    numbers = ("NWC", "WOI", "NWC")
    keywords: dict[str, Any] = {"groups": 2, "dimension_numbers": numbers}
    x, w, bias = (rng.normal(size=size) for size in ((2, 6, 4), (3, 3, 4), 6))
    whole = jtconv.conv_transpose(x, w, bias, **keywords, padding="CAUSAL")
    stream = streaming.conv_transpose(w, bias, **keywords)
    y, state = stream.step(x[:, :2], stream.init(x))
    rest, state = stream.step(x[:, 2:], state)
    assert_close(jnp.concatenate([y, rest], 1), whole)
