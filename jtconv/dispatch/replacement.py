"""Whether a convolution written for XLA is computed by an algorithm of ours, or left as it is.

The rules say where XLA's own convolution is slow.  They were measured on two cores of a CPU without
AMX, jax 0.10.2, each side beside XLA's (times are XLA's / ours); where XLA's is not known to be
slow it is kept, and so it is on every platform on which nothing was measured.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from jtconv.dispatch.choose import Choice, advised, automatic
from jtconv.problem.reading import Form
from jtconv.problem.task import Side, Task

HALVES = ("bfloat16", "float16")
XLA = "xla"  # the method of a choice that leaves a convolution as it is


@dataclass(frozen=True)
class Slow:
    """Where XLA's own convolution is slow, and by how much."""

    when: Callable[[Task, Form], bool]
    reason: str
    sides: tuple[Side, ...] = ("dgrad", "fprop", "wgrad")
    dtypes: tuple[str, ...] = ("float32", *HALVES)


def replacement(task: Task, form: Form) -> Choice:
    """The method that computes ``form``, read as ``task``, faster than XLA does; else ``XLA``.

    The reason of a choice says what makes XLA slow, or why its convolution is kept.
    """
    if task.platform != "cpu":
        return Choice(XLA, f"nothing is measured on {task.platform}")
    measured = advised(task)
    choice = measured or automatic(task)
    if choice.method == "dilated":
        return Choice(XLA, f"as jtconv would compute it: {choice.reason}")
    if measured:
        return measured
    for slow in SLOW:
        if task.side in slow.sides and task.dtype.name in slow.dtypes and slow.when(task, form):
            return Choice(choice.method, f"{slow.reason}; {choice.reason}", choice.tile)
    return Choice(XLA, "not known to be slow")


def _is_strided(task: Task) -> bool:
    return any(axis.stride > 1 for axis in task.geometry)


def _has_one_tap(task: Task) -> bool:
    return math.prod(task.geometry.kernel) == 1


SLOW = (
    # depthwise k3, 4x56x56x96: fprop 98 / 1.0 ms, dgrad 53 / 1.1, wgrad 78 / 5.0; 3x3 in 32 groups,
    # 2x28x28x128: 4.3 / 1.5, 4.4 / 1.0, 2509 / 1.5; in 2 groups 5.1 / 2.9, 5.5 / 3.3, 161 / 2.6
    Slow(lambda task, form: task.groups > 1, "XLA has no fast convolution in groups here"),
    # k3, 16 -> 16, 16x16x16: 3.3 / 1.0 ms, 4.0 / 0.9, 15 / 1.3
    Slow(lambda task, form: form.rank > 2, "XLA has no fast convolution of three axes here"),
    # k1 s2, 256 -> 512, 4x28x28: dgrad 5.7 / 2.5 ms, wgrad 5.6 / 2.5, but fprop 2.3 / 2.4
    Slow(
        lambda task, form: _has_one_tap(task) and _is_strided(task),
        "one tap with a stride: XLA multiplies the zeros between",
        sides=("dgrad", "wgrad"),
    ),
    # k1, 256 -> 64, 4x28x28: wgrad 2.9 / 1.5 ms, but fprop 1.3 / 1.1, dgrad 1.1 / 1.1
    Slow(
        lambda task, form: _has_one_tap(task),
        "one tap: a matrix product, which XLA does not see in it",
        sides=("wgrad",),
    ),
    # the same in bfloat16: 2.1 / 1.0 ms, 1.6 / 0.9, 5.5 / 1.3
    Slow(
        lambda task, form: _has_one_tap(task),
        "one tap: a matrix product, which XLA does not see in it",
        dtypes=HALVES,
    ),
    # k7 s2, 64 -> 3, 112x112: 44 / 31 ms; k4 s2, 64 -> 3, 32x32: 0.65 / 0.46
    Slow(
        lambda task, form: _is_strided(task) and task.y_channels <= 4,
        "a stride and few channels to write: XLA was measured to be slower",
        sides=("dgrad",),
    ),
    # k16 s16, 192 -> 3, 14x14: 85 / 1.6 ms
    Slow(
        lambda task, form: _is_strided(task) and _is_swapped_by_xla(task),
        "a kernel of more cells than the input, which XLA takes for the input",
        sides=("dgrad",),
    ),
)


def _is_swapped_by_xla(task: Task) -> bool:
    """Whether XLA exchanges input and kernel first, and then knows no fast way for its form."""
    g = task.geometry
    return math.prod(g.kernel) > math.prod(g.x_size)
