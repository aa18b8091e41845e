"""The report on a function: a row a convolution, found without running anything."""

from __future__ import annotations

from typing import Any

import jax
import jax.extend
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import jtconv
from jtconv import accelerate
from tests.programs import convolutions


def depthwise(x: Any, w: Any) -> Any:
    return lax.conv_general_dilated(x, w, (2,), "SAME", feature_group_count=2)


def dense(x: Any, w: Any) -> Any:
    return lax.conv_general_dilated(x, w, (1,), "SAME")


X = jax.ShapeDtypeStruct((1, 2, 8), jnp.float32)
W, DENSE = (jax.ShapeDtypeStruct(shape, jnp.float32) for shape in ((4, 1, 3), (2, 2, 3)))


def model(x: Any, w: Any, v: Any) -> Any:
    with jax.named_scope("block"):
        x, _ = lax.scan(lambda x, _: (dense(x, v), None), x, None, 2)
    return jnp.sum(jax.jit(depthwise)(x, w))


def test_rows():
    report = accelerate.report(jax.grad(model, (1, 2)), X, W, DENSE, platform="cpu")
    assert [(row.side, row.method, row.is_left) for row in report.rows] == [
        ("fprop", "xla", True),
        ("fprop s2 g2", "taps", False),
        ("wgrad s2 g2", "taps", False),
        ("dgrad s2 g2", "taps", False),
        ("wgrad", "xla", True),
        ("dgrad", "xla", True),
    ]
    first, second = report.rows[:2]
    assert first.path == "jvp(block)/scan" and "jit" in second.path
    assert first.shapes == "1x2x8 * 2x2x3 -> 1x2x8 float32"
    assert second.source == f"test_report.py:{depthwise.__code__.co_firstlineno + 1}"
    assert "not known to be slow" in first.reason and "groups" in second.reason
    assert report.replaced == report.rows[1:4]


def test_it_prints_as_a_table():
    text = str(accelerate.report(model, X, W, DENSE, platform="cpu")).splitlines()
    assert text[0] == "1 of 2 convolutions computed by jtconv on cpu"
    assert text[1].split() == ["where", "source", "shapes", "side", "by", "gain", "why"]
    assert len({line.index("float32") for line in text[2:4]}) <= 2
    assert "  taps  1.8-98  XLA has no fast" in text[3] and text[4].startswith("gain: XLA's time")
    assert len(text) == 5
    left = str(accelerate.report(dense, X, DENSE, platform="cpu"))
    assert len(left.splitlines()) == 3  # no gain, nothing to say of it
    empty = accelerate.report(jnp.sin, X, platform="tpu")
    assert str(empty) == "0 of 0 convolutions computed by jtconv on tpu"


def test_nothing_is_run():
    def f(x: Any, w: Any) -> Any:
        assert isinstance(x, jax.core.Tracer)
        return {"y": dense(x, w), "name": "text", "none": None}, 3

    x, w = np.ones((1, 2, 8), np.float32), jnp.ones((2, 2, 3), jnp.float32)
    assert len(accelerate.report(f, x, w=w).rows) == 1


def test_calls_of_jtconv_are_listed_too():
    def f(x: Any, w: Any) -> Any:
        bias = jnp.ones(5, jnp.float32)
        y = jtconv.conv_transpose(x, w, bias, stride=2, method="gemm")
        return jtconv.conv(y, w, dimension_numbers=("NWC", "WOI", "NWC"))

    x, w = (jax.ShapeDtypeStruct(shape, jnp.float32) for shape in ((1, 8, 3), (4, 3, 5)))
    rows = accelerate.report(f, x, w).rows
    assert [(row.side, row.reason.split(":")[0]) for row in rows] == [
        ("dgrad s2", "a call of jtconv"),
        ("fprop", "a call of jtconv"),
    ]
    assert rows[0].method == "gemm"


def test_why_a_convolution_is_left():
    def reason(x: Any, w: Any, platform: str = "cpu", **keywords: Any) -> str:
        shapes = (jax.ShapeDtypeStruct(*x), jax.ShapeDtypeStruct(*w))
        given = {"window_strides": (1,), "padding": [(0, 0)], **keywords}
        report = accelerate.report(
            lambda x, w: lax.conv_general_dilated(x, w, **given), *shapes, platform=platform
        )
        assert not report.replaced
        return report.rows[0].reason

    f32 = jnp.float32
    steps: dict[str, Any] = {
        "window_strides": (2,),
        "lhs_dilation": (2,),
        "rhs_dilation": (2,),
    }
    assert "both dilations above 1" in reason(((1, 1, 9), f32), ((1, 1, 3), f32), **steps)
    assert reason(((1, 2), f32), ((2, 2), f32), window_strides=(), padding=[]).startswith(
        "0 spatial"
    )
    assert reason(((1, 1, 9), jnp.uint8), ((1, 1, 3), jnp.uint8)) == "dtype uint8"
    assert reason(((0, 1, 9), f32), ((1, 1, 3), f32)) == "no numbers in it"
    assert reason(((1, 1, 9), f32), ((1, 1, 3), f32), "tpu") == "nothing is measured on tpu"


def test_a_reading_without_waste_is_taken():
    """The input's gradient is a dgrad; the one of a 2x2 result would multiply mostly padding."""

    def loss(x: Any, w: Any) -> Any:
        return jnp.sum(jnp.sin(lax.conv_general_dilated(x, w, (1, 1), "VALID")))

    x, w = (jax.ShapeDtypeStruct((4, 4, n, n), jnp.float32) for n in (33, 32))
    rows = accelerate.report(jax.grad(loss, (0, 1)), x, w, platform="cpu").rows
    assert [row.side for row in rows] == ["fprop", "wgrad", "fprop"]


def test_what_was_traced_before_is_left():
    """A function within a jaxpr bears the tag that it was traced under, or none."""
    x, w = jnp.ones(X.shape, X.dtype), jnp.ones(W.shape, W.dtype)
    before = jax.make_jaxpr(jax.jit(depthwise))(x, w)

    def f(x: Any, w: Any) -> Any:
        return jax.extend.core.jaxpr_as_fun(before)(x, w), depthwise(x, w)

    first, second = accelerate.report(f, x, w, platform="cpu").rows
    assert (first.method, second.method) == ("xla", "taps")
    assert first.reason == "traced outside of accelerate"
    text = jax.jit(accelerate(f)).lower(x, w).as_text()
    assert convolutions(text) == 1


def test_a_platform_that_is_none():
    with pytest.raises(ValueError, match=r"platform must be one of .*cpu.*got 'gpu'"):
        accelerate.report(dense, X, DENSE, platform="gpu")
