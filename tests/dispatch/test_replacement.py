"""Which convolutions are taken from XLA: the layers that were measured, side by side."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import pytest
from jax import lax

import jtconv
from jtconv import accelerate
from jtconv.dispatch.choose import ADVISOR
from jtconv.dispatch.replacement import SLOW
from jtconv.problem.task import Task

# name: kernel, stride, groups, channels in and out, input size; and which of the forward pass, the
# kernel's gradient and the input's are replaced. Ratios stand in dispatch/replacement.py.
LAYERS: dict[str, tuple[Any, ...]] = {
    "depthwise": ((3, 3), 1, 96, 96, 96, (56, 56), "fprop wgrad dgrad"),
    "depthwise strided": ((3, 3), 2, 96, 96, 96, (56, 56), "fprop wgrad dgrad"),
    "ConvNeXt": ((7, 7), 1, 96, 96, 96, (28, 28), "fprop wgrad dgrad"),
    "ResNeXt": ((3, 3), 1, 32, 128, 128, (28, 28), "fprop wgrad dgrad"),
    "3-D": ((3, 3, 3), 1, 1, 16, 16, (16, 16, 16), "fprop wgrad dgrad"),
    "1x1 strided": ((1, 1), 2, 1, 256, 512, (28, 28), "wgrad dgrad"),
    "1x1": ((1, 1), 1, 1, 256, 64, (28, 28), "wgrad"),
    "patchify": ((16, 16), 16, 1, 3, 192, (224, 224), "dgrad"),
    "dense": ((3, 3), 1, 1, 64, 64, (56, 56), ""),
    "dense strided": ((3, 3), 2, 1, 64, 128, (56, 56), ""),
    "1-D dilated": ((11,), 1, 1, 64, 64, (2048,), ""),
}


def gradients(stride: int, groups: int) -> Any:
    def loss(x: jax.Array, w: jax.Array) -> jax.Array:
        rank, space = x.ndim - 2, "DHW"[2 - (x.ndim - 3) :]
        y = lax.conv_general_dilated(
            x, w, (stride,) * rank, "SAME", feature_group_count=groups,
            dimension_numbers=(f"N{space}C", f"{space}IO", f"N{space}C"),
        )  # fmt: skip
        return jnp.sum(jnp.sin(y))

    return jax.grad(loss, (0, 1))


def report_of(layer: tuple[Any, ...], dtype: Any = jnp.float32, platform: str = "cpu") -> Any:
    kernel, stride, groups, channels, features, size, _ = layer
    x = jax.ShapeDtypeStruct((2, *size, channels), dtype)
    w = jax.ShapeDtypeStruct((*kernel, channels // groups, features), dtype)
    report = accelerate.report(gradients(stride, groups), x, w, platform=platform)
    assert [row.side.split()[0] for row in report.rows] == ["fprop", "wgrad", "dgrad"]
    return report


def replaced(*args: Any, **keywords: Any) -> str:
    return " ".join(row.side.split()[0] for row in report_of(*args, **keywords).replaced)


@pytest.mark.parametrize("name", LAYERS)
def test_what_is_replaced_on_a_cpu(name):
    assert replaced(LAYERS[name]) == LAYERS[name][-1]


def test_other_dtypes_and_platforms():
    """Half floats are slow where float32 is; nothing else was measured."""
    layer = LAYERS["ResNeXt"]
    assert replaced(layer, jnp.bfloat16) == replaced(layer, jnp.float16) == "fprop wgrad dgrad"
    assert replaced(LAYERS["1x1"], jnp.bfloat16) == "fprop wgrad dgrad"
    assert replaced(layer, jnp.float64) == ""
    for platform in ("cuda", "rocm", "tpu"):
        assert replaced(layer, platform=platform) == ""


# On CUDA: the dimensions of lax.conv_transpose, and what is replaced of it and its two gradients.
TRANSPOSED = {
    "2-D": ((32, 32), 4, 2, "wgrad"),
    "stride 1": ((32, 32), 4, 1, ""),
    "3-D": ((8, 8, 8), 2, 2, "dgrad wgrad fprop"),
}


@pytest.mark.parametrize("name", TRANSPOSED)
def test_what_is_replaced_on_cuda(name):
    """Kernel gradients of transposed convolutions, above all, which reach no library."""
    size, kernel, stride, want = TRANSPOSED[name]
    strides, taps = (stride,) * len(size), (kernel,) * len(size)

    def loss(x: jax.Array, w: jax.Array) -> jax.Array:
        return jnp.sum(jnp.sin(lax.conv_transpose(x, w, strides, "SAME")))

    x, w = (jax.ShapeDtypeStruct(s, jnp.bfloat16) for s in ((2, *size, 64), (*taps, 64, 32)))
    report = accelerate.report(jax.grad(loss, (0, 1)), x, w, platform="cuda")
    assert " ".join(row.side.split()[0] for row in report.replaced) == want
    for platform in ("rocm", "tpu"):
        assert not accelerate.report(jax.grad(loss, (0, 1)), x, w, platform=platform).replaced


def test_depthwise_is_replaced_on_cuda():
    assert replaced(LAYERS["depthwise"], platform="cuda") == "fprop wgrad"


class Measured:
    """A tuning that knows one thing."""

    def __init__(self, method: str) -> None:
        self.method = method

    def advise(self, task: Task) -> str:
        return self.method

    def tile(self, task: Task, method: str) -> None:
        return None

    def seconds(self, task: Task, method: str) -> float | None:
        return {"dilated": 3.0, self.method: 2.0}.get(method)


@pytest.mark.parametrize(("method", "want"), [("phases", "phases"), ("dilated", "xla")])
def test_what_a_tuning_measured_goes_before_the_rules(method, want):
    gradient = gradients(1, 1)
    x, w = jnp.ones((1, 16, 4), jnp.float32), jnp.ones((3, 4, 4), jnp.float32)
    assert not accelerate.report(gradient, x, w, platform="cpu").replaced
    with ADVISOR(Measured(method)):
        rows = accelerate.report(gradient, x, w, platform="cpu").rows
    assert {row.method for row in rows} == {want}
    assert {row.gain for row in rows} == {None if want == "xla" else (1.5, 1.5)}


def test_transforms_are_not_taken():
    """They round relative to the largest numbers, which nobody asked for: neither by a rule..."""
    x, w = (jax.ShapeDtypeStruct(shape, jnp.float32) for shape in ((1, 4096, 8), (1023, 1, 8)))
    plan = jtconv.explain(x, w, op="conv", padding="SAME", groups=8)
    assert [side.choice.method for side in plan.sides] == ["fft"] * 3

    def methods() -> set[str]:
        report = accelerate.report(gradients(1, 8), x, w, platform="cpu")
        return {row.method for row in report.rows}

    assert "fft" not in methods()
    with ADVISOR(Measured("fft")):  # ... nor where a tuning found them to be faster
        assert "fft" not in methods()


def test_the_gain_is_one_that_was_measured():
    for slow in SLOW:
        for side, times in slow.times.items():
            least, most = slow.gain(side)
            assert all(1.25 < least <= theirs / ours <= most for theirs, ours in times)
    rows = report_of(LAYERS["depthwise"]).rows
    assert [row.gain for row in rows] == [
        SLOW[0].gain(side) for side in ("fprop", "wgrad", "dgrad")
    ]
    assert {row.gain for row in report_of(LAYERS["dense"]).rows} == {None}
