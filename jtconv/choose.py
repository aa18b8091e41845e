"""Which method runs: a static function of side, shape, dtype and platform, with its reason."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp

from jtconv import arguments
from jtconv.methods import METHODS, NOMINAL_BATCH, Cost, Side, Task, Unsupported
from jtconv.request import Request


@dataclass(frozen=True)
class Choice:
    """The method chosen for one task, and why."""

    method: str
    reason: str


def parse_method(method: Any) -> tuple[str, ...]:
    """A method as a user writes it, as a tuple of known names."""
    names = (method,) if isinstance(method, str) else arguments.sequence(method)
    if not names:
        raise ValueError(f"method must be a name or a sequence of names, got {method!r}.")
    for name in names:
        if name not in (*METHODS, "auto"):
            close = difflib.get_close_matches(str(name), METHODS, n=1)
            guess = f" Did you mean {close[0]!r}?" if close else ""
            raise ValueError(
                f"method must be 'auto' or one of {', '.join(METHODS)}, got {name!r}.{guess}"
            )
    return tuple(names)


def task_of(
    asked: Request, side: Side, dtype: Any, result: str, precision: Any, platform: str
) -> Task:
    """The task that ``side`` of a checked call is."""
    batch = asked.batch if isinstance(asked.batch, int) else NOMINAL_BATCH
    channels = asked.small_channels, asked.large_channels
    dtypes = jnp.dtype(dtype), jnp.dtype(result)
    return Task(side, asked.geometry, batch, *channels, *dtypes, platform, precision)


def refusal(name: str, task: Task) -> str | None:
    """Why method ``name`` cannot do ``task``; None where it can."""
    return METHODS[name].refuse(task)


def cost(name: str, task: Task) -> Cost:
    """What method ``name`` would spend on ``task``."""
    return METHODS[name].cost(task)


def choose(wanted: tuple[str, ...], task: Task) -> Choice:
    """The first of ``wanted`` that can do the task; ``auto`` among them always can."""
    refusals = []
    for name in wanted:
        if name == "auto":
            return automatic(task)
        why_not = refusal(name, task)
        if why_not is None:
            return Choice(name, "asked for")
        refusals.append(f"{name}: {why_not}")
    raise Unsupported(
        f"method {' or '.join(map(repr, wanted))} cannot do this {task.side}: "
        f"{'; '.join(refusals)}. Use method='auto', or name another of {', '.join(METHODS)}."
    )


def automatic(task: Task) -> Choice:
    """The first rule that fits, and whose method can do the task."""
    for rule in RULES:
        fits = task.platform in rule.platforms and task.side in rule.sides and rule.when(task)
        if fits and refusal(rule.method, task) is None:
            return Choice(rule.method, rule.reason)
    return Choice("dilated", "no rule fits, and this can do everything")


@dataclass(frozen=True)
class Rule:
    """One line of the static choice: on these platforms and sides, when this holds."""

    method: str
    when: Callable[[Task], bool]
    reason: str
    sides: tuple[Side, ...] = ("dgrad", "fprop", "wgrad")
    platforms: tuple[str, ...] = ("cpu",)


ACCELERATORS = ("cuda", "rocm", "tpu", "other")


def _is_thin(task: Task) -> bool:
    return task.depth * task.width <= 4


def _stamp_bytes(task: Task) -> int:
    cells = task.batch * math.prod(task.geometry.input) * math.prod(task.geometry.kernel)
    return cells * task.out_channels * task.accumulator.itemsize


def _is_streaming(task: Task) -> bool:
    """So few channels that writing stamps (or patches) out costs more than the products."""
    if task.depth < 8:
        return _stamp_bytes(task) > 2**20
    rows = task.batch * math.prod(task.geometry.input)
    return task.depth < 32 and rows >= 1024 and _stamp_bytes(task) > 8 * 2**20


def _is_library_convolution(task: Task) -> bool:
    """One or two axes, one group, float32, wide, and patches too large for the cache."""
    plain = task.groups == 1 and len(task.geometry) <= 2 and task.dtype.name == "float32"
    return plain and task.depth >= 64 and _stamp_bytes(task) > 16 * 2**20


def _is_library_kernel(task: Task) -> bool:
    """What cuDNN has fast kernels for: one or two axes, one group, undilated, overlapping."""
    overlapping = any(len(a.blocks) > 1 for a in task.geometry)
    undilated = all(a.dilation == 1 for a in task.geometry)
    return task.groups == 1 and len(task.geometry) <= 2 and undilated and overlapping


# First match wins. Times are float32 medians on 2 cores, jax 0.10.2, of one side at a time;
# `python -m bench --mode sides` measures them again.
RULES = (
    # depthwise k4 s2, 2x64x64x64: dgrad 0.4 ms (gemm 0.8, phases 29), wgrad 3.3 (gemm 31)
    Rule("taps", _is_thin, "groups too thin for a matrix product: one fused loop"),
    # 3 -> 3 channels, k12 s2, 427x640: dgrad 34 ms (gemm 180)
    # 21 -> 21, k16 s8, 35x35: dgrad 3.6 ms (gemm 7.2), fprop 12 (gemm 14, dilated 24)
    Rule(
        "phases",
        _is_streaming,
        "few input channels: stamps would cost more to write than to compute",
        sides=("dgrad", "fprop"),
    ),
    # 128 -> 64, k4 s2, 64x16x16: fprop 26 ms (gemm 38); 2x16384, 1-D: 13 ms (gemm 37)
    Rule(
        "dilated",
        _is_library_convolution,
        "a large strided convolution, which XLA's library does without writing patches",
        sides=("fprop",),
    ),
    # 256 -> 128, k3 s2, 2x32x32: dgrad 8.4 ms (phases 17), wgrad 11; 3-D k2 s2: 1.5 ms (phases 1.4)
    Rule("gemm", lambda task: True, "one matrix product and one pass, no zero multiplied"),
    Rule("phases", lambda task: True, "gemm refuses, and no zero is multiplied"),
    # Accelerators: from the compilers' sources, not from measurements of ours.
    Rule(
        "taps",
        _is_thin,
        "groups too thin for a matrix product: one fused loop (not measured here)",
        platforms=ACCELERATORS,
    ),
    Rule(
        "dilated",
        _is_library_kernel,
        "the form XLA hands to cuDNN; TPUs take it natively (not measured here)",
        platforms=ACCELERATORS,
    ),
    Rule(
        "gemm",
        lambda task: True,
        "grouped, 3-D, dilated or not overlapping: matrix products (not measured here)",
        platforms=ACCELERATORS,
    ),
)


def methods() -> tuple[str, ...]:
    """The names of all methods, any of which ``method=`` takes.

    >>> methods()
    ('dilated', 'vjp', 'scatter', 'gemm', 'phases', 'taps', 'matrix')
    """
    return tuple(METHODS)
