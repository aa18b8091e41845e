"""The choice by measurement: a tuning, made by `tune`, is a value to keep, save and enter."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Container, Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jtconv import devices
from jtconv.algorithms import ALGORITHMS
from jtconv.algorithms.algorithm import compute
from jtconv.dispatch.choose import ADVISOR, refusal, tiles
from jtconv.problem.task import ROLES, Task

FORMAT = 2  # of files: in the first, timings had no tile

# Seconds that the runs of one candidate may take.  One whose first run alone takes that long,
# and so many times the best so far, is not run again.
BUDGET_S = 0.2
HOPELESS = 5.0

Operands = tuple[jax.Array, jax.Array]


@dataclass(frozen=True)
class Timing:
    """One candidate on one task: median seconds, or why there are none.

    A method that can cut the task up in several ways is so many candidates, told apart by ``tile``.
    """

    method: str
    seconds: float | None
    trouble: str | None = None
    tile: str | None = None


def timings(task: Task) -> Iterable[Timing]:
    """Every candidate's time; one whose first run is hopeless is not run again."""
    operands, best = _operands(task), float("inf")
    for method in ALGORITHMS:
        why_not = refusal(method, task)
        if why_not is not None:
            yield Timing(method, None, why_not)
            continue
        for tile in tiles(method, task):
            timing = _timing(method, replace(task, tile=tile), operands, best)
            best = min(best, timing.seconds or best)
            yield timing


def _operands(task: Task) -> Operands:
    g, rng = task.geometry, np.random.default_rng(0)
    shapes = {
        "x": (task.batch, *g.x_size, task.x_channels),
        "y": (task.batch, *g.y_size, task.y_channels),
        "w": (*g.kernel, task.x_channels_per_group, task.y_channels),
    }
    names = ROLES[task.side][:2]
    a, b = (jnp.asarray(rng.normal(size=shapes[name]) * 8, task.dtype) for name in names)
    return a, b


def _timing(method: str, task: Task, operands: Operands, best: float) -> Timing:
    try:
        return Timing(method, _seconds(method, task, operands, best), tile=task.tile)
    except Exception as error:  # a failed candidate is a row, whatever failed
        return Timing(method, None, f"{type(error).__name__}: {error}"[:200], task.tile)


def _seconds(method: str, task: Task, operands: Operands, best: float) -> float:
    def side(a: jax.Array, b: jax.Array) -> jax.Array:
        return compute(ALGORITHMS[method], a, b, task).astype(task.result_dtype)

    run = jax.jit(side).lower(*operands).compile()
    first = _once(run, operands)  # cold: threads start, pages are touched
    if first > max(HOPELESS * best, BUDGET_S):
        return first
    times = [_once(run, operands)]
    while sum(times) < BUDGET_S and len(times) < 100:
        times.append(_once(run, operands))
    return statistics.median(times)


def _once(run: Callable[..., jax.Array], operands: Operands) -> float:
    start = time.perf_counter()
    run(*operands).block_until_ready()
    return time.perf_counter() - start


class Tuning:
    """Measured methods for the tasks of one device kind and JAX version.

    Enter it as a context, and every ``method="auto"`` inside takes the fastest method for the
    tasks it knows, and the static rules for all others.  Save it as JSON and load it again.

    >>> import jax, jtconv
    >>> tuning = Tuning({}, jax.devices()[0].device_kind, jax.__version__)
    >>> with tuning:  # nothing was measured: the rules decide
    ...     y = jtconv.conv_transpose(jax.numpy.ones((1, 4, 2)), jax.numpy.ones((2, 2, 3)))
    >>> y.shape
    (1, 5, 3)
    """

    def __init__(self, rows: dict[str, tuple[Timing, ...]], device: str, version: str) -> None:
        """``rows`` maps the key of a task to the timings of its candidates."""
        self.rows, self.device, self.version = dict(rows), device, version
        self._entered: list[Any] = []

    def advise(self, task: Task) -> str | None:
        """The method measured fastest for ``task``; None where it was not measured."""
        best = self._fastest(task, ALGORITHMS)
        return best.method if best else None

    def tile(self, task: Task, method: str) -> str | None:
        """The tile that ``method`` was measured fastest with on ``task``, if it has any."""
        best = self._fastest(task, (method,))
        return best.tile if best else None

    def seconds(self, task: Task, method: str) -> float | None:
        """The time that ``method`` was measured to take for ``task``; None where there is none."""
        best = self._fastest(task, (method,))
        return best.seconds if best else None

    def _fastest(self, task: Task, methods: Container[str]) -> Timing | None:
        rows = self.rows.get(key(task), ())
        timed = [t for t in rows if t.seconds is not None and t.method in methods]
        return min(timed, key=lambda t: t.seconds or 0.0, default=None)

    def __enter__(self) -> Tuning:
        self._entered.append(ADVISOR(self))
        self._entered[-1].__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._entered.pop().__exit__(None, None, None)

    def dumps(self) -> str:
        """As JSON."""
        rows = {name: [asdict(t) for t in timings] for name, timings in self.rows.items()}
        head = {"jtconv_tuning": FORMAT, "device": self.device, "jax": self.version}
        return json.dumps({**head, "rows": rows}, indent=1)

    @classmethod
    def loads(cls, text: str) -> Tuning:
        """From JSON; a tuning of another device or JAX version is refused."""
        try:
            stored = _stored(text)
            rows, found = stored["rows"], (stored["device"], stored["jax"])
        except (json.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"text is not a tuning saved by jtconv.tune: {error!r}.") from None
        if found != here():
            device, version = here()
            raise ValueError(
                f"this tuning was measured on {found[0]} with jax {found[1]}; here is {device} "
                f"with jax {version}. Times do not carry over: measure again with jtconv.tune."
            )
        return Tuning(rows, *found)

    def save(self, path: str | Path) -> None:
        """Write the JSON to ``path``."""
        Path(path).write_text(self.dumps() + "\n")

    @classmethod
    def load(cls, path: str | Path) -> Tuning:
        """Read what :meth:`save` wrote."""
        return cls.loads(Path(path).read_text())

    def __str__(self) -> str:
        lines = [f"tuning on {self.device}, jax {self.version}"]
        for name, timings in self.rows.items():
            lines.append(name)
            for t in sorted(timings, key=lambda t: (t.seconds is None, t.seconds)):
                spent = f"{t.seconds * 1e3:9.3f} ms" if t.seconds is not None else "        -   "
                candidate = f"{t.method} {t.tile or ''}"
                lines.append(f"  {candidate:17}{spent}  {t.trouble or ''}".rstrip())
        return "\n".join(lines)


