"""The kernels behind "pallas": what each refuses, and how a call is lowered to one."""

from __future__ import annotations

import re

import jax
import jax.numpy as jnp
import pytest
from jax import lax

from jtconv.algorithms import ALGORITHMS
from jtconv.algorithms.pallas.interpret import interpreted
from jtconv.dispatch import primitives
from tests.algorithms.pallas.test_kernels_gpu import TILED
from tests.cases import Case, one_axis
from tests.kernels import task_of

FLAT = Case("", (9, 5), (2, 2), (2, 2), (1, 1), ((0, 0), (0, 0)))


def test_the_primitive_lowers_to_the_kernel():
    """As a call on that platform would: its own method, and the gradient by x too."""
    case = TILED["k_is_s"]
    geometry = task_of(case, "dgrad", "bfloat16").geometry
    shapes = case.x_shape, case.w_shape, (case.features,)
    x, w, bias = (jax.ShapeDtypeStruct(shape, jnp.bfloat16) for shape in shapes)
    static = {"geometry": geometry, "precision": None, "result": "bfloat16"}

    def gradient(x, w, bias):
        def forward(x):
            return primitives.dgrad_biased(x, w, bias, method=("pallas",), **static)

        y, pull = jax.vjp(forward, x)
        return y, pull(y)

    program = jax.jit(gradient).trace(x, w, bias).lower(lowering_platforms=("cuda",))
    text = program.as_text(debug_info=True)
    for side in ("dgrad", "fprop"):
        assert f"jtconv_{side}_pallas" in text
    assert text.count("mosaic_gpu_v2") >= 2
    assert not re.search(r"stablehlo\.add .*f(16|32)>", text), "the bias is in the kernel"


HALF = TILED["k_is_s"], "dgrad", "bfloat16"
FLOAT = TILED["k_is_s"], "dgrad", "float32"
VOLUME = Case("", (2, 3, 2), (2, 2, 2), (2, 2, 2), (1, 1, 1), ((0, 0),) * 3, 16, 16, 1, 1)
THIN = one_axis("", 3, 3, channels=3, features=3, groups=3)
REFUSALS = {
    "on a CPU": (*HALF, "cpu", "this runs on cpu"),
    "on another GPU": (*HALF, "rocm", "this runs on rocm"),
    "on a TPU": (*HALF, "tpu", "Hopper GPUs, and this runs on tpu, where XLA's own"),
    "float64": (TILED["k_is_s"], "dgrad", "float64", "cuda", "16 or 32 bits, not float64"),
    "channels": (FLAT, "fprop", "bfloat16", "cuda", "by the 16, and a group has 6 and 2"),
    "float channels": (FLAT, "fprop", "float32", "cuda", "by the 8, and a group has 6 and 2"),
    "axes": (VOLUME, "dgrad", "bfloat16", "cuda", "at most two axes"),
    "one channel a group": (THIN, "dgrad", "float32", "cuda", "by the 8, and a group has 1 and 1"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_refusals(name):
    case, side, dtype, platform, text = REFUSALS[name]
    assert text in (ALGORITHMS["pallas"].refuse(task_of(case, side, dtype, platform)) or "")


def test_single_precision_as_tf32_only_where_it_may_be():
    def refusal(*columns):
        return ALGORITHMS["pallas"].refuse(task_of(*columns))

    assert refusal(*FLOAT, "cuda") is None
    assert "TF32" in refusal(*FLOAT, "cuda", lax.Precision.HIGHEST)
    with jax.default_matmul_precision("highest"):
        assert "TF32" in refusal(*FLOAT, "cuda")
        assert refusal(*FLOAT, "cuda", lax.Precision.DEFAULT) is None
        assert refusal(*HALF, "cuda") is None


def test_only_known_platforms_are_interpreted():
    with pytest.raises(ValueError, match="platform must be 'cuda', got 'rocm'"):
        interpreted("rocm")
