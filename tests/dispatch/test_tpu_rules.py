"""What is chosen on TPUs, layer by layer: the figures are in the rules."""

from __future__ import annotations

import jax.numpy as jnp
import pytest

from jtconv.dispatch import choose, rules
from jtconv.problem.geometry import Geometry
from jtconv.problem.task import Task

HALF = jnp.dtype("bfloat16")
ALL = ("dilated",) * 3
# batch, space, channels, kernel, stride, crops, groups; dgrad, fprop and wgrad
LAYERS = {
    "dcgan": ((64, (16, 16), (128, 64), 4, 2, 1, 1), ALL),
    "k = s": ((8, (64, 64), (128, 64), 2, 2, 0, 1), ALL),
    "image": ((64, (32, 32), (64, 3), 4, 2, 1, 1), ("phases", "dilated", "dilated")),
    "image of 3-D": ((64, (11, 18, 12), (96, 3), 4, 2, 1, 1), ("phases", "dilated", "dilated")),
    "patchify": ((8, (14, 14), (768, 3), 16, 16, 0, 1), ("phases", "dilated", "dilated")),
    "fcn8s": ((1, (70, 70), (21, 21), 16, 8, 0, 1), ("phases",) * 3),
    "fcn8s, batch 16": ((16, (18, 75), (3, 21), 16, 8, 4, 1), ("phases", "dilated", "dilated")),
    "depthwise": ((16, (64, 64), (64, 64), 4, 2, 1, 64), ALL),
    "groups": ((64, (32, 32), (128, 128), 4, 2, 1, 4), ("dense",) * 3),
    "wide groups": ((64, (6, 18), (96, 384), 7, 1, 3, 4), ALL),
    "volume": ((2, (16, 16, 16), (64, 32), 4, 2, 1, 1), ("fold", "fold", "dilated")),
    "volume, k = s": ((2, (8, 8, 8), (320, 256), 2, 2, 0, 1), ALL),
    "volume, few channels": ((2, (12, 17, 20), (384, 8), 2, 2, 0, 1), ("fold",) * 3),
    "volume, few channels that overlap": (
        (4, (19, 6, 6), (256, 16), 4, 2, 1, 1),
        ("fold", "dilated", "fold"),
    ),
    "volume, batch 64": ((64, (16, 16, 16), (64, 32), 4, 2, 1, 1), ALL),
    "audio": ((1, (800,), (512, 256), 16, 8, 4, 1), ("gemm",) * 3),
    "audio, batch 4": ((4, (800,), (512, 256), 16, 8, 4, 1), ("dilated", "dilated", "gemm")),
    "audio, long": ((1, (6880,), (768, 384), 16, 8, 4, 1), ("gemm", "gemm", "dilated")),
    "audio, batch 8": ((8, (800,), (512, 256), 16, 8, 4, 1), ALL),
}


def tasks(name):
    (batch, space, channels, kernel, stride, crop, groups), _ = LAYERS[name]
    rank = len(space)
    crops = ((crop, crop),) * rank
    geometry = Geometry.of(space, (kernel,) * rank, (stride,) * rank, None, crops, groups)
    for side in ("dgrad", "fprop", "wgrad"):
        yield Task(side, geometry, batch, *channels, HALF, HALF, "tpu")


@pytest.mark.parametrize("name", LAYERS)
def test_choice(name):
    assert tuple(choose.automatic(task).method for task in tasks(name)) == LAYERS[name][1]


def test_costs_reckon_with_tiles_of_8_by_128():
    """Columns of 32 channels and 4 taps: 4.3 GB by XLA's own account, and not the 0.5 they hold."""
    (task, *_) = tasks("groups")
    held = task.im2col_elements * 4
    assert held == 536_870_912
    assert task.tiled(task.im2col_elements, 4, 32) * 4 == 8 * held
    assert rules.holds_too_much(task, choose.cost("gemm", task))
    assert not rules.holds_too_much(task, choose.cost("dense", task))