def _stored(text: str) -> dict[str, Any]:
    """What a file holds, if this version of jtconv can read it."""
    stored = json.loads(text)
    if stored["jtconv_tuning"] > FORMAT:
        raise ValueError(
            f"this tuning has format {stored['jtconv_tuning']}, of a later jtconv; here "
            f"{FORMAT} is the last one known. Update jtconv, or measure again with jtconv.tune."
        )
    rows = {n: tuple(Timing(**t) for t in row) for n, row in stored["rows"].items()}
    unknown = {t.method for row in rows.values() for t in row} - ALGORITHMS.keys()
    if unknown:
        raise ValueError(f"this tuning names methods unknown here: {sorted(unknown)}.")
    return {**stored, "rows": rows}


def key(task: Task) -> str:
    """A task as one line of text: what must be equal for a time to hold."""
    g = task.geometry
    axes = " ".join(
        f"{a.x_size}k{a.kernel}s{a.stride}d{a.dilation}lo{a.lo}out{a.y_size}" for a in g
    )
    return (
        f"{task.side} {task.platform} n{task.batch} {task.x_channels}-{task.y_channels} "
        f"g{task.groups} [{axes}] {task.dtype}-{task.result_dtype} {task.precision}"
    )


def here() -> tuple[str, str]:
    """What times are bound to: the kind of device, and JAX's version."""
    return devices.default().device_kind, jax.__version__


class _Recorder(Tuning):
    """A tuning being made: it notes every task, and measures them all on the way out."""

    def __init__(self) -> None:
        super().__init__({}, *here())
        self._tasks: dict[str, Task] = {}
        self._recording = True

    def advise(self, task: Task) -> str | None:
        """Note the task, and leave it to the rules while recording."""
        self._note(task)
        return super().advise(task)

    def tile(self, task: Task, method: str) -> str | None:
        """Note what is asked of a method by name, if there is something about it to measure."""
        if tiles(method, task) != (None,):
            self._note(task)
        return super().tile(task, method)

    def _note(self, task: Task) -> None:
        # A program that is lowered for another platform than this cannot be measured here.
        if self._recording and task.platform == devices.platform():
            self._tasks[key(task)] = task

    def __exit__(self, *details: object) -> None:
        super().__exit__(*details)
        if self._recording and details[0] is None:
            self.rows = _measure(self._tasks)
        self._recording = False


def tune(function: Callable[..., Any] | None = None, *args: Any, **kwargs: Any) -> Tuning:
    """Measure which method is fastest for the convolutions a function really does.

    Args:
        function: a function of ``args`` and ``kwargs``, run once to see which transposed and
            plain convolutions, and gradients of them, it asks "auto" for, or a method whose
            tiles can be measured. Without a function, ``with jtconv.tune() as tuning:`` watches
            the block instead.
        *args, **kwargs: what ``function`` is called with.

    Returns:
        A :class:`Tuning`, measured once the function has run or the block has ended. It
        changes nothing until it is entered: ``with tuning: ...``. A candidate that refuses or
        fails is a row with its reason; kernels for accelerators are a candidate for every tile
        that suits the task.

    Raises:
        TypeError: if ``function`` cannot be called.

    >>> import jax.numpy as jnp
    >>> from jtconv import conv_transpose
    >>> tuning = tune(conv_transpose, jnp.ones((1, 4, 2)), jnp.ones((2, 2, 3)), stride=2)
    >>> with tuning:
    ...     y = conv_transpose(jnp.ones((1, 4, 2)), jnp.ones((2, 2, 3)), stride=2)
    >>> tuning.loads(tuning.dumps()).rows == tuning.rows
    True
    """
    recorder = _Recorder()
    if function is None:
        return recorder
    if not callable(function):
        raise TypeError(f"function must be callable, got {function!r}.")
    with recorder:
        jax.block_until_ready(function(*args, **kwargs))
    return recorder


def _measure(tasks: dict[str, Task]) -> dict[str, tuple[Timing, ...]]:
    return {name: tuple(timings(task)) for name, task in _with_progress(tasks)}


def _with_progress(tasks: dict[str, Task]) -> Iterable[tuple[str, Task]]:
    """The items, with a progress bar where rich is installed to draw one."""
    try:
        from rich.console import Console
        from rich.progress import track
    except ImportError:
        return tasks.items()
    console = Console(stderr=True)
    quiet = console.is_jupyter
    return track(
        tasks.items(), "Tuning", len(tasks), console=console, transient=True, disable=quiet
    )
