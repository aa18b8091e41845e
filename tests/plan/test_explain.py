"""explain: its laws can be executed, its sizes call for, its paddings used."""

from __future__ import annotations

import functools
import html
import itertools
import json
import math
import re
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen, nnx

import jtconv
from jtconv import explain, streaming
from jtconv.conventions import FROM_TEXT
from jtconv.problem.call import Call
from tests.compare import assert_close
from tests.layers import Case, cases
from tests.selection import rows

CASES = cases(24, seed=8)
TABLE = {case.name: (case,) for case in CASES}
each_case = pytest.mark.parametrize("case", rows(TABLE, default=[case.name for case in CASES[:12]]))


def shaped(*shape):
    return jax.ShapeDtypeStruct(shape, jnp.float32)


def along(axis, x, w):
    """One axis by NumPy: a full convolution of x blown up, or the plain one, every s-th cell."""
    a, (lo, hi) = axis.axis, axis.padding
    spread = np.zeros(a.effective_kernel)
    spread[:: a.dilation] = w
    if axis.transposed:
        large = np.zeros((a.x_size - 1) * a.stride + 1)
        large[:: a.stride] = x
        y = np.pad(np.convolve(large, spread), (max(-lo, 0), max(-hi, 0)))
        return y[max(lo, 0) :][: axis.output]
    x = np.pad(x, (max(lo, 0), max(hi, 0)))[max(-lo, 0) : len(x) + max(lo, 0) + hi]
    return np.correlate(x, spread, "valid")[:: a.stride]


@each_case
def test_the_law_it_prints_can_be_executed(case, rng):
    for axis in case.plan.axes:
        n, w = rng.normal(size=axis.input), rng.normal(size=axis.axis.kernel)
        padded = np.zeros(axis.axis.full + 40)  # room to both sides for what is cropped
        x, y = (n, padded) if axis.transposed else (padded, np.zeros(axis.output))
        if not axis.transposed:
            x[: len(n)] = n
        code = compile(axis.law, "law", "exec")
        for i, t in itertools.product(range(axis.axis.x_size), range(axis.axis.kernel)):
            exec(code, {"x": x, "y": y, "w": w, "i": i, "t": t})
        assert_close(y[: axis.output], along(axis, n, w))


@each_case
def test_sizes_and_their_law(case):
    plan = case.plan
    call = functools.partial(getattr(jtconv, case.op), **case.keywords)
    assert plan.output_shape == jax.eval_shape(call, shaped(*case.x), shaped(*case.w)).shape
    for axis, size in zip(plan.axes, plan.output_shape[1:-1], strict=True):
        formula, result = axis.size_law.split(" = ")
        assert eval(formula) == int(result) == axis.output == size


@each_case
def test_reachable_sizes_are_those_and_no_others(case):
    for number, axis in enumerate(case.plan.axes):
        for size in range(max(axis.reachable[0] - 2, 1), axis.reachable[-1] + 3):
            assert reaches(case, number, size) == (size in axis.reachable), (axis.name, size)


def reaches(case, number, size):
    """Whether this size of one axis is legal out of, or into, what the others are."""
    plan = case.plan
    if case.op == "conv":
        x = list(case.x)
        x[1 + number] = size
        try:
            shape = jtconv.explain(shaped(*x), shaped(*case.w), op="conv", **case.keywords)
        except ValueError:
            return False
        return shape.output_shape == plan.output_shape
    sizes = [axis.reachable[0] for axis in plan.axes]
    sizes[number] = size
    keywords = {**case.keywords, "output_size": tuple(sizes), "output_padding": 0}
    try:
        return jtconv.output_shape(case.x, case.w, **keywords)[1 + number] == size
    except ValueError:
        return False


@each_case
def test_the_inverse_question(case):
    """Whatever is answered gives that size, and there always is an answer."""
    for axis in case.plan.axes:
        known = {"stride": axis.axis.stride, "dilation": axis.axis.dilation}
        for size in (1, 2, axis.output, axis.output + 1, axis.output + 5):
            ways = axis.paddings_for(size)
            assert ways
            for way in ways:
                x, w = shaped(axis.input, 1), shaped(axis.axis.kernel, 1, 1)
                plan = jtconv.explain(x, w, op=case.op, **known, **way)
                assert plan.axes[0].output == size, way


