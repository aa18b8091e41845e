"""Programs compiled for TPUs, which needs libtpu and no TPU: forms, cycles and what they hold.

Ten sides of layers by what ``auto`` takes, and the same by ``jax.lax``.
"""

from __future__ import annotations

import functools
from importlib.util import find_spec
from typing import Any

import pytest

from bench.cases import Case
from bench.compiled import programs, sweep, tpu
from bench.compiled.programs import PEER, Part

pytestmark = pytest.mark.skipif(
    find_spec("libtpu") is None, reason="libtpu is not installed, which compiles for TPUs"
)


def layer(channels, kernel, stride, size, padding=0, groups=1):
    return Case("a layer", "a test", channels, kernel, stride, size, size, padding, groups=groups)


GAN = layer((128, 64), 4, 2, (64, 16, 16), 1)
WHOLE = layer((128, 64), 2, 2, (8, 32, 32))
IMAGE = layer((64, 3), 4, 2, (64, 32, 32), 1)
GROUPS = layer((256, 256), 4, 2, (8, 28, 28), 1, 32)
DEPTHWISE = layer((64, 64), 4, 2, (16, 32, 32), 1, 64)
VOLUME = layer((384, 8), 2, 2, (2, 12, 17, 20))
AUDIO = layer((512, 256), 16, 8, (1, 800), 4)

# The layer, its side, the form, and how many times ``jax.lax``'s it has to be ahead.
PROGRAMS: dict[str, tuple[Case, Any, str, float]] = {
    "GAN dgrad": (GAN, "dgrad", "dilated", 0.99),
    "k = s wgrad": (WHOLE, "wgrad", "dilated", 0.99),
    "image dgrad": (IMAGE, "dgrad", "phases", 1.5),
    "groups dgrad": (GROUPS, "dgrad", "dense", 5),
    "groups fprop": (GROUPS, "fprop", "dense", 5),
    "groups wgrad": (GROUPS, "wgrad", "dense", 3),
    "depthwise dgrad": (DEPTHWISE, "dgrad", "dilated", 0.99),
    "volume fprop": (VOLUME, "fprop", "fold", 1.5),
    "audio dgrad": (AUDIO, "dgrad", "gemm", 2),
    "audio wgrad": (AUDIO, "wgrad", "gemm", 1.5),
}


@functools.cache
def counted(case, side, form):
    found = sweep.compile_one(sweep.Work("v5e", "lone", "bfloat16", case, side, form))
    assert not found.fault
    return found


@pytest.mark.parametrize("name", PROGRAMS)
def test_what_auto_takes_is_ahead_of_lax(name):
    case, side, form, times = PROGRAMS[name]
    part = Part(case, side, "bfloat16", "tpu")
    assert programs.method(part) == form
    ours, theirs = counted(case, side, form), counted(case, side, PEER)
    assert ours.lost == 0
    assert ours.floor_us <= ours.us <= theirs.us / times
    held = max(2 * part.task.operand_bytes, 1e6 * theirs.temporary_mb)
    assert 1e6 * ours.temporary_mb <= held


def test_the_meter_knows_a_product():
    """bfloat16, 2048 x 1024 x 1024: what the matrix units need, and a tenth."""
    import jax

    shapes = [jax.ShapeDtypeStruct(s, "bfloat16") for s in ((2048, 1024), (1024, 1024))]
    cost = tpu.meter(lambda a, b: a @ b, shapes, "v5e")
    least = 2048 * 1024 * 1024 / tpu.CHIPS["v5e"].multiply_adds * 1e6
    assert least <= cost.us <= 1.15 * least
    assert cost.lost == 0


def test_layouts_are_left_to_the_compiler():
    """A lone layer is not charged for copies into rows: one convolution, and what is fused."""
    assert counted(GAN, "dgrad", PEER).operations <= 3
