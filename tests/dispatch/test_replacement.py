"""Which convolutions are taken from XLA: the layers that were measured, side by side."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import pytest
from jax import lax

from jtconv import accelerate
from jtconv.dispatch.choose import ADVISOR
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


def replaced(layer: tuple[Any, ...], dtype: Any = jnp.float32, platform: str = "cpu") -> str:
    kernel, stride, groups, channels, features, size, _ = layer
    x = jax.ShapeDtypeStruct((2, *size, channels), dtype)
    w = jax.ShapeDtypeStruct((*kernel, channels // groups, features), dtype)
    report = accelerate.report(gradients(stride, groups), x, w, platform=platform)
    assert [row.side.split()[0] for row in report.rows] == ["fprop", "wgrad", "dgrad"]
    return " ".join(row.side.split()[0] for row in report.replaced)


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


class Measured:
    """A tuning that knows one thing."""

    def __init__(self, method: str) -> None:
        self.method = method

    def advise(self, task: Task) -> str:
        return self.method

    def tile(self, task: Task, method: str) -> None:
        return None


@pytest.mark.parametrize(("method", "want"), [("phases", "phases"), ("dilated", "xla")])
def test_what_a_tuning_measured_goes_before_the_rules(method, want):
    gradient = gradients(1, 1)
    x, w = jnp.ones((1, 16, 4), jnp.float32), jnp.ones((3, 4, 4), jnp.float32)
    assert not accelerate.report(gradient, x, w, platform="cpu").replaced
    with ADVISOR(Measured(method)):
        rows = accelerate.report(gradient, x, w, platform="cpu").rows
    assert {row.method for row in rows} == {want}
