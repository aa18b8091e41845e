"""The kernels behind "pallas": interpreted against the loop, lowered for their platforms.

The laws ask "pallas" too, of its TPU kernel (see conftest).  Here are the problems those are too
small for, blocks that do not divide sizes, and everything about the kernel for Hopper.
"""

from __future__ import annotations

import itertools
import math

import jax
import jax.numpy as jnp
import pytest
from jax.experimental.pallas import mosaic_gpu
from jax.experimental.pallas import tpu as pallas_tpu

from jtconv import primitives
from jtconv.geometry import Axis, Geometry
from jtconv.methods import METHODS, Task
from jtconv.methods.kernels import tpu
from jtconv.methods.kernels.interpret import interpreted
from jtconv.methods.kernels.walk import AxisWalk, Walk, box, unravel
from tests import oracle
from tests.axes import each
from tests.cases import Case, one_axis
from tests.compare import assert_close

can_interpret_gpus = pytest.mark.skipif(
    not hasattr(mosaic_gpu, "InterpretGPUParams"),
    reason=f"jax {jax.__version__} cannot interpret GPU kernels: 0.11 and later can",
)

BLOCKED = (
    one_axis("audio", 37, 4, 2, crops=(1, 1), channels=3),
    one_axis("dilated", 21, 3, 3, 2, (-2, 1), groups=2, channels=4, features=2),
    Case("k_is_s", (9, 5), (2, 2), (2, 2), (1, 1), ((0, 0), (0, 0))),
    Case("k3_s2", (7, 6), (3, 3), (2, 2), (1, 1), ((1, 0), (1, 0))),
    Case("volume", (5, 2, 3), (3, 2, 2), (2, 2, 1), (1, 1, 1), ((1, 0), (0, 0), (0, -1))),
)
# Channels by the 16; cells in no multiple of a box; a batch that boxes reach across.
TILED = (
    Case("k_is_s", (5, 6), (2, 2), (2, 2), (1, 1), ((0, 0), (0, 0)), 32, 16, 1, 2),
    Case("k_is_s_cut", (3, 5), (2, 3), (2, 3), (1, 1), ((0, 1), (0, 2)), 16, 16, 1, 1),
    Case("k_is_2s", (4, 5), (4, 4), (2, 2), (1, 1), ((1, 1), (1, 1)), 16, 32, 1, 1),
    Case("k3_s2", (3, 4), (3, 3), (2, 2), (1, 1), ((1, 0), (0, 1)), 16, 16, 1, 3),
    Case("volume", (2, 3, 2), (2, 2, 2), (2, 2, 2), (1, 1, 1), ((0, 0),) * 3, 16, 16, 1, 1),
    one_axis("audio", 70, 4, 2, crops=(1, 1), channels=64, features=64, batch=1),
    one_axis("dilation_is_stride", 9, 3, 2, 2, (1, 0), channels=16, features=16),
    one_axis("extended", 6, 2, 3, 1, (-2, -3), channels=16, features=16),
)

# Lines of 64 halves, or of 32 floats; columns of 16 cells, and one begun.
DEEP = (
    one_axis("depthwise_1d", 21, 3, 2, 1, (1, -1), channels=64, features=64, groups=64, batch=1),
    Case("depthwise", (3, 17), (3, 2), (2, 1), (1, 1), ((1, 0), (0, 1)), 64, 64, 64, 1),
    Case("depthwise_2s", (5, 18), (4, 4), (2, 2), (1, 1), ((1, 1), (1, 0)), 128, 128, 128, 2),
    Case("depthwise_dilated", (4, 9), (2, 3), (3, 2), (2, 2), ((-2, 1), (1, 0)), 64, 64, 64, 1),
)


def task_of(case: Case, side, dtype, platform: str = "cpu") -> Task:
    columns = case.input, case.kernel, case.stride, case.dilation, case.crops
    geometry, dtype = Geometry.of(*columns, case.groups), jnp.dtype(dtype)
    channels = case.channels, case.features
    return Task(side, geometry, case.batch, *channels, dtype, dtype, platform)


def compute(task: Task, a, b):
    """The method itself: primitives would refuse a platform that is not here."""
    assert METHODS["pallas"].refuse(task) is None
    return getattr(METHODS["pallas"], task.side)(a, b, task)


def sides_of(case: Case, rng, dtype):
    """Every side with its operands and what the loop makes of them."""
    x, w, y = (jnp.asarray(a, dtype) for a in case.operands(rng))
    return {
        "dgrad": ((x, w), oracle.conv_transpose(x, w, case)),
        "fprop": ((y, w), oracle.conv(y, w, case)),
        "wgrad": ((x, y), oracle.kernel_gradient(x, y, case)),
    }


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(c, id=c.name, marks=() if c.name in ("audio", "k3_s2") else pytest.mark.slow)
        for c in BLOCKED
    ],
)
def test_tpu_blocks_that_do_not_divide_the_rows(case, monkeypatch, rng):
    monkeypatch.setattr(tpu, "ROWS", 8)
    for side, (operands, want) in sides_of(case, rng, jnp.float64).items():
        with interpreted("tpu"):
            task = task_of(case, side, "float64")
            blocks = tpu.blocks(task)
            assert blocks and blocks.steps > 1
            assert_close(compute(task, *operands), want)


