"""What convolutions cost as XLA does them: where it multiplies zeros, and where it does not."""

from __future__ import annotations

from jtconv.methods.task import Cost, Task


def cost(task: Task) -> Cost:
    """What XLA multiplies depends on the platform, and on whether it finds a form it knows.

    Zeros inserted between the cells of x are numbers like any other, but for two forms of dgrad:
    the one that XLA:GPU hands to the library, and the one that XLA:CPU has a loop of its own for,
    which computes and holds every stamp whole.
    """
    if task.side != "dgrad" or _is_backward_data(task):
        return Cost(task.multiply_adds, 0)
    if sums_stamps(task):
        stamps = task.stamp_bytes // task.accumulator.itemsize
        return Cost(stamps * task.depth, 4 * stamps)
    waste = 1.0
    for axis in task.geometry:
        waste *= axis.output * axis.kernel / max(axis.multiply_adds, 1)
    return Cost(round(task.multiply_adds * waste), 0)


def _is_backward_data(task: Task) -> bool:
    """What XLA:GPU makes a backward-data kernel of cuDNN or MIOpen of.

    ``MatchBackwardInput`` in ``xla/backends/gpu/transforms/conv_rewriter.cc``: one group, no
    dilation, and a padding of the forward convolution that is not negative.
    """
    plain = task.groups == 1 and len(task.geometry) <= 3
    padded = all(a.dilation == 1 and a.lo >= 0 and a.hi > -a.stride for a in task.geometry)
    return task.platform in ("cuda", "rocm") and plain and padded


def sums_stamps(task: Task) -> bool:
    """What XLA:CPU computes as a matrix product and adds up.

    ``CanUseCustomTransposedConv`` in ``xla/backends/cpu/runtime/convolution_lib.h``.
    """
    strided = any(a.stride > 1 for a in task.geometry)
    plain = task.groups == 1 and len(task.geometry) <= 2
    known = task.is_half or task.dtype.name == "float32"
    undilated = all(a.dilation == 1 for a in task.geometry)
    return task.platform == "cpu" and strided and plain and known and undilated
