"""Channels as the Hopper kernels see them: some phases are channels, and all come by the line."""

from __future__ import annotations

import jax

from jtconv.algorithms.common import arrays
from jtconv.problem.geometry import Axis, Geometry
from jtconv.problem.task import Task

LINES = (128, 64, 32)  # bytes that memory can be swizzled by: one row of a tile


def merges(g: Geometry) -> bool:
    """Whether all phases of the last axis come from one input cell: then they are channels."""
    a = g.axes[-1]
    return g.groups == 1 and a.kernel == a.stride > 1 and a.dilation == 1 and a.lo == 0


def as_multiplied(g: Geometry) -> Geometry:
    """The geometry once phases that are channels are gone."""
    if not merges(g):
        return g
    *others, last = g.axes
    return Geometry((*others, Axis(last.x_size, 1, -(-last.y_size // last.stride))))


def channels(task: Task) -> tuple[int, int]:
    """Channels of a group, phases merged in: of source and result, for wgrad those of y and x."""
    width = task.y_channels_per_group * (task.geometry.stride[-1] if merges(task.geometry) else 1)
    return (
        (task.x_channels_per_group, width)
        if task.side == "dgrad"
        else (width, task.x_channels_per_group)
    )


def line(task: Task) -> int:
    """Channels of one step: as many as one row of memory holds."""
    counts = (size // task.dtype.itemsize for size in LINES)
    return next(n for n in counts if all(size % n == 0 for size in channels(task)))


def with_merged_phases(y: jax.Array, g: Geometry) -> jax.Array:
    """y with those phases as channels, if they are."""
    if not merges(g):
        return y
    cells = -(-g.y_size[-1] // g.stride[-1])
    y = arrays.window(y, (0,) * len(g), (*g.y_size[:-1], cells * g.stride[-1]))
    return y.reshape(*y.shape[:-2], cells, -1)
