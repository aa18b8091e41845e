"""One row of the benchmark: one case, mode and dtype, everybody in it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp

from bench import probe, timing
from bench.contenders import Contender
from bench.contenders.setting import Setting
from bench.data import INEXACT, TOLERANCE, TOLERANCE_TF32
from bench.names import is_ours
from bench.program import Program, Refused
from bench.timing import Runner

Cell = dict[str, Any]


@dataclass(frozen=True)
class Plan:
    """How to measure."""

    rounds: int = 11
    budget_s: float = 1.5  # clock time for the samples of one cell
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
        found, cells[name] = _enter(setting, name, contender, plan, runners)
        runners += found
    timing.race(runners, plan.rounds, plan.budget_s)
    for name, cell in cells.items():
        mine = [runner for runner in runners if runner.contender == cell.get("same_as", name)]
        if mine:
            cell |= _result(min(mine, key=Runner.median), plan.tolerance(setting.data.dtype))
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
    setting: Setting, name: str, contender: Contender, plan: Plan, others: list[Runner]
) -> tuple[list[Runner], Cell]:
    """The checked programs of one contender, and what is to be said about the others."""
    if probe.is_risky(setting, name):
        verdict = probe.verdict(setting, name, plan.patience_s)
        if verdict is not None:
            return [], verdict
    runners: list[Runner] = []
    notes: dict[str, Cell] = {}
    for way, build in contender(setting).items():
        found = _checked(setting, name, way, build, plan, others)
        if isinstance(found, Runner):
            runners.append(found)
        else:
            notes[way] = found
    if runners:
        return runners, {"status": "ok", "other_ways": notes} if notes else {"status": "ok"}
    worst = next((c for c in notes.values() if c["status"] != "refused"), None)
    return [], worst or next(iter(notes.values()))


def _checked(
    setting: Setting, name: str, way: str, build: Any, plan: Plan, others: list[Runner]
) -> Runner | Cell:
    """A program whose answers are right, or the cell that says what is wrong with it."""
    try:
        program = build()
        twin = _twin(name, program, others)
        if twin:
            return {"status": "ok", "same_as": twin}
        start = time.perf_counter()
        outputs = program.call(0)
        program.wait(outputs)
        first = (time.perf_counter() - start) / program.calls
        errors = setting.data.errors(setting.mode, program.answers(outputs))
    except Refused as refusal:
        return {"status": "refused", "reason": str(refusal)}
    except Exception as crash:  # a broken contender is a row of the table, not its end
        return {"status": "failed", "reason": f"{type(crash).__name__}: {crash}"[:300]}
    tolerance = plan.tolerance(setting.data.dtype)
    excused = {} if is_ours(name) or setting.data.dtype == "float32" else INEXACT
    if not all(error <= excused.get(what, tolerance) for what, error in errors.items()):
        return {"status": "wrong", "errors": errors, "reason": f"relative errors {_told(errors)}"}
    return Runner(name, way, program, errors, first)


def _twin(name: str, program: Program, others: list[Runner]) -> str | None:
    """The peer that compiled to the same instructions, if one did: it is timed for both."""
    if is_ours(name) or program.fingerprint is None:
        return None
    peers = (runner for runner in others if not is_ours(runner.contender))
    same = (r.contender for r in peers if r.program.fingerprint == program.fingerprint)
    return next(same, None)


def _told(errors: dict[str, float]) -> str:
    return ", ".join(f"{name} {error:.1e}" for name, error in errors.items())


def _result(runner: Runner, tolerance: float) -> Cell:
    program = runner.program
    inexact = {name: error for name, error in runner.errors.items() if error > tolerance}
    said = {"inexact": _told(inexact)} if inexact else {}
    return (
        said
        | timing.summary(runner.times)
        | {
            "way": ", ".join(filter(None, (runner.way, program.note))),
            "trace_s": program.trace_s,
            "compile_s": program.compile_s,
            "temp_bytes": program.temp_bytes,
            "errors": runner.errors,
        }
    )
