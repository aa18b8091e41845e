"""The kernels for GPUs: interpreted against the loop, and lowered for CUDA."""

from __future__ import annotations

import numpy as np
import pytest

import jtconv
from jtconv.algorithms.pallas.hopper import kernel_gradient
from jtconv.algorithms.pallas.hopper.implicit_gemm import ImplicitGemm
from jtconv.algorithms.pallas.interpret import interpreted
from tests.cases import Case, one_axis
from tests.compare import assert_close
from tests.kernels import can_interpret_gpus, compute, lowered, side_of, task_of

# Channels in whole tiles; positions in no multiple of a box; a batch that boxes reach across.
TILED = {
    "k_is_s": Case("", (5, 6), (2, 2), (2, 2), (1, 1), ((0, 0), (0, 0)), 32, 16, 1, 2),
    "k_is_s_cut": Case("", (3, 5), (2, 3), (2, 3), (1, 1), ((0, 1), (0, 2)), 16, 16, 1, 1),
    "k_is_2s": Case("", (4, 5), (4, 4), (2, 2), (1, 1), ((1, 1), (1, 1)), 16, 32, 1, 1),
    "k3_s2": Case("", (3, 4), (3, 3), (2, 2), (1, 1), ((1, 0), (0, 1)), 16, 16, 1, 3),
    "grouped": Case("", (3, 4), (3, 2), (2, 2), (1, 1), ((1, 0), (0, 1)), 32, 64, 2, 1),
    "audio": one_axis("", 70, 4, 2, crops=(1, 1), channels=64, features=64, batch=1),
    "dilation_is_stride": one_axis("", 9, 3, 2, 2, (1, 0), channels=16, features=16),
    "extended": one_axis("", 6, 2, 3, 1, (-2, -3), channels=16, features=16),
}
DTYPES = {"k3_s2": "float16", "dilation_is_stride": "float32", "grouped": "float32"}


def rows(names, sides, default):
    """Every name with every side; an interpreted kernel takes seconds, so most are slow."""
    pairs = [(name, side) for name in names for side in sides]
    marks = {pair: () if "-".join(pair) in default else pytest.mark.exhaustive for pair in pairs}
    return [pytest.param(*pair, id="-".join(pair), marks=marks[pair]) for pair in pairs]


SIDES = ("dgrad", "fprop", "wgrad")
HOPPER = ("k_is_s_cut-dgrad", "grouped-fprop", "k3_s2-wgrad")


@can_interpret_gpus
@pytest.mark.parametrize(("name", "side"), rows(TILED, SIDES, HOPPER))
def test_hopper(name, side, monkeypatch, rng):
    monkeypatch.setattr(kernel_gradient, "LEAST_STEPS", 1)  # so that sums have parts
    dtype = DTYPES.get(name, "bfloat16")
    operands, want = side_of(TILED[name], side, rng, dtype)
    with interpreted("cuda"):
        got = compute(task_of(TILED[name], side, dtype, "cuda"), *operands)
    # Kernel gradients of float32 are made of products of bfloat16, three for one.
    assert_close(got, want, dtype, slack=8 if (dtype, side) == ("float32", "wgrad") else 1)


@can_interpret_gpus
def test_a_call_is_refused_where_a_gpu_is_simulated():
    with interpreted("cuda"), pytest.raises(jtconv.Unsupported, match="pallas itself"):
        jtconv.conv_transpose(np.ones((1, 4, 64)), np.ones((2, 64, 64)), method="pallas")


LOWERED = "k_is_s-fprop", "k_is_2s-dgrad", "k_is_s_cut-fprop", "grouped-dgrad", "k3_s2-wgrad"


@pytest.mark.parametrize(("name", "side"), rows(TILED, SIDES, LOWERED))
def test_hopper_lowers_for_cuda(name, side, rng):
    dtype = DTYPES.get(name, "bfloat16")
    operands, _ = side_of(TILED[name], side, rng, dtype)
    text = lowered(task_of(TILED[name], side, dtype, "cuda"), operands, "cuda")
    assert "mosaic_gpu" in text
    assert "wgmma" in text


def test_tiles_grow_with_the_work():
    """Every channel is read in whole tiles, and a large layer takes the tall ones."""
    small, large = (TILED["k_is_2s"]._replace(batch=batch) for batch in (1, 4000))
    tasks = [task_of(case, "dgrad", "bfloat16") for case in (small, large)]
    gemms = [ImplicitGemm.of(task.batch, task) for task in tasks]
    assert [gemm.stages for gemm in gemms] == [4, 3]
    for gemm in gemms:
        assert gemm.source_channels % gemm.chunk == gemm.result_channels % gemm.columns == 0
