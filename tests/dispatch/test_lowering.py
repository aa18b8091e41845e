"""What XLA is handed for GPUs, lowered on a machine that has none, and what it makes of it there.

XLA:GPU calls cuDNN's backward-data kernel for a convolution with dilated input only where the
kernel is literally a ``reverse`` over all spatial axes, there is one group and the kernel is not
dilated; and cuDNN's backward-filter kernel for one whose *kernel* is dilated by the stride, with
batch and channels changing places (``xla/backends/gpu/transforms/conv_rewriter.cc``,
``MatchBackwardInput`` and ``MatchBackwardFilter``).
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import pytest

import jtconv
from jtconv.dispatch import primitives
from jtconv.dispatch.choose import automatic, refusal
from jtconv.dispatch.rules import RULES
from jtconv.problem.geometry import Geometry
from jtconv.problem.task import Side, Task

on_a_gpu = pytest.mark.skipif(jax.default_backend() != "gpu", reason="no GPU is at hand")


class Regime(NamedTuple):
    """One layer, and what the automatic choice makes of its sides on CUDA."""

    x_size: tuple[int, ...]
    kernel: int
    stride: int
    channels: tuple[int, int]
    methods: tuple[str, str, str]
    padding: int = 0
    groups: int = 1
    dilation: int = 1

    @property
    def geometry(self) -> Geometry:
        rank = len(self.x_size)
        kernel, stride, dilation = ((n,) * rank for n in (self.kernel, self.stride, self.dilation))
        crops = ((self.padding, self.padding),) * rank
        return Geometry.of(self.x_size, kernel, stride, dilation, crops, self.groups)

    def task(self, side: Side, dtype: str = "bfloat16") -> Task:
        half = jnp.dtype(dtype)
        return Task(side, self.geometry, 2, *self.channels, half, half, "cuda")

    def operands(self, side: Side, dtype: str = "bfloat16") -> list[jax.ShapeDtypeStruct]:
        g, (c, o) = self.geometry, self.channels
        shapes = {
            "x": (2, *g.x_size, c),
            "y": (2, *g.y_size, o),
            "w": (*g.kernel, c // self.groups, o),
        }
        return [jax.ShapeDtypeStruct(shapes[name], dtype) for name in ROLES[side]]


SIDES: tuple[Side, ...] = ("dgrad", "fprop", "wgrad")
ROLES: dict[Side, str] = {"dgrad": "xw", "fprop": "yw", "wgrad": "xy"}
CUDNN, PRODUCTS = ("dilated",) * 3, ("gemm",) * 3
REGIMES = {
    "2-D": Regime((8, 8), 4, 2, (64, 32), CUDNN, 1),
    "k3 s2": Regime((8, 8), 3, 2, (64, 32), CUDNN, 1),
    "k = s": Regime((8, 8), 2, 2, (64, 32), CUDNN),
    "1-D": Regime((64,), 4, 2, (64, 32), ("dilated", "gemm", "gemm"), 1),
    "3-D k = s": Regime((4, 4, 4), 2, 2, (64, 32), PRODUCTS),
    "3-D": Regime((8, 8, 8), 4, 2, (64, 32), ("phases", "fold", "dilated"), 1),
    "3-D k3 s2": Regime((8, 8, 8), 3, 2, (64, 32), ("dilated", "fold", "dilated"), 1),
    "4-D": Regime((3, 3, 3, 3), 2, 2, (4, 4), PRODUCTS),
    "groups": Regime((8, 8), 4, 2, (64, 32), ("dense", "dilated", "dilated"), 1, groups=4),
    "wide groups": Regime((8, 8), 4, 2, (256, 256), ("phases", "dilated", "dilated"), 1, groups=2),
    "dilated": Regime((8, 8), 3, 2, (64, 32), ("phases",) * 3, 1, dilation=2),
    "depthwise": Regime((8, 8), 4, 2, (64, 64), ("taps", "taps", "dense"), 1, groups=64),
    "few channels": Regime((8, 8), 16, 8, (21, 21), PRODUCTS),
    "kernel beyond input": Regime((4, 4), 8, 4, (64, 64), ("gemm", "dilated", "dilated")),
}
LIBRARY = [name for name, regime in REGIMES.items() if regime.methods == CUDNN]


def traced(regime: Regime, side: Side, method: str, dtype: str = "bfloat16") -> Any:
    options = {"geometry": regime.geometry, "method": (method,), "precision": None}

    def compute(a, b):
        return getattr(primitives, side)(a, b, result=dtype, **options)

    return jax.jit(compute).trace(*regime.operands(side, dtype))


def stablehlo(regime: Regime, side: Side, method: str) -> str:
    return traced(regime, side, method).lower(lowering_platforms=("cuda",)).as_text()


def convolutions(text: str) -> list[str]:
    return re.findall(r"stablehlo\.convolution.*", text)


def test_rules_for_tpus_claim_no_measurement():
    """Nor any a library that is not there."""
    for rule in RULES:
        if "tpu" in rule.platforms:
            assert rule.reason.endswith("(counted, not run)")
        assert ("cuDNN" in rule.reason) <= ({"cuda", "rocm"} >= set(rule.platforms))


@pytest.mark.parametrize("name", REGIMES)
def test_the_choice_on_cuda(name):
    regime = REGIMES[name]
    assert tuple(automatic(regime.task(side)).method for side in SIDES) == regime.methods


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("dtype", ["int8", "int32", "complex64"])
@pytest.mark.parametrize("name", ["2-D", "1-D", "groups", "dilated", "depthwise", "4-D"])
def test_what_cudnn_has_no_convolution_of_never_reaches_it(name, dtype, side):
    """An integer convolution ends in an error of XLA's, and one of four axes ends the process."""
    text = traced(REGIMES[name], side, "auto", dtype).lower(lowering_platforms=("cuda",)).as_text()
    assert not convolutions(text)


