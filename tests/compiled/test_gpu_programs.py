"""Programs compiled for an H100, which needs NVIDIA's assembler and no GPU: that they compile at
all, what they call of cuDNN, and what they move.
"""

from __future__ import annotations

import functools
import itertools
import subprocess
import sys
from importlib.util import find_spec

import jax
import jax.numpy as jnp
import pytest

import jtconv
from bench.cases import Case, select
from bench.compiled import gpu, programs
from bench.compiled.programs import ALL_SIDES, AUTO, PEER, Part
from tests.selection import rows

pytestmark = pytest.mark.skipif(
    find_spec("jax_cuda12_plugin") is None,
    reason="jax-cuda12-plugin is not installed, which compiles for GPUs",
)


@pytest.fixture(autouse=True)
def as_users_have_it():
    """Other tests compute in double precision."""
    with jax.enable_x64(False):
        yield


def layer(channels, kernel, stride, size, padding=0, groups=1, dilation=1):
    words = {"groups": groups, "dilation": dilation}
    return Case("a layer", "a test", channels, kernel, stride, size, size, padding, **words)


@functools.cache
def counted(case, side, dtype, form):
    """A side alone by a form, and by ``auto`` as it is for GPUs, wherever this runs."""
    function, arguments, _ = programs.program(Part(case, side, dtype, "cuda"), form, "bare")
    return gpu.meter(function, arguments, "h100")


LAYERS = {
    "k = 2s": layer((32, 16), 4, 2, (2, 6, 5), 1),
    "k = s": layer((32, 16), 2, 2, (2, 6, 5)),
    "k3 s2": layer((16, 32), 3, 2, (2, 6, 5), 1),
    "stride 1": layer((16, 16), 3, 1, (2, 6, 5), 1),
    "groups": layer((32, 32), 4, 2, (2, 6, 5), 1, groups=4),
    "depthwise": layer((16, 16), 4, 2, (2, 6, 5), 1, groups=16),
    "dilated": layer((16, 16), 3, 2, (2, 6, 5), 2, dilation=2),
    "1-D": layer((16, 8), 16, 8, (2, 20), 4),
    "3-D": layer((16, 8), 2, 2, (2, 4, 3, 5)),
    "3-D, k = 2s": layer((16, 8), 4, 2, (2, 4, 3, 5), 1),
    "few channels": layer((3, 3), 16, 8, (1, 9, 9)),
    "kernel beyond x": layer((4, 4), 12, 4, (1, 3, 3)),
}
NO_CONVOLUTION_OF = ("int8", "int16", "int32", "complex64")
COMMON = [f"{name} {dtype}" for name in ("k = 2s", "1-D") for dtype in ("int8", "complex64")]


@pytest.mark.parametrize("side", ALL_SIDES)
@pytest.mark.parametrize(
    ("name", "dtype"),
    rows({f"{n} {d}": (n, d) for n, d in itertools.product(LAYERS, NO_CONVOLUTION_OF)}, COMMON),
)
def test_numbers_that_cudnn_has_no_convolution_of_do_not_reach_it(name, dtype, side):
    """XLA refuses int8, calls what is not there for int32, and inserts zeros for complex64."""
    cost = counted(LAYERS[name], side, dtype, AUTO)
    assert cost.count and not cost.calls_of("cudnn")


EVERY_METHOD = [("k = 2s", "int8"), ("groups", "int8"), ("3-D", "int8"), ("1-D", "complex64")]


@pytest.mark.parametrize("side", ALL_SIDES)
@pytest.mark.parametrize(
    ("name", "dtype"), rows({f"{n} {d}": (n, d) for n, d in EVERY_METHOD}, default=[])
)
def test_what_is_not_refused_compiles(name, dtype, side):
    """By every method that says that it can do this on a GPU."""
    part = Part(LAYERS[name], side, dtype, "cuda")
    for form in programs.forms(part):
        if form not in (PEER, "scatter"):
            assert counted(LAYERS[name], side, dtype, form).count


@pytest.mark.parametrize("dtype", ["int8", "complex64"])
@pytest.mark.parametrize("function", [jtconv.conv_transpose, jtconv.conv])
def test_functions_choose_for_the_gpu_that_they_are_lowered_for(function, dtype):
    """On a host that has none."""
    struct = [jax.ShapeDtypeStruct(s, jnp.dtype(dtype)) for s in ((4, 16, 16, 32), (4, 4, 32, 32))]
    cost = gpu.meter(lambda a, w: function(a, w, stride=2, padding=1), struct, "h100")
    assert cost.count and not cost.calls_of("cudnn")


FOUR_AXES = """
from bench.cases import Case
from bench.compiled import gpu, programs
from bench.compiled.programs import ALL_SIDES, AUTO, PEER, Part

size = 1, 3, 3, 3, 3
for kernel, groups, dtype in ((3, 1, "bfloat16"), (2, 1, "float32"), (2, 4, "float32")):
    case = Case("4-D", "", (4, 4), kernel, 2, size, size, groups=groups)
    for side in ALL_SIDES:
        part = Part(case, side, dtype, "cuda")
        others = [f for f in programs.forms(part) if f not in (PEER, "scatter")]
        for form in [AUTO, *(others if kernel == 2 else [])]:
            function, arguments, _ = programs.program(part, form, "bare")
            cost = gpu.meter(function, arguments, "h100")
            print(kernel, groups, side, form, cost.count, cost.calls_of("cudnn"), flush=True)
"""


