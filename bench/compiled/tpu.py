"""Compiling for TPUs on a machine without one, and what the compiled program takes there.

libtpu compiles for a chip that it is told of.  What it writes while it does so is read by `llo`,
and `timeline` puts the operations in order.

Held against known products and copies (jax 0.12.0.1, libtpu 0.0.52): a bfloat16 product of 4096^3
takes 1.02 of what 197 and 918 TFLOP/s allow, a copy 1.00 of what 81 % of the bandwidth allows.
"""

from __future__ import annotations

import functools
import os
import re
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import jax
from jax.experimental.layout import Format, Layout
from jax.sharding import SingleDeviceSharding

from bench.compiled import llo, timeline
from jtconv.problem.task import Task

INSTALL = "pip install 'jax==0.12.0.1' libtpu, on Linux and Python 3.12"


@dataclass(frozen=True)
class Chip:
    """One core: cycles, bfloat16 multiply-adds and bytes of main memory a second."""

    name: str
    clock: float
    multiply_adds: float
    bandwidth: float


CHIPS = {
    "v5e": Chip("v5e", 1.5e9, 98.5e12, 0.82e12),
    "v6e": Chip("v6e", 1.75e9, 459e12, 1.64e12),
}

PLATFORM = "tpu"
Free = tuple[Sequence[bool], bool]  # arguments and result: whether the compiler lays them out


def missing() -> str | None:
    """Why nothing can be compiled for TPUs here; None where it can."""
    from importlib.util import find_spec

    if find_spec("libtpu") is None:
        return f"libtpu is not installed: {INSTALL}"
    try:
        device("v5e")
    except Exception as error:  # whatever libtpu finds wrong: another jax, another Python, a lock
        return f"libtpu does not start here ({' '.join(str(error).split())[:200]}): {INSTALL}"
    return None


def versions() -> dict[str, str]:
    """The compiler, by the packages that it comes with."""
    packages = {name: metadata.version(name) for name in ("libtpu", "jax", "jaxlib")}
    return {"compiler": "XLA:TPU", **packages}


@functools.cache
def dump() -> Path:
    """Where libtpu writes its code; asked for before it starts, and read after each program."""
    folder = tempfile.mkdtemp(prefix="jtconv_llo_")
    flags = (
        f"--xla_jf_dump_to={folder} --xla_jf_dump_llo_text=true "
        "--xla_jf_dump_llo_pass_label_regex=^final_bundles"
    )
    os.environ["LIBTPU_INIT_ARGS"] = f"{os.environ.get('LIBTPU_INIT_ARGS', '')} {flags}"
    # No metadata server is asked, and no chip taken, so there may be several of us.
    os.environ.setdefault("TPU_SKIP_MDS_QUERY", "1")
    os.environ.setdefault("ALLOW_MULTIPLE_LIBTPU_LOAD", "1")
    return Path(folder)


@functools.cache
def device(chip: str) -> SingleDeviceSharding:
    """A device of this kind, to compile for."""
    from jax.experimental import topologies

    if chip not in CHIPS:
        raise ValueError(f"the chip must be one of {', '.join(CHIPS)}, got {chip!r}")
    dump()
    topology = topologies.get_topology_desc(platform="tpu", topology_name=f"{chip}:2x2")
    return SingleDeviceSharding(topology.devices[0])


def compiled(
    function: Callable[..., Any],
    arguments: Sequence[jax.ShapeDtypeStruct],
    chip: str,
    free: Free | None = None,
) -> Any:
    """The program for this chip, its arrays row-major where the compiler is not free."""
    where = device(chip)

    def placed(free: bool) -> Any:
        return Format(Layout.AUTO, where) if free else where

    inside, outside = free or ((False,) * len(arguments), False)
    jitted = jax.jit(
        function, in_shardings=tuple(map(placed, inside)), out_shardings=placed(outside)
    )
    return jitted.trace(*arguments).lower(lowering_platforms=("tpu",)).compile()


def meter(
    function: Callable[..., Any],
    arguments: Sequence[jax.ShapeDtypeStruct],
    chip: str,
    free: Free | None = None,
) -> timeline.Cost:
    """Compile for a chip, and count."""
    for old in dump().iterdir():
        old.unlink()
    program = compiled(function, arguments, chip, free)
    text = program.as_text()
    held = program.memory_analysis().temp_size_in_bytes
    return timeline.cost(text, _walks(text), CHIPS[chip], held)


def floor_us(task: Task, chip: str) -> float:
    """The least that a side can take: its operands moved once, or its useful products, all lanes
    of the matrix units full."""
    about = CHIPS[chip]
    moved = task.operand_bytes / (timeline.REACHED * about.bandwidth)
    return max(moved, task.multiply_adds / about.multiply_adds) * 1e6


def _walks(text: str) -> dict[str, llo.Walk]:
    """The walk through every operation that the program names."""
    found = {}
    for path in dump().glob("*-final_bundles.txt"):
        name = re.match(r"\d+-(.*)-\d+-final_bundles.txt", path.name)
        if name and "schedule-analysis" not in path.name and f"%{name[1]} = " in text:
            found[name[1]] = llo.Walk.of(path)
    return found
