"""Every layer, side and form compiled and counted, in processes that are given up when too slow.

Some programs take minutes to compile: a row then says so, which is a result.  Rows are lines of a
table that is written as they come, and what a file holds already is not compiled again.
"""

from __future__ import annotations

import csv
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Protocol

from bench.cases import Case
from bench.compiled import meters, programs
from bench.compiled.programs import ALL_SIDES, Part, Setting
from jtconv.problem.task import Task

# Of a processor's time, so that a busy machine changes no result, and of any.
LIMIT_S, PATIENCE_S = 60.0, 1200.0


@dataclass(frozen=True)
class Work:
    """One program to compile: a side of a case by a form, for a chip."""

    chip: str
    setting: Setting
    dtype: str
    case: Case
    side: Any
    form: str

    @property
    def key(self) -> tuple[str, str, str, str, str, str]:
        """Which of all programs it is."""
        return self.chip, self.setting, self.dtype, self.case.name, self.side, self.form

    @property
    def part(self) -> Part:
        """What it computes."""
        return Part(self.case, self.side, self.dtype, meters.of(self.chip).PLATFORM)

    @property
    def task(self) -> Task:
        """As our methods are given it."""
        return self.part.task

    def program(self) -> tuple[Callable[..., Any], list[Any], tuple[list[bool], bool]]:
        """A function, its arguments, and which arrays the compiler may lay out."""
        return programs.program(self.part, self.form, self.setting)


class Program(Protocol):
    """What there is to compile: a side of a layer, or a training step."""

    @property
    def chip(self) -> str:
        """The chip to compile for."""

    @property
    def key(self) -> tuple[str, str, str, str, str, str]:
        """Which of all programs it is."""

    @property
    def task(self) -> Task | None:
        """Whose floor it is held against."""

    def program(self) -> tuple[Callable[..., Any], list[Any], tuple[list[bool], bool]]:
        """A function, its arguments, and which arrays the compiler may lay out."""


@dataclass(frozen=True)
class Found:
    """A row: which program, and what it takes; ``fault`` where that is not known."""

    chip: str
    setting: str
    dtype: str
    case: str
    side: str
    form: str
    us: float | None = None
    floor_us: float | None = None
    cycles: float | None = None
    mb: float | None = None
    temporary_mb: float | None = None
    operations: int | None = None
    lost: int | None = None
    compile_s: float | None = None
    gmac: float | None = None
    calls: int | None = None
    fault: str = ""

    @property
    def program(self) -> tuple[str, ...]:
        """Which of all programs it is of: unique in a table."""
        return self.chip, self.setting, self.dtype, self.case, self.side, self.form


def works(
    chip: str,
    cases: Sequence[Case],
    dtypes: Sequence[str],
    settings: Sequence[Setting],
    method: str,
) -> Iterator[Work]:
    """All programs: ``jax.lax``, and the methods asked for (``all``, or names by commas)."""
    for case in cases:
        for dtype in dtypes:
            for setting in settings:
                for side in ALL_SIDES:
                    part = Part(case, side, dtype, meters.of(chip).PLATFORM)
                    can, chosen = programs.forms(part), programs.method(part)
                    every = programs.forms_of_use(part)
                    names = every if method == "all" else [programs.PEER, *method.split(",")]
                    named = [chosen if name == programs.AUTO else name for name in names]
                    for form in dict.fromkeys(named):
                        if form in can and not programs.is_peers(part, form):
                            yield Work(chip, setting, dtype, case, side, form)


def run(work: Sequence[Program], file: Path | None, jobs: int = 1) -> list[Found]:
    """Rows of all of it, those that ``file`` holds included."""
    known = {row.program: row for row in load(file)} if file and file.exists() else {}
    wanted = [w.key for w in work]
    left = [w for w, key in zip(work, wanted, strict=True) if key not in known]
    parts = [left[start::jobs] for start in range(jobs)]
    with ThreadPoolExecutor(jobs) as pool:
        for rows in pool.map(lambda part: list(_compiled(part, file)), parts):
            known |= {row.program: row for row in rows}
    return [known[key] for key in wanted]


def _compiled(work: Sequence[Program], file: Path | None) -> Iterator[Found]:
    worker: _Worker | None = None
    for item in work:
        worker = worker or _Worker()
        row = worker.ask(item)
        if row.fault.startswith("more than"):
            worker = None
        if file:
            append(file, row)
        yield row
    if worker:
        worker.end()


class _Worker:
    """A process that compiles one program after another."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs,), daemon=True)
        self.process.start()
        theirs.close()  # so that the end of the process is the end of the connection

    def ask(self, work: Program) -> Found:
        """Its row; the process is ended where it takes too long."""
        begin, busy = time.monotonic(), _busy_seconds(self.process.pid)
        try:
            self.connection.send(work)
            while True:
                if self.connection.poll(1.0):
                    return self.connection.recv()
                spent = _busy_seconds(self.process.pid) - busy
                if spent > LIMIT_S or time.monotonic() - begin > PATIENCE_S:
                    break
            why = f"more than {LIMIT_S:.0f} s to compile"
        except (EOFError, OSError):
            why = "more than the compiler can: it ended the process"
        self.end()
        return Found(*work.key, fault=why)

    def end(self) -> None:
        """Nothing more is asked."""
        self.process.kill()
        self.process.join()


def _busy_seconds(process: int | None) -> float:
    """Processor time of a process so far, as Linux tells it, on which alone libtpu runs."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:  # it has ended, which the connection says better
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _serve(connection: Any) -> None:
    while True:
        connection.send(compile_one(connection.recv()))


def compile_one(work: Program) -> Found:
    """Compile and count, in this process."""
    task = work.task
    meter = meters.of(work.chip)
    function, arguments, free = work.program()
    start = time.process_time()
    try:
        cost = meter.meter(function, arguments, work.chip, free)
    except Exception as error:  # what the compiler refuses is a row
        return Found(*work.key, fault=" ".join(str(error).split())[:160])
    return Found(
        *work.key,
        round(cost.us, 1),
        round(meter.floor_us(task, work.chip), 1) if task else None,
        _rounded(cost.cycles, 0),
        round(cost.bytes / 1e6, 1),
        round(cost.temporary_bytes / 1e6, 1),
        cost.count,
        cost.lost,
        round(time.process_time() - start, 1),
        _rounded(cost.multiply_adds, 3, 1e9),
        cost.calls,
    )


def _rounded(value: float | None, digits: int, unit: float = 1.0) -> float | None:
    return None if value is None else round(value / unit, digits)


def append(file: Path, row: Found) -> None:
    """One line more, below a line of names."""
    new = not file.exists()
    with file.open("a", encoding="utf-8", newline="") as out:
        writer = csv.writer(out, delimiter="\t", lineterminator="\n")
        if new:
            writer.writerow([field.name for field in fields(Found)])
        writer.writerow(["" if value is None else value for value in asdict(row).values()])


def load(file: Path) -> list[Found]:
    """The rows of a file, a later one in place of an earlier one of the same program."""
    with file.open(encoding="utf-8", newline="") as lines:
        rows = [_row(found) for found in csv.DictReader(lines, delimiter="\t")]
    return list({row.program: row for row in rows}.values())


def _row(found: dict[str, str]) -> Found:
    words = ("chip", "setting", "dtype", "case", "side", "form", "fault")
    whole = ("operations", "lost", "calls")
    values: dict[str, Any] = {name: found[name] for name in words}
    for name in found.keys() - set(words):
        number = int if name in whole else float
        values[name] = number(found[name]) if found[name] else None
    return Found(**values)
