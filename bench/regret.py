"""Regret: how much slower the automatic choice is than the best algorithm it could have taken.

    python -m bench --regret --seed 7 --layers 60 --json new.json
    python -m bench --regret --load new.json        # the choice of now, by times measured then

draws layers that nobody tuned for (`bench.random_layers`), times every algorithm on their three
sides, in turns, and asks the choice.  A choice is judged by the times of the algorithm it names, so
a file of times judges every later choice, too.  Transforms, whose numbers are not as good, are
among what could have been taken only where they win by the margin that the choice asks of them.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import math
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.table import Table

from bench import machine, random_layers
from bench.candidates import Json, from_json, to_json
from jtconv.dispatch.choose import automatic
from jtconv.dispatch.model import CLEAR

SCHEMA = 1
PATIENCE_S = 20.0  # for one candidate to be compiled and run twice, or for all to take their turns
NO_MATTER_S = 1e-4  # rows whose best and chosen are nearer than this are not judged
SHOWN = 15  # losing rows of the table


class Worker:
    """A process that times tasks, started again when it hangs or dies."""

    def __init__(self) -> None:
        self._start()

    def _start(self) -> None:
        command = [sys.executable, "-m", "bench.candidates"]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "JAX_PLATFORMS": "cpu"},
        )
        self._lines: queue.Queue[str | None] = queue.Queue()
        given = self._process, self._lines
        self._reader = threading.Thread(target=self._read, args=given, daemon=True)
        self._reader.start()

    @staticmethod
    def _read(process: subprocess.Popen[str], lines: queue.Queue[str | None]) -> None:
        assert process.stdout
        with process.stdout:
            for line in process.stdout:
                lines.put(line)
        lines.put(None)

    def row(self, asked: Json) -> Json:
        """What it measured; a candidate that hangs or ends the process is left out and named."""
        given_up: list[str] = []
        while True:
            row, begun = self._ask({**asked, "without": given_up})
            if row is not None:
                return row
            self.close()
            self._start()
            if not begun:
                return {**asked, "times": {}, "trouble": {"all": "did not come to an end"}}
            given_up.append(begun)

    def _ask(self, asked: Json) -> tuple[Json | None, str]:
        """The row, or none and the method that was being tried."""
        assert self._process.stdin
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        begun = ""
        while True:
            try:
                line = self._lines.get(timeout=PATIENCE_S)
            except queue.Empty:
                return None, begun
            if line is None:
                return None, begun
            answer = json.loads(line)
            if "begun" not in answer:
                return answer, begun
            begun = answer["begun"]

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        self._reader.join()
        if self._process.stdin:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()


@dataclass(frozen=True)
class Sweep:
    """So many layers of a seed in each dtype, or as many as can be timed in some minutes."""

    seed: int
    layers: int
    dtypes: tuple[str, ...]
    rounds: int
    minutes: float


def run(sweep: Sweep, old: Path | None, new: Path | None, console: Console) -> None:
    """Judge the choice by times of an ``old`` file, or by times measured and kept in a ``new``."""
    if old:
        show(load(old), console)
        return
    report = measure(sweep, console, new)
    show(report, console)


def measure(sweep: Sweep, console: Console, keep: Path | None = None) -> Json:
    """Times of every algorithm on every side of the layers; kept as they come."""
    each = [random_layers.draw(sweep.seed, sweep.layers, dtype) for dtype in sweep.dtypes]
    layers = list(itertools.chain(*zip(*each, strict=True)))  # dtypes in turn: time may run out
    worker, end = Worker(), time.monotonic() + 60 * sweep.minutes
    plan = {"suite": "regret", **asdict(sweep)}
    report: Json = {"schema": SCHEMA, "machine": machine.describe(), "plan": plan, "rows": []}
    for layer in track(layers, "regret", console=console):
        if time.monotonic() > end:
            break
        for task in layer.tasks:
            row = worker.row({**to_json(task), "rounds": sweep.rounds})
            report["rows"].append({"layer": layer.name, **row})
        if keep:
            save(report, keep)
    worker.close()
    return report


@dataclass(frozen=True)
class Regret:
    """A row judged: what was chosen, what would have been best, and the ratio of their times."""

    layer: str
    side: str
    dtype: str
    chosen: str
    best: str
    chosen_s: float
    best_s: float

    @property
    def ratio(self) -> float:
        """Times slower than the best; 1 where the difference is too small to matter."""
        near = self.chosen_s - self.best_s < NO_MATTER_S
        return 1.0 if near else self.chosen_s / self.best_s


def measured(row: Json) -> dict[str, float]:
    """Seconds of every method that was timed: its fastest sample, the one least disturbed.

    Methods that are one program (`bench.candidates.why_untried`) share what was seen of any.
    """
    times = row["times"]
    alike = [name for name in ("dilated", *_same_program(row)) if name in times]
    fastest = min((times[name] for name in alike), default=0.0)
    return {
        name: fastest if name == "dilated" else seconds
        for name, seconds in times.items()
        if name == "dilated" or name not in alike
    }


def _same_program(row: Json) -> list[str]:
    groups = row["channels"][0]
    return ["dense"] * (groups == 1) + ["vjp"] * (row["side"] == "fprop")


def judge(rows: Iterable[Json]) -> Iterator[Regret]:
    """The choice of now, by the times of these rows."""
    for row in rows:
        times = measured(row)
        if not times:
            continue
        chosen = automatic(from_json(row)).method
        if chosen in _same_program(row):
            chosen = "dilated"
        others = [seconds for name, seconds in times.items() if name != "fft"]
        if chosen != "fft" and min(others, default=math.inf) < CLEAR * times.get("fft", 0.0):
            times.pop("fft", None)
        best = min(times, key=lambda name: times[name])
        # a choice that was not timed was given up, or would hold or compute out of all proportion
        taken = times.get(chosen, PATIENCE_S)
        yield Regret(row["layer"], row["side"], row["dtype"], chosen, best, taken, times[best])


def show(report: Json, console: Console) -> None:
    """Means by dtype and side, and the rows that lose most."""
    found = list(judge(report["rows"]))
    means = Table("dtype", "side", "rows", "geometric mean", "above 1.4", "worst", "layer")
    for dtype, side in dict.fromkeys((r.dtype, r.side) for r in found):
        mine = [r for r in found if (r.dtype, r.side) == (dtype, side)]
        worst = max(mine, key=lambda r: r.ratio)
        over = sum(r.ratio > 1.4 for r in mine)
        mean = f"{geometric_mean(mine):.3f}"
        means.add_row(
            dtype, side, str(len(mine)), mean, str(over), f"{worst.ratio:.2f}", worst.layer
        )
    console.print(means)
    losing = Table("layer", "side", "dtype", "chosen", "ms", "best", "ms", "ratio")
    for r in sorted(found, key=lambda r: -r.ratio)[:SHOWN]:
        took, best = f"{r.chosen_s * 1e3:.2f}", f"{r.best_s * 1e3:.2f}"
        losing.add_row(r.layer, r.side, r.dtype, r.chosen, took, r.best, best, f"{r.ratio:.2f}")
    console.print(losing)


def geometric_mean(found: list[Regret]) -> float:
    """Of the ratios."""
    return math.exp(sum(math.log(r.ratio) for r in found) / len(found))


def load(path: Path) -> Json:
    """A file of times."""
    report: Json = json.loads(path.read_text())
    if report.get("plan", {}).get("suite") != "regret":
        raise ValueError(f"{path} is not a report of python -m bench --regret")
    return report


def save(report: Json, path: Path) -> None:
    """One row a line."""
    rows = ",\n".join(json.dumps(row) for row in report["rows"])
    head = json.dumps({name: part for name, part in report.items() if name != "rows"}, indent=1)
    path.write_text(f'{head[:-2]},\n "rows": [\n{rows}\n]}}\n')
