"""Layers drawn at random: what a choice is fitted to, and, from other seeds, judged on."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

from jtconv.problem.geometry import Axis, Geometry
from jtconv.problem.task import SIDES, Task
from jtconv.typing import Op

# What a layer may cost: enough to be timed, and little enough to be timed often.
LEAST_PRODUCTS, MOST_PRODUCTS = 1e6, 6e8
MOST_ELEMENTS = 2**23  # of x, w and y together
MOST_CHANNELS, LONGEST_KERNEL = 1024, 129


@dataclass(frozen=True)
class Layer:
    """One layer, as the three tasks that it is."""

    name: str
    dtype: str
    tasks: tuple[Task, ...]


def draw(seed: int, count: int, dtype: str) -> list[Layer]:
    """``count`` layers of one dtype; the same for the same seed, and the first of a longer list."""
    chance = random.Random(f"{seed} {dtype}")
    found: list[Layer] = []
    while len(found) < count:
        layer = _one(chance, dtype)
        if layer is not None:
            found.append(layer)
    return found


def _one(chance: random.Random, dtype: str) -> Layer | None:
    """A layer of a random kind; None where it would cost too little or too much."""
    op: Op = chance.choice(("conv_transpose", "conv"))
    rank = chance.choices((1, 2, 3), (3, 5, 2))[0]
    groups, c, o = _channels(chance)
    batch = chance.choices((1, 2, 4, 16), (4, 2, 2, 1))[0]
    kernel, stride, dilation = _window(chance, rank)
    axes = [_axis(chance, op, rank, kernel, stride, dilation)]
    # Most layers have one kernel and one size for all axes, a few have not.
    for _ in range(1, rank):
        if chance.random() < 0.15:
            kernel, stride, dilation = _window(chance, rank)
            axes.append(_axis(chance, op, rank, kernel, stride, dilation))
        else:
            axes.append(axes[0])
    tasks = tuple(
        Task.of(
            side,
            Geometry(tuple(axes), groups),
            {
                "x": (batch, *(a.x_size for a in axes), c),
                "y": (batch, *(a.y_size for a in axes), o),
            },
            dtype,
            dtype,
            "cpu",
        )
        for side in SIDES[op]
    )
    task = tasks[0]
    elements = task.x_elements + task.w_elements + task.y_elements
    affordable = LEAST_PRODUCTS <= task.multiply_adds <= MOST_PRODUCTS and elements <= MOST_ELEMENTS
    return Layer(_name(op, task), dtype, tasks) if affordable else None


def _channels(chance: random.Random) -> tuple[int, int, int]:
    """Groups, channels of x, channels of y."""
    kind = chance.choices(("dense", "grouped", "depthwise"), (6, 2, 2))[0]
    if kind == "dense":
        return 1, _likely(chance, MOST_CHANNELS), _likely(chance, MOST_CHANNELS)
    if kind == "depthwise":
        groups = _likely(chance, MOST_CHANNELS)
        return groups, groups, groups * chance.choices((1, 2), (5, 1))[0]
    groups = chance.choice((2, 3, 4, 8, 16, 32))
    most = MOST_CHANNELS // groups
    return groups, groups * _likely(chance, most), groups * _likely(chance, most)


def _likely(chance: random.Random, most: int) -> int:
    """A number of channels up to ``most``: a power of two more often than not."""
    exponent = chance.uniform(0, math.log2(most))
    return 2 ** round(exponent) if chance.random() < 0.7 else max(1, round(2**exponent))


def _window(chance: random.Random, rank: int) -> tuple[int, int, int]:
    """Kernel, stride and dilation of an axis."""
    longest = round(LONGEST_KERNEL ** (1 / max(rank - 1, 1))) if rank > 2 else LONGEST_KERNEL
    kind = chance.choices(("odd", "patch", "double", "any"), (4, 2, 2, 3))[0]
    if kind == "odd":
        kernel, dilation = chance.choice((1, 3, 3, 3, 5, 7)), chance.choice((1, 1, 2))
        return kernel, chance.choice((1, 1, 2)), dilation if kernel > 1 else 1
    if kind == "patch":
        stride = chance.choice((2, 2, 4, 8, 16) if rank < 3 else (2, 2, 4))
        return stride, stride, 1
    if kind == "double":
        stride = chance.choice((2, 2, 4, 5, 8) if rank < 3 else (2, 2, 3))
        return 2 * stride, stride, 1
    kernel = round(math.exp(chance.uniform(math.log(2), math.log(longest))))
    stride = round(math.exp(chance.uniform(0, math.log(kernel + 1))))
    return kernel, chance.choice((1, stride)), chance.choices((1, 2, 3), (6, 1, 1))[0]


def _axis(
    chance: random.Random, op: Op, rank: int, kernel: int, stride: int, dilation: int
) -> Axis:
    """An axis whose padding is that of SAME, VALID or half the kernel, and its size at random."""
    largest = {1: 16384, 2: 256, 3: 48}[rank]
    large = round(math.exp(chance.uniform(math.log(4), math.log(largest))))
    x = max(1, large // stride)
    full = (x - 1) * stride + dilation * (kernel - 1) + 1
    # "same": y has stride cells for each of x; a kernel shorter than its stride leaves gaps there
    kept = full if chance.random() < 0.25 else x * stride
    return Axis(x, kernel, kept, stride, dilation, max(full - kept, 0) // 2)


def _name(op: Op, task: Task) -> str:
    sizes = ["x".join(str(size) for size in sizes) for sizes in _facts(task.geometry)]
    what = dict(zip("ksd", sizes[1:], strict=True))
    window = " ".join(f"{name}{size}" for name, size in what.items() if name != "d" or size != "1")
    groups = f" g{task.groups}" if task.groups > 1 else ""
    channels = f"{task.x_channels}-{task.y_channels}"
    return f"{op} {task.batch}x{sizes[0]} {channels} {window}{groups}"


def _facts(g: Geometry) -> tuple[tuple[int, ...], ...]:
    facts = tuple(a.x_size for a in g), g.kernel, g.stride, g.dilation
    return tuple(f[:1] if len(set(f)) == 1 and n else tuple(f) for n, f in enumerate(facts))
