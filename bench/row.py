"""One row of the benchmark: one case, mode and dtype, everybody in it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp

from bench import probe, timing
from bench.contenders import Contender
from bench.contenders.setting import Setting
from bench.data import TOLERANCE, TOLERANCE_TF32
from bench.program import Refused
from bench.timing import Runner

Cell = dict[str, Any]


@dataclass(frozen=True)
class Plan:
    """How to measure."""

    rounds: int = 15
    budget_s: float = 2.0  # clock time for the samples of one cell
    patience_s: float = 10.0  # a peer whose single run takes longer is not waited for
    tf32: bool = False

    def tolerance(self, dtype: str) -> float:
        """The largest relative error that counts as right."""
        return TOLERANCE_TF32 if self.tf32 and dtype == "float32" else TOLERANCE[dtype]


def measure(setting: Setting, contenders: Mapping[str, Contender], plan: Plan) -> dict[str, Any]:
    """The row: what was asked, and a cell per contender."""
    cells: dict[str, Cell] = {}
    runners: list[Runner] = []
    for name, contender in contenders.items():
        found, cell = _enter(setting, name, contender, plan)
        runners += found
        cells[name] = cell
    timing.race(runners, plan.rounds, plan.budget_s)
    for name in contenders:
        mine = [runner for runner in runners if runner.contender == name]
        if mine:
            cells[name] |= _result(min(mine, key=lambda r: timing.summary(r.times)["median_s"]))
    return describe(setting) | {"cells": cells}


def describe(setting: Setting) -> dict[str, Any]:
    """The problem of a row, in numbers."""
    data, case = setting.data, setting.case
    sides = 3 if setting.mode == "training" else 1
    itemsize = jnp.dtype(data.dtype).itemsize
    return {
        "case": case.name,
        "mode": setting.mode,
        "dtype": data.dtype,
        "shapes": [list(shape) for shape in case.shapes(data.size)],
        "multiply_adds": sides * case.multiply_adds(data.size),
        "bytes": sides * case.numbers(data.size) * itemsize,
        "once_bytes": case.numbers(data.size) * itemsize,
    }


def _enter(
    setting: Setting, name: str, contender: Contender, plan: Plan
) -> tuple[list[Runner], Cell]:
    """The checked programs of one contender, and what is to be said about the others."""
    if probe.is_risky(setting, name):
        verdict = probe.verdict(setting, name, plan.patience_s)
        if verdict is not None:
            return [], verdict
    runners, notes = [], {}
    for way, build in contender(setting).items():
        runner = _checked(setting, name, way, build, plan)
        if isinstance(runner, Runner):
            runners.append(runner)
        else:
            notes[way] = runner
    if runners:
        return runners, {"status": "ok", "other_ways": notes} if notes else {"status": "ok"}
    worst = next((c for c in notes.values() if c["status"] != "refused"), None)
    return [], worst or next(iter(notes.values()))


def _checked(setting: Setting, name: str, way: str, build: Any, plan: Plan) -> Runner | Cell:
    """A program whose answers are right, or the cell that says what is wrong with it."""
    try:
        program = build()
        error = setting.data.error(setting.mode, program.answers())
    except Refused as refusal:
        return {"status": "refused", "reason": str(refusal)}
    except Exception as crash:  # a broken contender is a row of the table, not its end
        return {"status": "failed", "reason": f"{type(crash).__name__}: {crash}"[:300]}
    if math.isnan(error) or error > plan.tolerance(setting.data.dtype):
        return {"status": "wrong", "error": error, "reason": f"relative error {error:.1e}"}
    return Runner(name, way, program, error)


def _result(runner: Runner) -> Cell:
    program = runner.program
    return timing.summary(runner.times) | {
        "way": ", ".join(filter(None, (runner.way, program.note))),
        "trace_s": program.trace_s,
        "compile_s": program.compile_s,
        "temp_bytes": program.temp_bytes,
        "error": runner.error,
    }
