"""``python -m bench --suite tpu``: what was counted beside what a TPU takes, for who has one.

Twenty layers, one side each, by ``jax.lax``, by what ``auto`` takes and by the next best known
form.  First all are counted, in processes of their own, then all are timed, each alone.  What does
not fit into the time is left out, and said so.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from rich.console import Console
from rich.table import Table

from bench import cases
from bench.compiled import programs, sweep
from bench.compiled.programs import PEER, Part
from bench.compiled.sweep import Found, Work

BUDGET_S = 330.0
SAMPLES, CALLS = 5, 10
# What JAX calls the chips.
KINDS = {"TPU v5 lite": "v5e", "TPU v5e": "v5e", "TPU v6 lite": "v6e", "TPU v6e": "v6e"}

# A layer and its side, and a form to compare besides the chosen one.
LAYERS: tuple[tuple[str, Any, str], ...] = (
    ("dcgan4", "dgrad", "phases"), ("dcgan4", "fprop", "phases"), ("dcgan4", "wgrad", "phases"),
    ("dcgan5", "dgrad", "dilated"), ("dcgan2", "dgrad", "phases"), ("unet3", "dgrad", "gemm"),
    ("unet3", "fprop", "gemm"), ("unet3", "wgrad", "gemm"), ("pose2", "dgrad", "phases"),
    ("fcn8s_upscore2", "dgrad", "phases"), ("fcn8s_upscore8", "fprop", "phases"),
    ("groups4", "dgrad", "dilated"), ("groups4", "fprop", "dilated"),
    ("groups4", "wgrad", "dilated"), ("centernet2", "dgrad", "dense"), ("volume4", "dgrad", "fold"),
    ("volume4", "fprop", "fold"), ("hifigan1", "dgrad", "gemm"), ("hifigan1", "wgrad", "gemm"),
    ("encodec1", "dgrad", "gemm"),
)  # fmt: skip


@dataclass(frozen=True)
class Timed:
    """A program, its microseconds as counted, and as measured."""

    work: Work
    counted: float | None
    measured: float | None


def chip() -> str:
    """The chip that is here, asked for in another process: counting must come first."""
    ask = "import jax; print(jax.devices()[0].device_kind)"
    told = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True)
    kind = told.stdout.strip()
    if kind not in KINDS:
        raise ValueError(
            f"--suite tpu runs on {', '.join(sorted(set(KINDS.values())))}, and this is "
            f"{kind or 'no device at all'}; --compile v5e counts without one."
        )
    return KINDS[kind]


def works(name: str) -> list[Work]:
    """All programs, for this chip."""
    found = []
    for layer, side, other in LAYERS:
        (case,) = cases.select([layer], "full")
        part = Part(case, side, "bfloat16", "tpu")
        for form in dict.fromkeys((PEER, programs.method(part), other)):
            found.append(Work(name, "lone", "bfloat16", case, side, form))
    return found


def run(console: Console) -> list[Timed]:
    """Count, time, and print both."""
    here, start = chip(), time.monotonic()
    work = works(here)
    os.environ["JAX_PLATFORMS"] = "cpu"  # of the processes that count
    counted = {row.program: row for row in sweep.run(work, None, jobs=os.cpu_count() or 1)}
    del os.environ["JAX_PLATFORMS"]
    found = measure(work, counted, lambda: time.monotonic() - start < BUDGET_S)
    console.print(table(found))
    if late := sum(row.measured is None for row in found):
        console.print(f"{late} programs were left out: {BUDGET_S:.0f} s had passed.")
    return found


def measure(
    work: Sequence[Work], counted: dict[tuple[str, ...], Found], goes_on: Callable[[], bool]
) -> list[Timed]:
    """Every program timed while there is time."""
    found = []
    for item in work:
        row = counted.get(item.key)
        measured = microseconds(item) if goes_on() else None
        found.append(Timed(item, row.us if row else None, measured))
    return found


def microseconds(work: Work) -> float:
    """Of one call among several that were launched together: the least of some samples."""
    function, shapes, _ = programs.program(work.part, work.form, work.setting)
    jitted = jax.jit(function)
    operands = [jnp.ones(shape.shape, shape.dtype) for shape in shapes]
    jax.block_until_ready(jitted(*operands))

    def sample() -> float:
        start = time.perf_counter()
        jax.block_until_ready([jitted(*operands) for _ in range(CALLS)])
        return (time.perf_counter() - start) / CALLS * 1e6

    return min(sample() for _ in range(SAMPLES))


def table(found: Iterable[Timed]) -> Table:
    """A line a side of a layer: its forms from fast to slow, as counted and as measured."""
    groups: dict[tuple[str, str], list[Timed]] = {}
    for row in found:
        groups.setdefault((row.work.case.name, row.work.side), []).append(row)
    shown = Table("case", "side", "counted, us", "measured, us", "same order")
    for key, rows in groups.items():
        counted = ranked([(row.work.form, row.counted) for row in rows])
        measured = ranked([(row.work.form, row.measured) for row in rows])
        same = [name for name, _ in counted] == [name for name, _ in measured]
        words = (", ".join(f"{n} {us:.0f}" for n, us in order) for order in (counted, measured))
        shown.add_row(*key, *words, "yes" if same else "NO")
    return shown


def ranked(rows: list[tuple[str, float | None]]) -> list[tuple[str, float]]:
    """Forms whose time is known, the fastest first."""
    return sorted(((form, us) for form, us in rows if us is not None), key=lambda row: row[1])