@pytest.mark.parametrize("side", ["dgrad", "fprop", "wgrad"])
def test_tpu_channels_in_chunks(side, monkeypatch, rng):
    """Contracted, kept and given in parts, where whole ones would not fit VMEM."""
    case = one_axis("chunks", 9, 4, 2, channels=6, features=2)
    monkeypatch.setattr(tpu, "CHUNKS", (3, 2))
    monkeypatch.setattr(tpu, "VMEM_BYTES", 2000)
    operands, want = sides_of(case, rng, jnp.float64)[side]
    with interpreted("tpu"):
        task = task_of(case, side, "float64")
        blocks = tpu.blocks(task)
        assert blocks and blocks.chunk < 6
        assert_close(compute(task, *operands), want)


@pytest.mark.parametrize("side", ["dgrad", "fprop", "wgrad"])
@pytest.mark.parametrize("dtype", [pytest.param("float32", marks=pytest.mark.slow), "bfloat16"])
def test_tpu_memory_that_starts_as_nan(dtype, side, monkeypatch, rng):
    """Pallas's simulation of a TPU: nothing may be read that was not written."""
    monkeypatch.setattr(tpu, "ROWS", 8)
    case = Case("k3_s2", (3, 4), (3, 3), (2, 2), (1, 1), ((1, 0), (0, 1)), 3, 2)
    operands, want = sides_of(case, rng, dtype)[side]
    with interpreted("tpu", pallas_tpu.InterpretParams()):
        got = compute(task_of(case, side, dtype), *operands)
    assert_close(got, want, dtype)


# An interpreted kernel takes seconds to compile: of the others -m slow asks.
SAMPLE = ("k_is_s_cut-dgrad", "k_is_2s-dgrad", "k_is_2s-fprop", "k3_s2-dgrad", "audio-fprop")
BOTH = [
    pytest.param(case, side, id=name, marks=() if name in SAMPLE else pytest.mark.slow)
    for case in TILED
    for side in ("dgrad", "fprop")
    for name in [f"{case.name}-{side}"]
]


@can_interpret_gpus
@pytest.mark.parametrize(("case", "side"), BOTH)
def test_hopper(case, side, rng):
    dtype = "float16" if case.name == "k3_s2" else "bfloat16"
    operands, want = sides_of(case, rng, dtype)[side]
    with interpreted("cuda"):
        got = compute(task_of(case, side, dtype), *operands)
    assert_close(got, want, dtype)