def test_four_axes_compile():
    """cuDNN has convolutions of three at most; asked for four, XLA ends the process."""
    command = [sys.executable, "-c", FOUR_AXES]
    told = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert told.returncode == 0, (
        f"the last that compiled: {told.stdout[-200:]} {told.stderr[-500:]}"
    )
    assert len(told.stdout.splitlines()) > 12


# By ``auto``, bfloat16: cuDNN's calls and megabytes moved by dgrad, fprop and wgrad.
NAMED = {
    "dcgan4": ((1, 13.4), (1, 13.4), (1, 13.4)),
    "unet4": ((1, 118.2), (1, 118.2), (1, 118.2)),
    "groups4": ((1, 85.1), (1, 84.3), (1, 84.3)),
    "centernet2": ((0, 41.9), (0, 41.9), (1, 42.2)),
    "fcn32s": ((0, 199.4), (0, 116.9), (0, 111.4)),
    "nnunet4": ((0, 218.2), (0, 218.5), (0, 235.3)),
    "dilated": ((1, 58.9), (1, 58.9), (0, 212.0)),
    "volume4": ((1, 206.7), (1, 250.9), (1, 126.6)),
    "volume3": ((1, 126.2), (1, 254.6), (1, 126.2)),
    "hifigan3": ((1, 26.4), (0, 78.8), (0, 95.6)),
    "fcn8s_upscore8": ((0, 225.2), (0, 126.4), (0, 124.0)),
    "stylegan2": ((1, 204.1), (1, 204.1), (1, 204.1)),
    "maskrcnn": ((1, 51.7), (1, 51.7), (1, 51.7)),
    "pose1": ((1, 59.8), (1, 59.8), (1, 59.8)),
    "stride1": ((1, 18.0), (1, 18.0), (1, 18.0)),
    "vae": ((1, 57.4), (1, 125.0), (1, 57.4)),
}


@pytest.mark.parametrize("name", rows(NAMED.keys(), ["dcgan4", "unet4"]))
def test_layers_of_networks_take_as_many_calls_and_bytes(name):
    (case,) = select([name], "full")
    for side, (calls, megabytes) in zip(ALL_SIDES, NAMED[name], strict=True):
        cost = counted(case, side, "bfloat16", AUTO)
        assert len(cost.calls_of("cudnn")) == calls
        assert cost.bytes == pytest.approx(1e6 * megabytes, rel=0.02)
        assert cost.bytes >= 0.999 * Part(case, side, "bfloat16", "cuda").task.operand_bytes


@pytest.mark.parametrize(
    ("side", "called"),
    [("dgrad", "BackwardInput"), ("fprop", "Forward"), ("wgrad", "BackwardFilter")],
)
def test_a_plain_layer_is_one_call_at_the_floor(side, called):
    """Of U-Net: cuDNN's gradient by x or w, or its convolution, and a kernel turned before it."""
    (case,) = select(["unet4"], "full")
    cost = counted(case, side, "bfloat16", "dilated")
    (call,) = cost.calls_of("cudnn")
    assert called in call and cost.count == 2
    task = Part(case, side, "bfloat16", "cuda").task
    assert cost.multiply_adds == task.multiply_adds
    assert task.operand_bytes <= cost.bytes <= 1.01 * task.operand_bytes


def test_a_grouped_gradient_is_no_call_of_cudnn_s_gradient():
    """So zeros are multiplied, four times as many as numbers."""
    (case,) = select(["groups4"], "full")
    cost = counted(case, "dgrad", "bfloat16", PEER)
    assert not any("Backward" in call for call in cost.calls_of("cudnn"))
    useful = Part(case, "dgrad", "bfloat16", "cuda").task.multiply_adds
    assert cost.multiply_adds > 4 * useful
    assert counted(case, "dgrad", "bfloat16", AUTO).bytes < cost.bytes


def test_a_kernel_larger_than_its_input_is_taken_for_a_forward_convolution():
    """By XLA, with 72 times the products: ``auto`` does not go that way."""
    (case,) = select(["fcn32s"], "full")
    useful = Part(case, "dgrad", "bfloat16", "cuda").task.multiply_adds
    assert counted(case, "dgrad", "bfloat16", PEER).multiply_adds > 50 * useful
    assert counted(case, "dgrad", "bfloat16", AUTO).multiply_adds <= 1.1 * useful


def test_the_meter_knows_a_product():
    """bfloat16, 4096^3: three quarters of 494 tera multiply-adds a second, and one launch."""
    shapes = [jax.ShapeDtypeStruct((4096, 4096), "bfloat16")] * 2
    cost = gpu.meter(lambda a, b: a @ b, shapes, "h100")
    assert (cost.count, cost.multiply_adds) == (1, 4096**3)
    assert cost.us == pytest.approx(4096**3 / (0.75 * 494e6) + 3)
