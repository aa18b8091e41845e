"""Whether a convolution written for XLA is computed by an algorithm of ours, or left as it is.

The rules say where XLA's own convolution is slow.  They were measured on two cores of a CPU without
AMX, jax 0.10.2, each side beside XLA's, and on an NVIDIA H200, jax 0.11.2; what is not known to be
slow is kept, and so it is on every platform on which nothing was measured.

Nobody asked for other numbers: methods that differ from the others by more than the order of sums,
such as transforms, are not taken here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from jtconv.algorithms import ALGORITHMS
from jtconv.algorithms.algorithm import WithNote
from jtconv.dispatch.choose import ADVISOR, Advisor, Choice, advised, static
from jtconv.problem.reading import Form
from jtconv.problem.task import Side, Task

HALVES = ("bfloat16", "float16")
XLA = "xla"  # the method of a choice that leaves a convolution as it is
NOTED = tuple(name for name, method in ALGORITHMS.items() if isinstance(method, WithNote))

# Milliseconds that XLA's own convolution and ours took, in one layer.
Times = tuple[float, float]


@dataclass(frozen=True)
class Slow:
    """Where XLA's own convolution is slow: layers of that kind, and their times by side."""

    when: Callable[[Task, Form], bool]
    reason: str
    times: Mapping[Side, tuple[Times, ...]]
    dtypes: tuple[str, ...] = ("float32", *HALVES)
    platform: str = "cpu"

    def fits(self, task: Task, form: Form) -> bool:
        """Whether ``form``, read as ``task``, is one of them."""
        known = task.side in self.times and task.dtype.name in self.dtypes
        return known and task.platform == self.platform and self.when(task, form)

    def gain(self, side: Side) -> tuple[float, float]:
        """XLA's time over ours: the least and the most of the layers that were measured."""
        ratios = [theirs / ours for theirs, ours in self.times[side]]
        return min(ratios), max(ratios)


@dataclass(frozen=True)
class Replacement:
    """What computes a convolution, and what that is expected to gain.

    ``gain`` is XLA's time over ours, the least and the most measured in layers of the kind; where
    a tuning measured this very convolution it is that one ratio twice. None where it is not known.
    """

    choice: Choice
    gain: tuple[float, float] | None = None


def candidate(task: Task, by: Callable[..., Choice] = static) -> Choice:
    """The method of ours that computes ``task``, whether it is faster than XLA's or not.

    ``by`` is the choice where no tuning knows it.
    """
    return _measured(task) or by(task, without=(*NOTED, "scatter"))


def replacement(task: Task, form: Form) -> Replacement:
    """The method that computes ``form``, read as ``task``, faster than XLA does; else ``XLA``.

    The reason of a choice says what makes XLA slow, or why its convolution is kept.
    """
    if all(task.platform != slow.platform for slow in SLOW):
        return Replacement(Choice(XLA, f"nothing is measured on {task.platform}"))
    choice = candidate(task)
    if choice.method == "dilated" and not _is_kernel_gradient_with_zeros(task, form):
        return Replacement(Choice(XLA, f"as jtconv would compute it: {choice.reason}"))
    if _measured(task):
        return Replacement(choice, _tuned_gain(task, choice.method))
    if choice.method == "scatter":
        return Replacement(Choice(XLA, "no method of ours that is fast can do it"))
    for slow in SLOW:
        if slow.fits(task, form):
            reason = f"{slow.reason}; {choice.reason}"
            return Replacement(Choice(choice.method, reason), slow.gain(task.side))
    return Replacement(Choice(XLA, "not known to be slow"))


def _measured(task: Task) -> Choice | None:
    """What a tuning in force measured to be fastest, if that gives the numbers that XLA's would."""
    choice = advised(task)
    return choice if choice and choice.method not in NOTED else None


def _tuned_gain(task: Task, method: str) -> tuple[float, float] | None:
    """The ratio of two times that the tuning in force has of one task."""
    advisor: Advisor | None = ADVISOR.value
    times = [advisor.seconds(task, name) if advisor else None for name in ("dilated", method)]
    theirs, ours = times
    return (theirs / ours,) * 2 if theirs and ours else None


def _is_strided(task: Task) -> bool:
    return any(axis.stride > 1 for axis in task.geometry)


def _is_kernel_gradient_with_zeros(task: Task, form: Form) -> bool:
    """As JAX writes that of ``lax.conv_transpose``; ours has the zeros in what stands for w."""
    return task.side == "wgrad" and any(n > 1 for n in form.lhs_dilation)


def _has_one_tap(task: Task) -> bool:
    return math.prod(task.geometry.kernel) == 1