@pytest.mark.parametrize("method", ["dilated", "phases", "dense", "fold"])
def test_and_is_refused_by_name(method):
    task = REGIMES["2-D"].task("dgrad")
    whole = replace(task, dtype=jnp.dtype("int8"), result_dtype=jnp.dtype("int32"))
    assert "no convolution of int8" in str(refusal(method, whole))
    assert refusal(method, replace(whole, platform="cpu")) is None
    four = replace(task, geometry=REGIMES["4-D"].geometry)
    said = refusal(method, four)
    assert said is None if method == "fold" else "3 spatial axes at most" in str(said)


def test_small_integers_are_widened_before_the_product():
    """Products of int8 came out doubled on a GPU."""
    text = traced(REGIMES["2-D"], "dgrad", "gemm", "int8").lower(lowering_platforms=("cuda",))
    products = re.findall(r"stablehlo\.dot_general.*", text.as_text())
    assert products and all("xi8>" not in line for line in products)


@pytest.mark.parametrize("method", ["auto", "dilated", "vjp"])
@pytest.mark.parametrize("name", LIBRARY)
def test_dgrad_convolves_with_a_literal_reverse(name, method):
    """Of the kernel, over all spatial axes: anything else becomes zeros inserted in memory."""
    regime = REGIMES[name]
    text, rank = stablehlo(regime, "dgrad", method), len(regime.x_size)
    (reverse,) = re.findall(r"(%\S+) = stablehlo\.reverse %\S+, dims = \[([\d, ]+)\]", text)
    assert len(reverse[1].split(",")) == rank
    (convolution,) = convolutions(text)
    assert re.search(rf"convolution\(%\S+, {re.escape(reverse[0])}\)", convolution)
    assert f"lhs_dilate = [{', '.join([str(regime.stride)] * rank)}]" in convolution
    assert "feature_group_count = 1" in convolution and "batch_group_count = 1" in convolution
    assert "rhs_dilate" not in convolution or f"rhs_dilate = {[1] * rank}" in convolution


@pytest.mark.parametrize("method", ["auto", "vjp"])
@pytest.mark.parametrize("name", LIBRARY)
def test_wgrad_dilates_what_stands_for_the_kernel(name, method):
    """By the stride, not the input: batch contracts, and channels stand for the batch."""
    regime = REGIMES[name]
    (convolution,) = convolutions(stablehlo(regime, "wgrad", method))
    rank = len(regime.x_size)
    assert f"rhs_dilate = [{', '.join([str(regime.stride)] * rank)}]" in convolution
    assert "lhs_dilate" not in convolution or f"lhs_dilate = {[1] * rank}" in convolution
    assert re.search(r"dim_numbers = \[f, [\d, ]*b\]x\[i, [\d, ]*o\]", convolution)
    assert "batch_group_count = 1" in convolution


@pytest.mark.parametrize("name", LIBRARY)
def test_fprop_is_a_plain_strided_convolution(name):
    regime = REGIMES[name]
    (convolution,) = convolutions(stablehlo(regime, "fprop", "auto"))
    rank = len(regime.x_size)
    assert f"stride = [{', '.join([str(regime.stride)] * rank)}]" in convolution
    for dilation in ("lhs_dilate", "rhs_dilate"):
        assert dilation not in convolution or f"{dilation} = {[1] * rank}" in convolution


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("name", [n for n, r in REGIMES.items() if r.methods == PRODUCTS])
def test_what_the_library_is_slow_at_never_reaches_it(name, side):
    text = stablehlo(REGIMES[name], side, "auto")
    assert not convolutions(text) and "stablehlo.dot_general" in text


@pytest.mark.parametrize("platform", ["cuda", "rocm", "tpu"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_the_whole_layer_lowers_everywhere(platform, dtype):
    """Channels first, with a bias and all gradients."""
    shapes = (2, 64, 8, 8), (64, 32, 4, 4), (32,)
    x, w, b = (jax.ShapeDtypeStruct(shape, dtype) for shape in shapes)

    def loss(x, w, b):
        layout = ("NCHW", "IOHW", "NCHW")
        y = jtconv.conv_transpose(x, w, b, stride=2, padding=1, dimension_numbers=layout)
        return jnp.sum(jnp.sin(y))

    step = jax.jit(jax.grad(loss, (0, 1, 2))).trace(x, w, b)
    text = step.lower(lowering_platforms=(platform,)).as_text()
    assert len(convolutions(text)) == 3


# With a GPU at hand: what XLA really called.

CALLS = {"dgrad": "convBackwardInput", "fprop": "convForward", "wgrad": "convBackwardFilter"}


@on_a_gpu
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("method", ["auto", "dilated", "vjp"])
@pytest.mark.parametrize("name", LIBRARY)
def test_cudnn_is_called(name, method, side, dtype):
    text = traced(REGIMES[name], side, method, dtype).lower().compile().as_text()
    assert f"__cudnn${CALLS[side]}" in text


@on_a_gpu
@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("name", [name for name in REGIMES if name not in LIBRARY])
def test_cudnn_is_left_alone(name, side):
    assert "__cudnn$conv" not in traced(REGIMES[name], side, "auto").lower().compile().as_text()