def test_which_padding_gives_71():
    (axis,) = jtconv.explain(shaped(36, 1), shaped(4, 1, 1), stride=2).axes
    assert axis.paddings_for(71) == ({"padding": 2, "output_padding": 1},)
    assert {"padding": "SAME"} in axis.paddings_for(72)
    wrongs: list[tuple[Any, type[Exception]]] = [
        (0, ValueError),
        (7.5, TypeError),
        (True, TypeError),
    ]
    for wrong, error in wrongs:
        with pytest.raises(error, match="size"):
            axis.paddings_for(wrong)


@pytest.mark.parametrize(
    ("layer", "space", "output", "parameters", "useful", "dense", "sees"),
    [
        # C1 to C4: the four kinds. Products with the zeros of the padding are not useful ones.
        ("Conv2d(1, 1, 2, 2, 1, bias=False)", (5, 5), (3, 3), 4, 25, 36, (2, 2)),
        ("ConvTranspose2d(1, 1, 2, bias=False)", (5, 5), (6, 6), 4, 100, 144, (2, 2)),
        ("Conv2d(1, 1, 2, 2, 2, 2, bias=False)", (5, 5), (4, 4), 4, 36, 64, (3, 3)),
        ("Conv2d(4, 2, 2, 2, 2, groups=2, bias=False)", (5, 5), (4, 4), 16, 100, 256, (2, 2)),
        ("ConvTranspose2d(16, 33, 3, stride=2)", (8, 8), (17, 17), 4785, 304128, 1373328, (2, 2)),
    ],
)
def test_c5_what_explain_prints_of_the_four_kinds(
    layer, space, output, parameters, useful, dense, sees
):
    read = FROM_TEXT["torch"](layer)
    groups = read.keywords["groups"]
    x = shaped(1, *space, read.in_channels)
    w = shaped(*read.kernel, read.in_channels // groups, read.out_channels)
    b = shaped(read.out_channels) if read.bias else None
    plan = jtconv.explain(x, w, b, op=read.op, **read.keywords)
    assert plan.output_shape == (1, *output, read.out_channels)
    assert plan.parameters == parameters
    assert (plan.multiply_adds, plan.dense_multiply_adds) == (useful, dense)
    assert plan.receptive_field == sees
    for number in (parameters, useful, dense):
        assert f"{number:,}" in str(plan)


@each_case
def test_multiply_adds_are_counted(case, monkeypatch):
    """Useful ones are those that ones through ones count; dense ones every cell of the output."""
    plan = case.plan
    ones = replace(case, bias=False)
    monkeypatch.setattr(Case, "numbers", lambda self: (np.ones(case.x), np.ones(case.w), None))
    assert plan.multiply_adds == ones.value.sum()
    assert plan.dense_multiply_adds == math.prod(plan.output_shape) * math.prod(case.w[:-1])


@pytest.mark.parametrize(
    ("kernel", "stride", "dilation", "even", "larger"),
    [
        (4, 2, 1, True, 6),
        (3, 2, 1, False, 4),
        (2, 3, 1, False, 3),
        (5, 1, 1, True, 6),
        (3, 2, 2, False, None),
        (3, 2, 3, False, 4),
    ],
)
def test_overlap(kernel, stride, dilation, even, larger):
    keywords = {"stride": stride, "dilation": dilation}
    plan = jtconv.explain(shaped(6, 1), shaped(kernel, 1, 1), **keywords)
    assert (plan.overlap_uniformity == 1) == even
    assert plan.axes[0].even_kernel == larger
    assert ("checkerboard" in str(plan)) != even
    y = jtconv.conv_transpose(np.ones((20, 1)), np.ones((kernel, 1, 1)), **keywords)[10:-10]
    assert (float(y.min()), float(y.max())) == plan.axes[0].overlap


@each_case
def test_json_holds_what_the_plan_holds(case):
    plan, read = case.plan, json.loads(case.plan.dumps())
    assert read["output_shape"] == list(plan.output_shape)
    assert [axis["output"] for axis in read["axes"]] == list(plan.output_shape[1:-1])
    assert read["multiply_adds"] == plan.multiply_adds
    assert list(read["conventions"]) == ["jtconv", "torch", "keras", "lax", "flax", "onnx"]
    for side in plan.sides:
        assert read["sides"][side.role]["method"] == side.choice.method
        assert list(read["sides"][side.role]["methods"]) == list(jtconv.methods())


@each_case
def test_our_own_words_are_the_same_call(case):
    plan = case.plan

    class Recorder:
        @staticmethod
        def call(x, w, bias=None, **keywords):
            assert (bias is not None) == case.bias
            assert keywords.pop("flip_kernel", False) == case.keywords.get("flip_kernel", False)
            return Call.of_shapes(case.op, x, w, keywords)

        conv = conv_transpose = call

    said = eval(plan.conventions[0].call, {"jtconv": Recorder, "x": case.x, "w": case.w, "bias": 1})
    assert said.geometry == plan.call.geometry


def test_times_are_measured_where_asked_for():
    plan = jtconv.explain(shaped(4, 1), shaped(3, 1, 1), stride=2, time=True)
    for side in plan.sides:
        assert all((row.seconds or 0) > 0 for row in side.rows if row.refusal is None)
    timed = [row for side in plan.sides for row in side.rows if row.refusal is None]
    assert str(plan).count(" ms") == len(timed) > 3
    assert str(plan).count("fastest") == 3
    quiet = jtconv.explain(shaped(4, 1), shaped(3, 1, 1), stride=2)
    assert {row.seconds for side in quiet.sides for row in side.rows} == {None}


def test_a_wrong_bias_is_told():
    with pytest.raises(ValueError, match=r"bias must have shape \(C_out,\) = \(2,\)"):
        jtconv.explain(shaped(4, 1), shaped(3, 1, 2), shaped(3))
    with pytest.raises(TypeError, match="bias must be an array"):
        jtconv.explain(shaped(4, 1), shaped(3, 1, 2), [1.0, 2.0])
    with pytest.raises(TypeError, match="time must be True or False"):
        jtconv.explain(shaped(4, 1), shaped(3, 1, 2), time="yes")  # type: ignore[arg-type]


@pytest.mark.parametrize("op", ["conv_transpose", "conv"])
def test_what_a_stream_of_it_carries(op):
    x, w = jax.ShapeDtypeStruct((1, 32, 8), "float32"), jax.ShapeDtypeStruct((6, 8, 2), "float32")
    keywords: dict[str, Any] = {"stride": 2, "padding": "SAME"}
    plan = explain(x, w, op=op, streaming=True, **keywords)
    stream = getattr(streaming, op)(jnp.ones(w.shape, w.dtype), **keywords)
    told = plan.as_dict()["streaming"]
    names = ("latency", "tail", "receptive_field")
    assert [told[name] for name in names] == [getattr(stream, name) for name in names]
    assert plan.streaming is not None and plan.streaming.carried == stream.carried
    held = (
        f"latency {stream.latency}; carries {stream.carried}, instead of {told['instead']['cells']}"
    )
    assert held in flat(plan)
    assert explain(x, w, op=op, **keywords).streaming is None
    with pytest.raises(ValueError, match="axis must be one of the 1 spatial axes"):
        explain(x, w, op=op, streaming=True, axis=1, **keywords)


def test_nothing_carried_is_told():
    plan = explain(jnp.ones((5, 1)), jnp.ones((2, 1, 1)), stride=2, streaming=True)
    assert "n -> 2*n cells, latency 0; carries nothing from piece to piece; tail 0" in flat(plan)


# A layer as it is written, the size that goes in, and what each word of its formula stands for.
FORMULAS: dict[str, tuple[int, dict[str, int]]] = {
    "ConvTranspose1d(1, 1, 3, 2, 1, 1)": (
        5, {"kernel_size": 3, "stride": 2, "padding": 1, "output_padding": 1, "dilation": 1}
    ),
    "ConvTranspose1d(1, 1, 4, dilation=3)": (
        5, {"kernel_size": 4, "stride": 1, "padding": 0, "output_padding": 0, "dilation": 3}
    ),
    "Conv1d(1, 1, 3, 2, 1)": (8, {"kernel_size": 3, "stride": 2, "padding": 1, "dilation": 1}),
    "Conv1d(1, 1, 4, padding='same')": (8, {"stride": 1}),
    "Conv1DTranspose(1, 3, 2)": (5, {"kernel_size": 3, "strides": 2, "dilation_rate": 1}),
    "Conv1DTranspose(1, 3, 2, padding='same')": (5, {"strides": 2}),
    "Conv1DTranspose(1, 3, 2, padding='same', output_padding=0)": (
        5, {"kernel_size": 3, "strides": 2, "dilation_rate": 1, "output_padding": 0}
    ),
    "Conv1DTranspose(1, 3, 2, output_padding=1)": (
        5, {"kernel_size": 3, "strides": 2, "dilation_rate": 1, "output_padding": 1}
    ),
    "Conv1D(1, 3, 2)": (8, {"kernel_size": 3, "strides": 2, "dilation_rate": 1}),
    "ConvTranspose(1, 1, (3,), 2)": (5, {"strides": 2}),
    "ConvTranspose(1, 1, (2,), 3, padding='VALID')": (
        5, {"kernel_size": 2, "strides": 3, "kernel_dilation": 1}
    ),
    "ConvTranspose(1, 1, (3,), 2, padding=1)": (
        5, {"kernel_size": 3, "strides": 2, "padding": 1, "kernel_dilation": 1}
    ),
    "ConvTranspose(1, 1, (3,), 2, padding=[(1, 2)])": (
        5, {"kernel_size": 3, "strides": 2, "low": 1, "high": 2, "kernel_dilation": 1}
    ),
    "Conv(1, 1, (3,), 2, padding=[(1, 2)])": (
        8, {"kernel_size": 3, "strides": 2, "lo": 1, "hi": 2, "kernel_dilation": 1}
    ),
}  # fmt: skip


@pytest.mark.parametrize("layer", FORMULAS)
def test_the_formula_is_in_the_words_of_the_framework(layer):
    size, values = FORMULAS[layer]
    (axis,) = explain((1, size, 1), layer).axes
    words = set(re.findall(r"[a-z_]+", axis.size_formula)) - {"in", "max"}
    assert words == set(values)
    known = {name: str(value) for name, value in {**values, "in": size}.items()}
    numbers = re.sub(r"[a-z_]+", lambda word: known.get(word[0], word[0]), axis.size_formula)
    assert axis.size_law == f"{numbers} = {axis.output}"
    assert eval(numbers) == axis.output


def flat(plan):
    """What it prints, on one line."""
    return " ".join(str(plan).split())


@each_case
def test_it_is_short_by_default(case):
    lines = str(case.plan).splitlines()
    assert max(map(len, lines)) <= 80
    assert len(lines) <= 30
    for axis in case.plan.axes:
        for told in (axis.law, axis.size_law, f"out = {axis.size_formula}"):
            assert " ".join(told.split()) in flat(case.plan)
    for side in case.plan.sides:
        assert f"{side.choice.method}, {side.choice.reason}" in flat(case.plan)
        assert f"{side.role} ({side.side}, " in flat(case.plan)
    whole = str(replace(case.plan, verbose=True))
    for side in case.plan.sides:
        assert all(row.method in whole for row in side.rows)
    assert all(text.why_not or text.call in whole for text in case.plan.conventions)
    assert len(re.findall(r"^  \w+ +chosen", whole, re.MULTILINE)) == 3


def test_it_shows_what_it_prints():
    plan = explain((1, 4, 1), (3, 1, 1), stride=2)
    assert repr(plan) == str(plan)
    assert plan._repr_html_() == f"<pre>{html.escape(str(plan))}</pre>"
    assert "&gt;" in plan._repr_html_()
    with pytest.raises(TypeError, match="verbose must be True or False"):
        explain((1, 4, 1), (3, 1, 1), verbose=1)  # type: ignore[arg-type]


def test_shapes_are_enough():
    x, w, b = shaped(2, 5, 5, 4), jnp.ones((3, 3, 2, 6), "float32"), jnp.ones(6, "float32")
    arrays = explain(x, w, b, groups=2)
    assert str(explain((2, 5, 5, 4), [3, 3, 2, 6], (6,), groups=2)) == str(arrays)
    half = explain(jnp.ones((2, 5, 4), "bfloat16"), (3, 4, 6))
    assert half.dtype == "bfloat16"
    for wrong in ((1, -4, 1), (1, "a", 1), [[1, 2], [3]], 5, [1.0, 2.0]):
        with pytest.raises((TypeError, ValueError), match="x"):
            explain(wrong, (3, 1, 1))


LAYERS = {
    "nnx": lambda: nnx.ConvTranspose(4, 6, (3, 3), 2, padding=[(1, 0), (0, 2)], rngs=nnx.Rngs(0)),
    "nnx Conv": lambda: nnx.Conv(4, 6, (3, 3), 2, feature_group_count=2, rngs=nnx.Rngs(0)),
    "ours": lambda: jtconv.nnx.ConvTranspose(
        4, 6, (3, 3), 2, padding="CAUSAL", feature_group_count=2, output_padding=1,
        transpose_kernel=True, rngs=nnx.Rngs(0),
    ),
    "linen": lambda: linen.ConvTranspose(6, (3, 3), (2, 2), kernel_dilation=(2, 2)),
    "linen Conv": lambda: linen.Conv(6, (3, 3), (2, 2), padding="VALID"),
}  # fmt: skip


@pytest.mark.parametrize("name", LAYERS)
def test_layers_are_explained_as_they_compute(name):
    layer, x = LAYERS[name](), jnp.ones((1, 5, 7, 4))
    plan = explain(x, layer)
    y = layer(x) if isinstance(layer, nnx.Module) else layer.init_with_output(jax.random.key(0), x)
    assert plan.output_shape == (y if isinstance(layer, nnx.Module) else y[0]).shape
    assert plan.axes[0].framework == "flax"
    for more in ({"stride": 2}, {"op": "conv"}, {"groups": 2}, {"bias": jnp.ones(6)}):
        with pytest.raises(ValueError, match=f"says its own {next(iter(more))}"):
            explain(x, layer, **more)


@pytest.mark.peer("torch")
def test_layers_of_torch_are_explained():
    import torch

    layer = torch.nn.ConvTranspose2d(4, 6, 3, stride=2, padding=(1, 0), groups=2, bias=False)
    plan = explain((1, 5, 7, 4), layer)
    assert plan.output_shape[1:3] == tuple(layer(torch.ones(1, 4, 5, 7)).shape[2:])
    assert plan.parameters == sum(p.numel() for p in layer.parameters())
    with pytest.raises(ValueError, match="'Linear' is not known here"):
        explain((1, 5, 7, 4), torch.nn.Linear(2, 2))


MEMORY: dict[str, tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = {
    "volume": ((1, 12, 12, 12, 16), (2, 2, 2, 16, 8), {"stride": 2}),
    "picture": ((2, 16, 16, 32), (4, 4, 32, 16), {"stride": 2, "padding": 1}),
    "sound": ((1, 100, 32), (9, 32, 16), {}),
    "depthwise": ((1, 32, 32, 8), (4, 4, 1, 8), {"stride": 2, "groups": 8}),
}


@pytest.mark.parametrize("name", MEMORY)
def test_memory_is_that_of_the_compiled_program(name):
    x, w, keywords = MEMORY[name]
    plan = explain(x, w, **keywords)

    def compiled(method):
        call = functools.partial(jtconv.conv_transpose, method=method, **keywords)
        return jax.jit(call).lower(shaped(*x), shaped(*w)).compile().memory_analysis()

    auto, lean = compiled("auto"), compiled("dilated")
    assert plan.memory.operands == auto.argument_size_in_bytes
    assert plan.memory.result == auto.output_size_in_bytes
    assert lean.temp_size_in_bytes < (plan.memory.operands + plan.memory.result) / 2
    assert 'method="dilated" holds little' in flat(plan)
    assert "little besides" in flat(explain(x, w, method="dilated", **keywords))