SLOW = (
    # depthwise k3, 4x56x56x96; 3x3, 2x28x28x128, in 32 groups and in 2
    Slow(
        lambda task, form: task.groups > 1,
        "XLA has no fast convolution in groups here",
        {
            "fprop": ((98, 1.0), (4.3, 1.5), (5.1, 2.9)),
            "dgrad": ((53, 1.1), (4.4, 1.0), (5.5, 3.3)),
            "wgrad": ((78, 5.0), (2509, 1.5), (161, 2.6)),
        },
    ),
    # k3, 16 -> 16, 16x16x16
    Slow(
        lambda task, form: form.rank > 2,
        "XLA has no fast convolution of three axes here",
        {"fprop": ((3.3, 1.0),), "dgrad": ((4.0, 0.9),), "wgrad": ((15, 1.3),)},
    ),
    # k1 s2, 256 -> 512, 4x28x28; but fprop 2.3 ms by XLA, 2.4 by ours
    Slow(
        lambda task, form: _has_one_tap(task) and _is_strided(task),
        "one tap with a stride: XLA multiplies the zeros between",
        {"dgrad": ((5.7, 2.5),), "wgrad": ((5.6, 2.5),)},
    ),
    # k1, 256 -> 64, 4x28x28; but fprop 1.3 ms and 1.1, dgrad 1.1 and 1.1
    Slow(
        lambda task, form: _has_one_tap(task),
        "one tap: a matrix product, which XLA does not see in it",
        {"wgrad": ((2.9, 1.5),)},
    ),
    # the same in bfloat16
    Slow(
        lambda task, form: _has_one_tap(task),
        "one tap: a matrix product, which XLA does not see in it",
        {"fprop": ((2.1, 1.0),), "dgrad": ((1.6, 0.9),), "wgrad": ((5.5, 1.3),)},
        dtypes=HALVES,
    ),
    # k7 s2, 64 -> 3, 112x112; k4 s2, 64 -> 3, 32x32
    Slow(
        lambda task, form: _is_strided(task) and task.y_channels <= 4,
        "a stride and few channels to write: XLA was measured to be slower",
        {"dgrad": ((44, 31), (0.65, 0.46))},
    ),
    # k16 s16, 192 -> 3, 14x14
    Slow(
        lambda task, form: _is_strided(task) and _is_swapped_by_xla(task),
        "a kernel of more cells than the input, which XLA takes for the input",
        {"dgrad": ((85, 1.6),)},
    ),
    # On the H200, bfloat16. Both gradients of k4 s2, 2048 -> 256, 32x8x6; k3 s2 d2, 128 -> 64;
    # 1-D k4 s2, 51200 samples; k2 s2, 320x480; 3-D k4 s2, 2x32x32x32
    Slow(
        _is_kernel_gradient_with_zeros,
        "a kernel gradient with inserted zeros, which XLA hands to no library",
        {"wgrad": ((0.155, 0.109), (3.80, 0.142), (5.72, 0.062), (25.6, 0.113), (50.1, 0.31))},
        platform="cuda",
    ),
    # depthwise k4 s2, 16x64x64x64; k3 s2 d2, 128 -> 64; 3-D k2 s2, 2x32x32x32; k64 s32, 21 -> 21,
    # 16x16; dgrad of 3-D k4 s2, too; fprop and wgrad of 1-D k4 s2, 51200 samples
    Slow(
        lambda task, form: _is_strided(task),
        "a strided form that cuDNN has no fast kernel for",
        {
            "dgrad": ((1.32, 0.055), (0.149, 0.051), (0.60, 0.083), (14.1, 0.071), (1.01, 0.18)),
            "fprop": ((0.447, 0.04), (0.07, 0.047), (0.166, 0.071), (1.2, 0.056), (0.044, 0.032)),
            "wgrad": ((0.432, 0.054), (3.93, 0.101), (0.175, 0.076), (0.53, 0.052), (0.044, 0.034)),
        },
        platform="cuda",
    ),
    # depthwise k4 s2, 16x64x64x64
    Slow(
        lambda task, form: task.x_channels_per_group == task.y_channels_per_group == 1,
        "depthwise, which cuDNN is slow at with channels last",
        {"fprop": ((0.447, 0.040),), "wgrad": ((0.432, 0.054),)},
        platform="cuda",
    ),
)


def _is_swapped_by_xla(task: Task) -> bool:
    """Whether XLA exchanges input and kernel first, and then knows no fast way for its form."""
    g = task.geometry
    return math.prod(g.kernel) > math.prod(g.x_size)
