"""A tuning: measured times as a value to keep, save and enter."""

from __future__ import annotations

import json
from collections.abc import Container
from dataclasses import asdict
from pathlib import Path
from typing import Any

import jax

from jtconv.choose import ADVISOR
from jtconv.methods import METHODS, Task
from jtconv.tuning.timing import Timing

FORMAT = 2  # of files: in the first, timings had no tile


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
        best = self._fastest(task, METHODS)
        return best.method if best else None

    def tile(self, task: Task, method: str) -> str | None:
        """The tile that ``method`` was measured fastest with on ``task``, if it has any."""
        best = self._fastest(task, (method,))
        return best.tile if best else None

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
    unknown = {t.method for row in rows.values() for t in row} - METHODS.keys()
    if unknown:
        raise ValueError(f"this tuning names methods unknown here: {sorted(unknown)}.")
    return {**stored, "rows": rows}


def key(task: Task) -> str:
    """A task as one line of text: what must be equal for a time to hold."""
    g = task.geometry
    axes = " ".join(f"{a.input}k{a.kernel}s{a.stride}d{a.dilation}lo{a.lo}out{a.output}" for a in g)
    return (
        f"{task.side} {task.platform} n{task.batch} {task.channels}-{task.out_channels} "
        f"g{task.groups} [{axes}] {task.dtype}-{task.result_dtype} {task.precision}"
    )


def here() -> tuple[str, str]:
    """What times are bound to: the kind of device, and JAX's version."""
    return jax.devices()[0].device_kind, jax.__version__
