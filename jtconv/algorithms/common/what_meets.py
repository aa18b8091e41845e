"""What meets, and nothing else: XLA's convolution with the loop that it writes itself.

XLA:CPU has libraries for up to three spatial axes, which multiply the zeros of a padding like any
others.  With four axes it writes a loop, which passes over what lies outside of an array, so that
an infinity or a NaN reaches what it meets.  Cells that meet nothing are cut off before, since
zeros in their place would be numbers, and groups are taken one after another, since XLA may make
one of them, with zeros between, and gathers a sharded batch of them.  All this is slow to run and
quick to compile: the answer where a faster way might have spread an infinity (`common.infinities`).
"""

from __future__ import annotations

from dataclasses import replace

import jax
from jax import lax

from jtconv.algorithms.algorithm import compute
from jtconv.algorithms.common import arrays, xla_conv
from jtconv.problem.geometry import Axis, Geometry
from jtconv.problem.task import ROLES, Task

AXES = 4


def by_law(a: jax.Array, b: jax.Array, task: Task) -> jax.Array:
    """The side that ``task`` is of, by the loop that XLA writes for it."""
    if task.groups == 1:
        return _by_loop(a, b, task)
    one = replace(
        task,
        geometry=Geometry(task.geometry.axes),
        x_channels=task.x_channels_per_group,
        y_channels=task.y_channels_per_group,
    )
    pairs = arrays.split_groups(a, task.groups), arrays.split_groups(b, task.groups)
    return arrays.join_groups(lax.map(lambda pair: _by_loop(pair[0], pair[1], one), pairs))


def _by_loop(a: jax.Array, b: jax.Array, task: Task) -> jax.Array:
    """The same for one group."""
    g = task.geometry
    meeting = [axis.meeting for axis in g]
    if not all(x and y for x, y in meeting):
        return _nothing(a, b, task)
    spans = dict(zip("xy", zip(*meeting, strict=True), strict=True))
    axes = tuple(_cut(axis, x, y) for axis, (x, y) in zip(g, meeting, strict=True))
    more = (Axis(1, 1, 1),) * (AXES - len(g))
    wide = replace(task, geometry=Geometry((*more, *axes), g.groups))

    def operand(array: jax.Array, role: str) -> jax.Array:
        """Cut to what meets, with four axes."""
        if role == "w":
            return array.reshape(*(1,) * len(more), *array.shape)
        array = array[(slice(None), *(slice(span.start, span.stop) for span in spans[role]))]
        return array.reshape(array.shape[0], *(1,) * len(more), *array.shape[1:])

    roles = ROLES[task.side]
    result = compute(xla_conv, operand(a, roles[0]), operand(b, roles[1]), wide)
    if task.side == "wgrad":
        return result.reshape(result.shape[len(more) :])
    result = result.reshape(result.shape[0], *result.shape[1 + len(more) :])
    role, sizes = ("y", g.y_size) if task.side == "dgrad" else ("x", g.x_size)
    return arrays.window(result, [-span.start for span in spans[role]], sizes)


def _cut(axis: Axis, x: range, y: range) -> Axis:
    """The axis between what meets: none of its crops is negative, or longer than the kernel."""
    lo = axis.lo + y.start - axis.stride * x.start
    return replace(axis, x_size=len(x), y_size=len(y), lo=lo)


def _nothing(a: jax.Array, b: jax.Array, task: Task) -> jax.Array:
    """Nothing meets, so nothing is multiplied."""
    g = task.geometry
    shape = {
        "dgrad": (a.shape[0], *g.y_size, task.y_channels),
        "fprop": (a.shape[0], *g.x_size, task.x_channels),
        "wgrad": (*g.kernel, task.x_channels_per_group, task.y_channels),
    }
    return arrays.zeros(shape[task.side], a, task.accumulator)
