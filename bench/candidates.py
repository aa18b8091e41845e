"""The times of every algorithm on one task, in a process that can be ended.

    python -m bench.candidates

reads a line of JSON for each task and writes lines: ``{"begun": method}`` before anything that may
take for ever, and the row when all is measured.  `bench.regret` watches the clock.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bench.program import Program
from bench.timing import SLOW_S, Runner
from jtconv.algorithms import ALGORITHMS
from jtconv.algorithms.algorithm import compute
from jtconv.dispatch.choose import cost, refusal
from jtconv.problem.geometry import Axis, Geometry
from jtconv.problem.task import ROLES, Task

Json = dict[str, Any]

# Not even tried: what would compute or hold so many times more than the best could.
WASTEFUL = 60
MOST_HELD = 3e9
# Not timed again: what takes so many times the best, and long.
HOPELESS, LONG_S = 4.0, 0.1
SAMPLE_S = 0.004


@dataclass(eq=False)
class Compiled(Program):
    """One algorithm compiled for a task."""

    method: str
    task: Task
    operands: tuple[jax.Array, jax.Array]
    run: Any = field(init=False)

    def __post_init__(self) -> None:
        def side(a: jax.Array, b: jax.Array) -> jax.Array:
            result = compute(ALGORITHMS[self.method], a, b, self.task)
            return result.astype(self.task.result_dtype)

        start = time.perf_counter()
        self.run = jax.jit(side).lower(*self.operands).compile()
        self.compile_s = time.perf_counter() - start
        memory = self.run.memory_analysis()
        self.temp_bytes = memory.temp_size_in_bytes if memory else None

    def call(self, turn: int) -> jax.Array:
        """One run."""
        result: jax.Array = self.run(*self.operands)
        return result

    def wait(self, outputs: jax.Array) -> None:
        """Until it is there."""
        outputs.block_until_ready()


def to_json(task: Task) -> Json:
    """A task as JSON."""
    axes = [[a.x_size, a.kernel, a.y_size, a.stride, a.dilation, a.lo] for a in task.geometry]
    channels = [task.groups, task.x_channels, task.y_channels]
    return {
        "side": task.side,
        "dtype": task.dtype.name,
        "batch": task.batch,
        "channels": channels,
        "axes": axes,
    }


def from_json(row: Json) -> Task:
    """The task again."""
    groups, c, o = row["channels"]
    axes = tuple(Axis(*numbers) for numbers in row["axes"])
    dtype = jnp.dtype(row["dtype"])
    return Task(row["side"], Geometry(axes, groups), row["batch"], c, o, dtype, dtype)


def why_untried(method: str, task: Task) -> str | None:
    """Why a method is not measured: it refuses, or nobody would take it."""
    refused = refusal(method, task)
    if refused:
        return refused
    if (method, task.groups) == ("dense", 1) or (method, task.side) == ("vjp", "fprop"):
        return "the program of dilated"
    if method == "matrix":
        return "for teaching"
    spent = cost(method, task)
    if spent.multiply_adds > WASTEFUL * task.multiply_adds or spent.temporary_bytes > MOST_HELD:
        return f"would compute {spent.multiply_adds:.1e} and hold {spent.temporary_bytes:.1e}"
    return None


def measure(task: Task, rounds: int, without: list[str]) -> Json:
    """The row of a task; ``without`` are methods that have been given up."""
    operands = _operands(task)
    row: Json = {**to_json(task), "times": {}, "compile_s": {}, "temp_bytes": {}, "trouble": {}}
    runners: list[Runner] = []
    for method in ALGORITHMS:
        trouble = "given up" if method in without else why_untried(method, task)
        if trouble is None:
            print(json.dumps({"begun": method}), flush=True)
            try:
                runners.append(_first_run(Compiled(method, task, operands)))
            except Exception as error:  # a failed candidate is a row, whatever failed
                trouble = f"{type(error).__name__}: {error}"[:200]
        if trouble is not None:
            row["trouble"][method] = trouble
    print(json.dumps({"begun": ""}), flush=True)
    _take_turns(runners, rounds)
    for runner in runners:
        program, name = runner.program, runner.implementation
        row["times"][name] = float(f"{min(runner.times):.4g}")
        row["compile_s"][name] = round(program.compile_s or 0.0, 2)
        row["temp_bytes"][name] = program.temp_bytes
    return row


def _operands(task: Task) -> tuple[jax.Array, jax.Array]:
    g, rng = task.geometry, np.random.default_rng(0)
    shapes = {
        "x": (task.batch, *g.x_size, task.x_channels),
        "y": (task.batch, *g.y_size, task.y_channels),
        "w": (*g.kernel, task.x_channels_per_group, task.y_channels),
    }
    names = ROLES[task.side][:2]
    a, b = (jnp.asarray(rng.standard_normal(shapes[n], np.float32), task.dtype) for n in names)
    return a, b


def _first_run(program: Compiled) -> Runner:
    runner = Runner(program.method, "", program, {}, 0.0)
    first = runner.measure(1)  # cold: threads start, pages are touched
    runner.times = [first if first > SLOW_S else runner.measure(1)]
    return runner


def _take_turns(runners: list[Runner], rounds: int) -> None:
    """Samples in turn, of those that are not hopeless."""
    best = min((runner.best for runner in runners), default=0.0)
    bound = max(HOPELESS * best, LONG_S)
    for runner in runners:
        if bound <= runner.best < SLOW_S:  # one sample may have been disturbed
            runner.times += [runner.measure(1), runner.measure(1)]
    going = [r for r in runners if r.best < bound]
    for runner in going:
        runner.inner = max(1, min(200, round(SAMPLE_S / runner.best)))
        runner.times = []
    for turn in range(rounds):
        for offset in range(len(going)):
            runner = going[(turn + offset) % len(going)]
            runner.times.append(runner.measure(runner.inner))


def _main() -> None:
    for line in sys.stdin:
        asked = json.loads(line)
        row = measure(from_json(asked), asked["rounds"], asked["without"])
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    _main()
