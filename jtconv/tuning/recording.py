"""Watching a function or a block for the convolutions in it, to measure them all."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax

from jtconv.choose import tiles
from jtconv.methods import Task
from jtconv.tuning.timing import Timing, timings
from jtconv.tuning.tuning import Tuning, here, key


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
        if self._recording:
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
    from rich.console import Console  # only here: no cost to those who never tune
    from rich.progress import track

    rows, console = {}, Console(stderr=True)
    bar = partial(track, console=console, transient=True, disable=console.is_jupyter)
    for name, task in bar(tasks.items(), "Tuning"):
        rows[name] = tuple(timings(task))
    return rows
