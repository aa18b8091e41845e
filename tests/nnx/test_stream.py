"""Models of nnx piece by piece: the pieces are the whole, under every transformation."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
import pytest
from flax import nnx
from jax import lax

import jtconv
from jtconv.nnx import StreamState, reset, stream
from tests.compare import assert_close
from tests.selection import exhaustive, rows
from tests.streaming.models import FEATURES, LENGTH, UNIT, Everything, pieces, small, sound, vocoder

CUTS: list[list[int]] = [[1, 2, 5], [4], []]
MODELS: dict[str, Any] = {
    "everything": lambda dtype: Everything(dtype=dtype, rngs=nnx.Rngs(0)),
    "vocoder": lambda dtype: vocoder(),
    "small": lambda dtype: small(),
}
FORMS = {f"{name}-{dtype}": (name, dtype) for name in MODELS for dtype in ("float32", "bfloat16")}


@nnx.jit
def call(model, x):
    return model(x)


def fed(model, x, cuts, axis=1, call=call):
    return jnp.concatenate([call(model, piece) for piece in pieces(x, cuts, axis)], axis)


@pytest.mark.parametrize(("name", "dtype"), rows(FORMS, default=["small-float32"]))
def test_pieces_are_the_whole(name, dtype):
    model = MODELS[name](jnp.dtype(dtype))
    x = sound(2, dtype=dtype)
    want = call(model, x)
    piecewise = stream(model, sound(2, dtype=dtype)[:, :UNIT] if name == "vocoder" else 2)
    for cuts in CUTS if name == "vocoder" else CUTS[:1]:
        assert_close(fed(reset(piecewise), x, cuts), want, want.dtype, slack=64)


def drawn(rng):
    """A causal layer alone, and the length of its pieces."""
    kernel, stride, groups = (int(rng.integers(1, most)) for most in (7, 5, 3))
    dilation = 1 if stride > 1 else int(rng.integers(1, 4))
    features, span = (2 * groups, 4 * groups), dilation * (kernel - 1) + 1
    transposed, numbers = rng.integers(2, size=2)
    keywords: dict[str, Any] = {"kernel_dilation": dilation, "feature_group_count": groups}
    if transposed:
        crops = [(span - 1, stride - 1)] if numbers else "CAUSAL"
        cls: Any = jtconv.nnx.ConvTranspose
        keywords |= {"transpose_kernel": bool(rng.integers(2)), "padding": crops}
    else:
        crops = [(span - 1, 0)] if numbers else "CAUSAL"
        cls, keywords = nnx.Conv, keywords | {"padding": crops, "mask": None}
    layer = cls(*features, kernel, stride, rngs=nnx.Rngs(0), **keywords)
    return layer, features[0], 1 if transposed else stride


@pytest.mark.parametrize(
    "seeds", rows({str(n): (range(n, n + 4),) for n in range(0, 400, 4)}, default=["0"])
)
def test_layers_alone(seeds):
    models, inputs, places = [], [], []
    for seed in seeds:
        rng = np.random.default_rng(seed)
        layer, features, unit = drawn(rng)
        batch = tuple(rng.integers(1, 3, int(rng.integers(3))).tolist())
        models.append((layer, stream(layer, batch)))
        inputs.append(jnp.asarray(rng.normal(size=(*batch, 5 * unit, features)), "float32"))
        places.append([int(cut) * unit for cut in sorted({*rng.integers(1, 5, 2)})])

    @nnx.jit  # of all at once: compiling is what takes the time
    def both(models, inputs):
        results = []
        for (layer, piecewise), x, cuts in zip(models, inputs, places, strict=True):
            got = [piecewise(piece) for piece in jnp.split(x, cuts, -2)]
            results.append((layer(x), jnp.concatenate(got, -2)))
        return results

    for want, got in both(models, inputs):
        assert_close(got, want, slack=8)


@exhaustive
def test_time_may_be_any_of_several_axes():
    """A spectrogram, (frequency, time): a piece tells the other sizes."""
    freely = [(1, 1), (2, 0)]
    model = nnx.Sequential(
        nnx.Conv(2, 4, (3, 3), padding=freely, rngs=nnx.Rngs(0)),
        nnx.ConvTranspose(4, 3, (2, 4), (2, 2), padding=[(1, 1), (3, 1)], rngs=nnx.Rngs(1)),
    )
    x = jnp.asarray(np.random.default_rng(0).normal(size=(2, 5, LENGTH, 2)), "float32")
    piecewise = stream(model, jax.ShapeDtypeStruct((2, 5, 1, 2), "float32"), axis=1)
    assert_close(fed(piecewise, x, [1], 2), model(x), slack=8)


def test_it_shares_parameters_and_leaves_the_model_as_it_was():
    model, x = small(), sound(1)
    before, classes = model(x), [type(m) for _, m in nnx.iter_graph(model)]
    piecewise = stream(model, 1)
    assert type(piecewise).__name__ == type(model).__name__ and isinstance(piecewise, type(model))
    mine, theirs = (nnx.state(m, nnx.Param) for m in (model, piecewise))
    assert str(jax.tree.structure(mine)) == str(jax.tree.structure(theirs))
    assert piecewise.layers[0].kernel is model.layers[0].kernel
    assert [type(m) for _, m in nnx.iter_graph(model)] == classes
    assert not jax.tree.leaves(nnx.state(model, StreamState))
    np.testing.assert_array_equal(model(x), before)
    model.layers[0].bias[...] += 1
    assert_close(call(piecewise, x), model(x), slack=64)


def test_states_are_split_from_parameters_and_scanned():
    model, x = small(), sound(2)
    graph, state, rest = nnx.split(stream(model, 2), StreamState, ...)
    cut = jnp.moveaxis(x.reshape(2, -1, UNIT, FEATURES), 1, 0)

    @jax.jit
    def run(state, rest, cut):
        def step(state, piece):
            merged = nnx.merge(graph, state, rest)
            y = merged(piece)
            return nnx.state(merged, StreamState), y

        return lax.scan(step, state, cut)[1]

    y = jnp.moveaxis(run(state, rest, cut), 0, 1)
    want = call(model, x)
    assert_close(y.reshape(want.shape), want, slack=64)

    def loss(rest):
        return jnp.sum(jnp.cos(run(state, rest, cut)))

    def of_whole(parameters):
        return jnp.sum(jnp.cos(nnx.merge(*nnx.split(model, nnx.Param)[:1], parameters)(x)))

    for one, other in zip(
        jax.tree.leaves(jax.jit(jax.grad(loss))(rest)),
        jax.tree.leaves(jax.jit(jax.grad(of_whole))(nnx.state(model))),
        strict=True,
    ):
        assert_close(one, other, slack=256)


@exhaustive
def test_a_step_is_exported_with_a_symbolic_length():
    model, x = small(), sound(1)
    graph, state, rest = nnx.split(stream(model, 1), StreamState, ...)

    @jax.jit
    def step(state, piece):
        merged = nnx.merge(graph, state, rest)
        return merged(piece), nnx.state(merged, StreamState)

    (length,) = jax.export.symbolic_shape("t")
    shape = jax.ShapeDtypeStruct((1, length, FEATURES), "float32")
    call_any, out = jax.export.export(step)(state, shape).call, []
    for piece in pieces(x, [1, 4]):
        y, state = call_any(state, piece)
        out.append(y)
    assert_close(jnp.concatenate(out, 1), model(x), slack=64)


@exhaustive
def test_several_streams_by_vmap():
    model, x = small(), sound(3)
    want = call(model, x)
    graph, state, rest = nnx.split(stream(model, ()), StreamState, ...)
    states = jax.tree.map(lambda a: jnp.stack([a] * 3), state)

    @jax.jit
    @partial(jax.vmap, in_axes=(0, 0))
    def step(state, piece):
        merged = nnx.merge(graph, state, rest)
        return merged(piece), nnx.state(merged, StreamState)

    out = []
    for piece in pieces(x, [2]):
        y, states = step(states, piece)
        out.append(y)
    assert_close(jnp.concatenate(out, 1), want, slack=64)


@exhaustive
def test_a_checkpoint_in_the_middle(tmp_path):
    model, x = small(), sound(1)
    first, second = pieces(x, [2])
    piecewise = stream(model, 1)
    y = call(piecewise, first)
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(tmp_path / "state", nnx.state(piecewise))
    again = stream(small(), 1)
    with ocp.StandardCheckpointer() as checkpointer:
        nnx.update(again, checkpointer.restore(tmp_path / "state", nnx.state(again)))
    got = jnp.concatenate([y, call(again, second)], 1)
    assert_close(got, call(model, x), slack=64)


def test_a_step_compiles_once_for_each_length():
    traced = []

    class Counted(nnx.Sequential):
        def __call__(self, x):
            traced.append(x.shape[1])
            return super().__call__(x)

    model = stream(Counted(nnx.Conv(2, 2, 3, padding="CAUSAL", rngs=nnx.Rngs(0))), 1)
    for length in (3, 1, 3, 1, 1):
        call(model, jnp.ones((1, length, 2), "float32"))
    assert traced == [3, 1]


class Twice(nnx.Module):
    """One layer, called so many times."""

    def __init__(self, times: int = 2):
        self.layer = nnx.Conv(2, 2, 3, padding="CAUSAL", rngs=nnx.Rngs(0))
        self.times = times

    def __call__(self, x):
        for _ in range(self.times):
            x = self.layer(x)
        return x


def calling(model: Any) -> Any:
    """After all."""
    model.times = 1
    return model(X)


def conv(*, rank: int = 1, **keywords: Any) -> nnx.Module:
    keywords = {"padding": "CAUSAL", "rngs": nnx.Rngs(0), **keywords}
    return nnx.Sequential(nnx.Conv(2, 2, (3,) * rank, **keywords))


def up(**keywords: Any) -> nnx.Module:
    return nnx.Sequential(nnx.ConvTranspose(2, 2, 4, 2, rngs=nnx.Rngs(0), **keywords))


def holding(layer: Any) -> nnx.Module:
    return nnx.Sequential(lambda x: x, layer)


def own_convolution(*args: Any, **keywords: Any) -> Any:
    return lax.conv_general_dilated(*args, **keywords)


X = jnp.ones((1, 4, 2), "float32")
R = nnx.Rngs(0)
OUR_UP = jtconv.nnx.ConvTranspose(2, 2, 4, 2, padding="CAUSAL", rngs=R)
RESIZED = partial(jtconv.nnx.ResizeConv, 2, 2, 3, 2, interpolation="linear", padding="CAUSAL")
MADE_WRONG: dict[str, tuple[Any, str]] = {
    "same": (lambda: stream(conv(padding="SAME"), 1), r"layers\[0\]: its padding, 'SAME'.* of 1:"),
    "lag": (
        lambda: stream(up(padding="SAME"), 1),
        r"latency of 1: .* padding='CAUSAL', or along that axis \(",
    ),
    "tail": (lambda: stream(up(padding="VALID"), 1), "a tail of 2 cells behind the last piece"),
    "unknown": (lambda: stream(up(padding="same"), 1), "a name that Flax does not know"),
    "circular": (lambda: stream(conv(padding="CIRCULAR"), 1), "no latency that is enough"),
    "circular_up": (lambda: stream(up(padding="CIRCULAR"), 1), "no latency that is enough"),
    "dilated": (lambda: stream(conv(input_dilation=2), 1), "input_dilation must be 1 in a stream"),
    "own": (
        lambda: stream(conv(conv_general_dilated=own_convolution), 1),
        "conv_general_dilated must be that of jax.lax",
    ),
    "axis": (lambda: stream(conv(), 1, axis=1), "axis must be one of the 1 spatial axes"),
    "plane": (lambda: stream(conv(rank=2), 1), "batch must be a piece, .* has 2 spatial axes"),
    "batch": (lambda: stream(conv(), -1), "batch.* must be an int >= 0"),
    "batch_kind": (lambda: stream(conv(), 1.0), "batch.* must be an int"),
    "no_model": (lambda: stream([conv()], 1), "model must be a module of flax.nnx, got list"),
    "group_norm": (lambda: stream(holding(nnx.GroupNorm(2, 1, rngs=R)), 1), "over all cells"),
    "instance_norm": (lambda: stream(holding(nnx.InstanceNorm(2, rngs=R)), 1), "over all cells"),
    "batch_norm": (lambda: stream(holding(nnx.BatchNorm(2, rngs=R)), 1), "model.eval"),
    "layer_norm": (
        lambda: stream(holding(nnx.LayerNorm(2, reduction_axes=(-2, -1), rngs=R)), 1),
        r"layers\[1\]: LayerNorm cannot be fed piece by piece: it normalizes over the axes",
    ),
    "attention": (
        lambda: stream(holding(nnx.MultiHeadAttention(1, 2, decode=False, rngs=R)), 1),
        "attends to all cells",
    ),
    "rnn": (lambda: stream(holding(nnx.RNN(nnx.SimpleCell(2, 2, rngs=R))), 1), "begins again"),
    "resized": (lambda: stream(holding(RESIZED(rngs=R)), 1), "interpolates .linear. between"),
    "reset": (lambda: reset(conv()), "model must be one that jtconv.nnx.stream made"),
    "example": (lambda: stream(conv(), X[..., :1]), "must have the 2 channels"),
    "twice": (lambda: stream(Twice(), 1)(X), "^layer: it is called twice with each piece"),
    "twice_seen": (lambda: stream(Twice(), X), "^layer: it is called twice with each piece"),
    "not_reached": (
        lambda: calling(stream(Twice(0), X)),
        "^layer: it has no state: the piece that stream was given did not reach it",
    ),
    "other_batch": (lambda: stream(conv(), 2)(X), r"inputs \(1, 4, 2\) .* is \(2, 2, 2\) of float"),
    "other_batches": (
        lambda: stream(conv(), (2, 3))(jnp.ones((3, 2, 4, 2), "float32")),
        "theirs would be",
    ),
    "other_channels": (lambda: stream(conv(), 1)(X[..., :1]), "must have the 2 channels .* got 1"),
    "other_dtype": (
        lambda: stream(conv(), 1)(X.astype("float64")),
        "of float64 are not of the stream that its state is of: .* of float32",
    ),
    "axes": (lambda: stream(conv(), ())(X[0, 0]), "inputs must have shape"),
    "output_size": (
        lambda: stream(nnx.Sequential(OUR_UP), 1).layers[0](X, output_size=8),
        "output_size cannot be met piece by piece, got 8",
    ),
    "length": (lambda: stream(conv(strides=3), 1)(X), "multiple of the stride, 3, .* feed 3 or 6"),
}


@pytest.mark.parametrize("name", MADE_WRONG)
def test_what_no_stream_can_be(name):
    made, message = MADE_WRONG[name]
    with pytest.raises((ValueError, TypeError), match=message):
        made()


def test_layers_without_memory_have_no_state():
    model = stream(conv(kernel_dilation=1), 1)
    assert len(jax.tree.leaves(nnx.state(model, StreamState))) == 1
    model = stream(nnx.Sequential(nnx.Conv(2, 2, 1, rngs=R), nnx.Linear(2, 2, rngs=R)), 1)
    assert not jax.tree.leaves(nnx.state(model, StreamState))
    assert reset(model)(X).shape == X.shape
    again = stream(stream(conv(), 1), 1)  # a stream of its own
    assert again(X).shape == X.shape


def test_tracing_a_layer_again_is_no_second_call():
    model = stream(Twice(1), 1)
    y = nnx.jit(lambda model, x: nnx.remat(lambda m, x: m(x))(model, x))(model, X)
    assert_close(y, Twice(1)(X))


@pytest.mark.parametrize("accelerated", [False, True])
def test_flaxs_convolution_is_computed_as_flax_does(accelerated):
    """By XLA's own; nor is it slower where the model was accelerated."""
    layer = nnx.Conv(FEATURES, 8, 5, kernel_dilation=3, padding="CAUSAL", rngs=nnx.Rngs(0))
    piecewise = stream(jtconv.nnx.accelerate(layer) if accelerated else layer, 1)
    graph, variables = nnx.split(piecewise)
    shown = jax.make_jaxpr(lambda v, x: nnx.merge(graph, v)(x))(variables, sound(1))
    assert "'dilated'" in str(shown)