@can_interpret_gpus
@pytest.mark.parametrize("dtype", ["float32", pytest.param("bfloat16", marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "case",
    [pytest.param(c, id=c.name, marks=pytest.mark.slow if c in DEEP[2:] else ()) for c in DEEP],
)
def test_depthwise(case, dtype, rng):
    operands, want = sides_of(case, rng, dtype)["dgrad"]
    with interpreted("cuda"):
        got = compute(task_of(case, "dgrad", dtype), *operands)
    assert_close(got, want, dtype)


@each(DEEP[:2])
def test_depthwise_lowers_for_cuda(case, rng):
    operands, _ = sides_of(case, rng, "bfloat16")["dgrad"]
    assert "mosaic_gpu" in lowered(task_of(case, "dgrad", "bfloat16", "cuda"), operands, "cuda")


@pytest.mark.parametrize("platform", ["cuda", "tpu"])
def test_the_primitive_lowers_to_the_kernel(platform):
    """As a call on that platform would: its own method, and the gradient by x too."""
    case = TILED[0]
    geometry = task_of(case, "dgrad", "bfloat16").geometry
    x, w = (jax.ShapeDtypeStruct(shape, jnp.bfloat16) for shape in (case.x_shape, case.w_shape))
    static = {"geometry": geometry, "precision": None, "result": "bfloat16"}

    def gradient(x, w):
        y, pull = jax.vjp(lambda x: primitives.dgrad(x, w, method=("pallas",), **static), x)
        return pull(y)

    lowered = jax.jit(gradient).trace(x, w).lower(lowering_platforms=(platform,))
    text = lowered.as_text(debug_info=True)
    for side in ("dgrad", "fprop"):
        assert f"jtconv_{side}_pallas" in text
    assert text.count("mosaic_gpu_v2" if platform == "cuda" else "@tpu_custom_call") >= 2


@pytest.mark.parametrize("side", ["dgrad", "fprop"])
@each([case for case in TILED if case.name in ("k_is_s", "k_is_2s", "volume")])
def test_hopper_lowers_for_cuda(case, side, rng):
    operands, _ = sides_of(case, rng, "bfloat16")[side]
    text = lowered(task_of(case, side, "bfloat16", "cuda"), operands, "cuda")
    assert "mosaic_gpu" in text
    assert "wgmma" in text


@pytest.mark.parametrize("side", ["dgrad", "fprop", "wgrad"])
@each([case for case in BLOCKED if case.name != "dilated"])
def test_tpu_lowers_for_tpu(case, side, rng):
    operands, _ = sides_of(case, rng, "bfloat16")[side]
    assert "tpu_custom_call" in lowered(task_of(case, side, "bfloat16", "tpu"), operands, "tpu")


def lowered(task: Task, operands, platform: str) -> str:
    traced = jax.jit(lambda a, b: compute(task, a, b)).trace(*operands)
    return traced.lower(lowering_platforms=(platform,)).as_text()


REFUSALS = {
    "on a CPU": (TILED[0], "dgrad", "bfloat16", "cpu", "this runs on cpu"),
    "on another GPU": (TILED[0], "dgrad", "bfloat16", "rocm", "this runs on rocm"),
    "float32": (TILED[0], "dgrad", "float32", "cuda", "16-bit floats, not float32"),
    "kernel gradient": (TILED[0], "wgrad", "bfloat16", "cuda", "kernel gradient"),
    "channels": (BLOCKED[2], "fprop", "bfloat16", "cuda", "these are 6 and 2"),
    "groups": (BLOCKED[1], "dgrad", "bfloat16", "cuda", "one group"),
    "depthwise back": (DEEP[0], "fprop", "bfloat16", "cuda", "written for dgrad"),
    "lines": (
        one_axis("lines", 3, 3, channels=3, features=3, groups=3), "dgrad", "float32", "cuda",
        "lines of 32 channels, and there are 3",
    ),
    "float64": (TILED[0], "dgrad", "float64", "tpu", "this is float64"),
    "taps": (one_axis("taps", 3, 70), "dgrad", "float32", "tpu", "70 products"),
    "memory": (
        Case("memory", (1, 9000), (1, 1), (1, 1), (1, 1), ((0, 0), (0, 0)), 1000, 1000),
        "dgrad", "float32", "tpu", "12 MiB of VMEM",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSALS)
def test_refusals(name):
    case, side, dtype, platform, words = REFUSALS[name]
    assert words in METHODS["pallas"].refuse(task_of(case, side, dtype, platform))


def test_only_known_platforms_are_interpreted():
    with pytest.raises(ValueError, match="platform must be 'tpu' or 'cuda', got 'rocm'"):
        interpreted("rocm")


# The arithmetic of the walk, against the geometry's own lists.

AXES = [
    Axis.cropped(n, k, s, d, lo, hi)
    for n, k, s, d, lo, hi in itertools.product((1, 4), (1, 2, 3, 5), (1, 2, 3, 4), (1, 2, 3, 4),
                                                (-3, 0, 1, 4), (-1, 0))
    if (n - 1) * s + d * (k - 1) + 1 - lo - hi > 0
]  # fmt: skip


def test_a_walk_meets_every_tap_of_every_phase():
    for axis in AXES:
        walk = AxisWalk(axis, "dgrad")
        for phase in axis.phases:
            steps = [walk.step(phase.residue, j) for j in range(walk.count(phase.residue))]
            met = sorted((step.tap, step.shift) for step in steps)
            assert met == sorted(zip(phase.taps, phase.offsets, strict=True)), axis


def test_a_walk_back_meets_every_tap():
    for axis in AXES:
        walk = AxisWalk(axis, "fprop")
        assert walk.count(0) == axis.kernel
        for t in range(axis.kernel):
            step = walk.step(0, t)
            assert step.tap == t and 0 <= step.phase < axis.stride
            assert axis.stride * step.shift + step.phase == axis.dilation * t - axis.lo


@pytest.mark.parametrize("side", ["dgrad", "fprop"])
def test_the_front_is_what_is_read_before_the_first_cell(side):
    for axis in AXES:
        walk = AxisWalk(axis, side)
        shifts = [walk.step(r, j).shift for r in range(walk.phases) for j in range(walk.count(r))]
        assert walk.front == max(0, -min(shifts, default=0))


def test_flat_numbers_and_boxes():
    assert [unravel(i, (2, 3)) for i in range(6)] == list(itertools.product(range(2), range(3)))
    walk = Walk.of(Geometry.of((3, 3), (4, 2), (2, 2)), "dgrad")
    assert walk.phases == (2, 2) and walk.results == (4, 3) and walk.counts((0, 1)) == (2, 1)
    tap, steps = walk.step((0, 1), (1, 0))
    assert tap == 2 * 2 + 1 and [step.shift for step in steps] == [-1, 0]
    for sizes in ((1, 37, 37), (64, 4, 4), (1, 51200), (2, 16, 16, 16), (1, 14, 14)):
        assert math.prod(box(sizes, 64)) == 64
    assert box((64, 4, 4), 64) == (4, 4, 4) and box((1, 100), 64) == (1, 64)
