"""One row of the benchmark: one problem, and a cell for every implementation."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import jax.numpy as jnp

from bench import probe, timing
from bench.implementations import Implementation
from bench.problem import INEXACT, TOLERANCE, TOLERANCE_TF32, Problem
from bench.program import Program, Refused
from bench.summary import Cell, Row, is_ours
from bench.timing import Runner


@dataclass(frozen=True)
class Sampling:
    """How to measure."""

    rounds: int = 11
    budget_s: float = 1.5  # clock time for the samples of one cell
    patience_s: float = 10.0  # a peer whose single run takes longer is not waited for
    tf32: bool = False

    def tolerance(self, dtype: str) -> float:
        """The largest relative error that counts as right."""
        return TOLERANCE_TF32 if self.tf32 and dtype == "float32" else TOLERANCE[dtype]


@dataclass(frozen=True)
class Built:
    """Programs of one problem whose answers are right, and the cells of a row so far."""

    problem: Problem
    runners: list[Runner]
    cells: dict[str, Cell]

    def add(self, implementations: Mapping[str, Implementation], sampling: Sampling) -> None:
        """Build and check the programs of more implementations."""
        for name, implementation in implementations.items():
            found, self.cells[name] = _build(
                self.problem, name, implementation, sampling, self.runners
            )
            self.runners.extend(found)


def build(
    problem: Problem, implementations: Mapping[str, Implementation], sampling: Sampling
) -> Built:
    """The programs of a problem, checked."""
    built = Built(problem, [], {})
    built.add(implementations, sampling)
    return built


def timed(built: Built, sampling: Sampling) -> Row:
    """The row: the problem in numbers, and a cell per implementation."""
    timing.interleave(built.runners, sampling.rounds, sampling.budget_s)
    tolerance = sampling.tolerance(built.problem.data.dtype)
    for name, cell in built.cells.items():
        ours = [r for r in built.runners if r.implementation == cell.get("same_as", name)]
        if ours:
            cell |= _result(min(ours, key=Runner.median), tolerance)
    return describe(built.problem) | {"cells": built.cells}


def measure(
    problem: Problem, implementations: Mapping[str, Implementation], sampling: Sampling
) -> Row:
    """Build, check and time."""
    return timed(build(problem, implementations, sampling), sampling)


def describe(problem: Problem) -> Row:
    """The problem of a row, in numbers."""
    data, case = problem.data, problem.case
    sides = 3 if problem.mode == "training" else 1
    itemsize = jnp.dtype(data.dtype).itemsize
    return {
        "case": case.name,
        "mode": problem.mode,
        "dtype": data.dtype,
        "shapes": [list(shape) for shape in case.shapes(data.size)],
        "multiply_adds": sides * case.multiply_adds(data.size),
        "bytes": sides * case.numbers(data.size) * itemsize,
        "once_bytes": case.numbers(data.size) * itemsize,
    }


def _build(
    problem: Problem,
    name: str,
    implementation: Implementation,
    sampling: Sampling,
    others: list[Runner],
) -> tuple[list[Runner], Cell]:
    """The checked programs of an implementation, and a cell that tells of those that failed."""
    if probe.is_risky(problem, name):
        unfinished = probe.verdict(problem, name, sampling.patience_s)
        if unfinished is not None:
            return [], unfinished
    runners: list[Runner] = []
    failed: dict[str, Cell] = {}
    for variant, build in implementation(problem).items():
        found = _checked(problem, name, variant, build, sampling, others)
        if isinstance(found, Runner):
            runners.append(found)
        else:
            failed[variant] = found
    if runners:
        return runners, {"status": "ok", "other_ways": failed} if failed else {"status": "ok"}
    worst = next((c for c in failed.values() if c["status"] != "refused"), None)
    return [], worst or next(iter(failed.values()))


def _checked(
    problem: Problem,
    name: str,
    variant: str,
    build: Callable[[], Program],
    sampling: Sampling,
    others: list[Runner],
) -> Runner | Cell:
    """A program whose answers are right, or the cell that tells what is wrong with it."""
    try:
        program = build()
        twin = _same_program(name, program, others)
        if twin:
            return {"status": "ok", "same_as": twin}
        start = time.perf_counter()
        outputs = program.call(0)
        program.wait(outputs)
        first = (time.perf_counter() - start) / program.calls
        errors = problem.data.errors(problem.mode, program.answers(outputs))
    except Refused as refusal:
        return {"status": "refused", "reason": str(refusal)}
    except Exception as crash:  # a broken implementation is a row of the table, not its end
        return {"status": "failed", "reason": f"{type(crash).__name__}: {crash}"[:300]}
    tolerance = sampling.tolerance(problem.data.dtype)
    excused = {} if is_ours(name) or problem.data.dtype == "float32" else INEXACT
    if not all(error <= excused.get(what, tolerance) for what, error in errors.items()):
        return {"status": "wrong", "errors": errors, "reason": f"relative errors {_listed(errors)}"}
    return Runner(name, variant, program, errors, first)


def _same_program(name: str, program: Program, others: list[Runner]) -> str | None:
    """The peer that compiled to the same instructions, if one did: it is timed for both."""
    if is_ours(name) or program.fingerprint is None:
        return None
    peers = (runner for runner in others if not is_ours(runner.implementation))
    same = (r.implementation for r in peers if r.program.fingerprint == program.fingerprint)
    return next(same, None)


def _listed(errors: dict[str, float]) -> str:
    return ", ".join(f"{name} {error:.1e}" for name, error in errors.items())


def _result(runner: Runner, tolerance: float) -> Cell:
    program = runner.program
    inexact = {name: error for name, error in runner.errors.items() if error > tolerance}
    noted: Cell = {"inexact": _listed(inexact)} if inexact else {}
    return (
        noted
        | timing.summary(runner.times)
        | {
            "way": ", ".join(filter(None, (runner.variant, program.note))),
            "trace_s": program.trace_s,
            "compile_s": program.compile_s,
            "temp_bytes": program.temp_bytes,
            "errors": runner.errors,
        }
    )
