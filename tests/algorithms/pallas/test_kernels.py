"""The kernels behind "pallas": what each refuses, and the one for TPUs at work.

The tests of every law run the TPU kernel too (see conftest).  Here are problems of several blocks
and chunks, and lowering for the platform; GPUs have a file of their own.
"""

from __future__ import annotations

import re

import jax
import jax.numpy as jnp
import pytest
from jax import lax
from jax.experimental.pallas import tpu as pallas_tpu

from jtconv.algorithms import ALGORITHMS
from jtconv.algorithms.pallas.interpret import interpreted
from jtconv.algorithms.pallas.tpu import blocks
from jtconv.dispatch import primitives
from tests.algorithms.pallas.test_kernels_gpu import DEEP, TILED
from tests.axes import each
from tests.cases import Case, one_axis
from tests.compare import assert_close
from tests.kernels import compute, lowered, side_of, task_of

SIDES = ("dgrad", "fprop", "wgrad")
each_side = pytest.mark.parametrize("side", SIDES)
BLOCKED = (
    one_axis("audio", 37, 4, 2, crops=(1, 1), channels=3),
    one_axis("dilated", 21, 3, 3, 2, (-2, 1), groups=2, channels=4, features=2),
    Case("k_is_s", (9, 5), (2, 2), (2, 2), (1, 1), ((0, 0), (0, 0))),
    Case("k3_s2", (7, 6), (3, 3), (2, 2), (1, 1), ((1, 0), (1, 0))),
    Case("volume", (5, 2, 3), (3, 2, 2), (2, 2, 1), (1, 1, 1), ((1, 0), (0, 0), (0, -1))),
)
DEFAULT = [("dilated", side) for side in SIDES]


@pytest.mark.parametrize(
    ("case", "side"),
    [
        pytest.param(
            case,
            side,
            id=f"{case.name}-{side}",
            marks=() if (case.name, side) in DEFAULT else pytest.mark.exhaustive,
        )
        for case in BLOCKED
        for side in SIDES
    ],
)
def test_tpu_blocks_that_do_not_divide_the_rows(case, side, monkeypatch, rng):
    monkeypatch.setitem(blocks.TILES, blocks.DEFAULT_TILE, 8)
    operands, want = side_of(case, side, rng, jnp.float64)
    with interpreted("tpu"):
        task = task_of(case, side, "float64")
        cut = blocks.largest_blocks(task)
        assert cut and cut.steps > 1
        assert_close(compute(task, *operands), want)


@each_side
def test_tpu_channels_in_chunks(side, monkeypatch, rng):
    """Contracted, kept and written in parts, where whole ones would not fit VMEM."""
    case = one_axis("chunks", 9, 4, 2, channels=6, features=2)
    monkeypatch.setattr(blocks, "CHUNKS", (3, 2))
    monkeypatch.setattr(blocks, "VMEM_BYTES", 2000)
    operands, want = side_of(case, side, rng, jnp.float64)
    with interpreted("tpu"):
        task = task_of(case, side, "float64")
        cut = blocks.largest_blocks(task)
        assert cut and cut.chunk < 6
        assert_close(compute(task, *operands), want)


@each_side
@pytest.mark.parametrize(
    "dtype", [pytest.param("float32", marks=pytest.mark.exhaustive), "bfloat16"]
)
def test_tpu_memory_that_starts_as_nan(dtype, side, monkeypatch, rng):
    """Pallas's simulation of a TPU: nothing may be read that was not written."""
    monkeypatch.setitem(blocks.TILES, blocks.DEFAULT_TILE, 8)
    case = Case("k3_s2", (3, 4), (3, 3), (2, 2), (1, 1), ((1, 0), (0, 1)), 3, 2)
    operands, want = side_of(case, side, rng, dtype)
    with interpreted("tpu", pallas_tpu.InterpretParams()):
        got = compute(task_of(case, side, dtype), *operands)
    assert_close(got, want, dtype)


@each_side
@each([case for case in BLOCKED if case.name != "dilated"])
def test_tpu_lowers_for_tpu(case, side, rng):
    operands, _ = side_of(case, side, rng, "bfloat16")
    assert "tpu_custom_call" in lowered(task_of(case, side, "bfloat16", "tpu"), operands, "tpu")


@pytest.mark.parametrize("platform", ["cuda", "tpu"])
def test_the_primitive_lowers_to_the_kernel(platform):
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

    program = jax.jit(gradient).trace(x, w, bias).lower(lowering_platforms=(platform,))
    text = program.as_text(debug_info=True)
    for side in ("dgrad", "fprop"):
        assert f"jtconv_{side}_pallas" in text
    assert text.count("mosaic_gpu_v2" if platform == "cuda" else "@tpu_custom_call") >= 2
    assert not re.search(r"stablehlo\.add .*f(16|32)>", text), "the bias is in the kernel"


HALF = TILED["k_is_s"], "dgrad", "bfloat16"
FLOAT = TILED["k_is_s"], "dgrad", "float32"
LARGE = Case("", (1, 9000), (1, 1), (1, 1), (1, 1), ((0, 0), (0, 0)), 1000, 1000)
THIN = one_axis("", 3, 3, channels=3, features=3, groups=3)
COARSE = one_axis("", 20, 8, 8, channels=64, features=64, groups=64)
STRIDED = Case("", (4, 4), (8, 8), (8, 8), (1, 1), ((0, 0), (0, 0)), 64, 64, 64)
REFUSALS = {
    "on a CPU": (*HALF, "cpu", "this runs on cpu"),
    "on another GPU": (*HALF, "rocm", "this runs on rocm"),
    "float64": (TILED["k_is_s"], "dgrad", "float64", "cuda", "16 or 32 bits, not float64"),
    "channels": (BLOCKED[2], "fprop", "bfloat16", "cuda", "by the 16, and a group has 6 and 2"),
    "float channels": (BLOCKED[2], "fprop", "float32", "cuda", "by the 8, and a group has 6 and 2"),
    "axes": (LARGE._replace(x_size=(1,) * 4, kernel=(1,) * 4, stride=(1,) * 4, dilation=(1,) * 4,
                            crops=((0, 0),) * 4), "dgrad", "bfloat16", "cuda", "three axes"),
    "depthwise kernel gradient": (DEEP["1d"]._replace(kernel=(33,)), "wgrad", "bfloat16", "cuda",
                                  "32 taps at most, not 33"),
    "lines": (THIN, "dgrad", "float32", "cuda", "lines of 32 channels, and there are 3"),
    "depthwise taps": (COARSE._replace(kernel=(129,)), "dgrad", "float32", "cuda", "129 products"),
    "shared memory": (STRIDED, "fprop", "float32", "cuda", "KiB of shared memory"),
    "float64 on a TPU": (TILED["k_is_s"], "dgrad", "float64", "tpu", "this is float64"),
    "taps": (one_axis("", 3, 70), "dgrad", "float32", "tpu", "70 products"),
    "memory": (LARGE, "dgrad", "float32", "tpu", "12 MiB of VMEM"),
}  # fmt: skip


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
    with pytest.raises(ValueError, match="platform must be 'tpu' or 'cuda', got 'rocm'"):
        interpreted("rocm")
