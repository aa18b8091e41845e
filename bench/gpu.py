"""``python -m bench --suite gpu``: in a few minutes, what matters most on a GPU.

Twenty layers, those whose forms differ most by what the compiler makes of them.  Each side by
every form that moves about as little as the best does; the layer forward and in training beside
torch and jax.lax.  Programs are built and checked many at a time, and timed one by one.  The JSON
is written after every layer, so that what was measured is kept whenever time runs out.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import cast

from rich.table import Table

from bench import implementations, row, summary
from bench.cases import Case, SizeName, select
from bench.compiled import programs
from bench.compiled.programs import Part
from bench.implementations import Implementation
from bench.problem import MODES, SIDES, Problem, Sweep
from bench.summary import Row
from jtconv.dispatch import choose
from jtconv.problem.task import Side

SECONDS = 360.0
DTYPES = ("bfloat16", "float32")
# The most different ones first.
LAYERS = (
    *("unet4", "groups4", "volume4", "dilated", "centernet2", "nnunet4", "fcn32s", "dcgan4"),
    *("pose1", "dac2", "stride1", "volume3", "unet2", "encodec1", "stylegan2", "hifigan3"),
    *("fcn8s_upscore8", "maskrcnn", "dpt2", "vae"),
)
# Kernels of our own are asked for by name.
FORMS = programs.GPU_FORMS
PEERS = ("lax", "torch")


@dataclass(frozen=True)
class Wanted:
    """One row to measure, and the implementations in it."""

    problem: Problem
    names: tuple[str, ...]


def layers(
    sampling: row.Sampling,
    size: SizeName,
    names: list[str],
    methods: tuple[str, ...],
    show: Callable[[str], None],
) -> Iterator[list[Row]]:
    """The rows of one layer after the other, until the time is over."""
    start, wished = time.monotonic(), names or LAYERS
    for number, name in enumerate(wished):
        if time.monotonic() - start > SECONDS:
            show(f"{SECONDS:.0f} s have passed: left out {', '.join(wished[number:])}.")
            return
        (case,) = select([name], "full")
        yield list(_measured(list(wanted(case, size, methods)), sampling))
        show(f"{name}: {time.monotonic() - start:.0f} s")


def wanted(case: Case, size: SizeName, methods: tuple[str, ...]) -> Iterator[Wanted]:
    """All rows of a layer: the sides by ``methods``, and where these are all the peers' rows."""
    everything = methods == FORMS
    peers = tuple(peer for peer in PEERS if implementations.installed(peer))
    for problem in Sweep([case], size, DTYPES, (*SIDES, *MODES) if everything else SIDES):
        if problem.mode in MODES:
            yield Wanted(problem, ("jtconv", *peers))
        elif names := tuple(_forms(problem, methods)):
            yield Wanted(problem, names)


def _forms(problem: Problem, methods: tuple[str, ...]) -> Iterator[str]:
    case, side = problem.case, cast(Side, problem.mode)
    task = Part(case, side, problem.data.dtype, "cuda").task
    for name in methods:
        if name in FORMS and not programs.is_of_use(name, case):
            continue
        if choose.refusal(name, task) is None:
            yield f"jtconv[{name}]"


def _measured(items: list[Wanted], sampling: row.Sampling) -> Iterable[Row]:
    """JAX's programs are built at once; torch's alone, since a graph is recorded alone."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        built = list(pool.map(lambda item: _built(item, sampling), items))
    for item, one in zip(items, built, strict=True):
        one.add(_chosen(item, lambda name: name == "torch"), sampling)
        yield row.timed(one, sampling)


def _built(item: Wanted, sampling: row.Sampling) -> row.Built:
    return row.build(item.problem, _chosen(item, lambda name: name != "torch"), sampling)


def _chosen(item: Wanted, fits: Callable[[str], bool]) -> Mapping[str, Implementation]:
    ours = implementations.ours_by_method("all")
    return {name: (ours | implementations.PEERS)[name] for name in item.names if fits(name)}


def regret(rows: Iterable[Row]) -> Table:
    """Today's choice over the best of XLA's forms, by side, of the layers in ``rows``."""
    ratios: dict[tuple[str, str], list[tuple[float, str]]] = {}
    for name, mode, dtype, cells in ((*summary.key(one), one["cells"]) for one in rows):
        timed = {form: cells.get(f"jtconv[{form}]", {}).get("median_s") for form in FORMS}
        times = {form: seconds for form, seconds in timed.items() if seconds}
        if mode not in SIDES or not times:
            continue
        (case,) = select([name], "full")
        chosen = programs.method(Part(case, cast(Side, mode), dtype, "cuda"))
        ratio = times.get(chosen, math.inf) / min(times.values())
        ratios.setdefault((mode, dtype), []).append((ratio, name))
    table = Table("side", "dtype", "choice over best, mean", "worst", "layers")
    for (mode, dtype), found in ratios.items():
        mean = math.exp(sum(math.log(ratio) for ratio, _ in found) / len(found))
        worst, name = max(found)
        table.add_row(mode, dtype, f"{mean:.3f}", f"{worst:.2f} {name}", str(len(found)))
    return table
