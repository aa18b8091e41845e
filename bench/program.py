"""What is timed: a compiled function with its arguments, and how to read its answers."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


class Refused(Exception):
    """An implementation cannot do this problem; the message says why."""


# The scopes that jtconv's primitives put around the methods they chose.
_CHOSEN = re.compile(r"jtconv_(dgrad|fprop|wgrad)_([\w-]+)")
# What differs between two compilations of one program: names and lines of the source.
_ORIGIN = re.compile(r", metadata=\{[^}]*\}|(?<=^ENTRY )\S+", re.MULTILINE)


class Program:
    """One variant of an implementation, for one problem."""

    trace_s: float | None = None
    compile_s: float | None = None
    temp_bytes: int | None = None
    note = ""  # the algorithms that were chosen, where the program shows them
    fingerprint: int | None = None  # equal for two programs that are the same instructions
    calls = 1  # how many problems one call solves
    serial = True  # wait for each call: a CPU would otherwise run several at once

    def call(self, turn: int) -> Any:
        """Start the work, on the arguments of this turn."""
        raise NotImplementedError

    def wait(self, outputs: Any) -> None:
        """Return once the outputs of a call are there."""

    def answers(self, outputs: Any) -> dict[str, Array]:
        """What a call gave, in float64 and channels last."""
        raise NotImplementedError


Variants = dict[str, Callable[[], Program]]


class JaxProgram(Program):
    """A JAX function, traced, lowered and compiled with the clock running.

    ``restore`` takes what the function returns to answers by name, channels last.
    ``sets`` are copies of the arguments, taken in turn: on an accelerator so many that none is
    still in the cache when its turn comes again.  There ``function`` is also unrolled over all
    of them in one program, so that the host's part of the time vanishes.
    """

    def __init__(
        self,
        function: Callable[..., tuple[Any, ...]],
        sets: Sequence[tuple[Any, ...]],
        restore: Callable[[tuple[Any, ...]], dict[str, Any]],
        unroll: bool = False,
    ) -> None:
        self.restore, self.unroll = restore, unroll
        self.sets = [jax.device_put(one) for one in sets]
        jax.block_until_ready(self.sets)
        self.calls = len(sets) if unroll else 1
        self.serial = jax.default_backend() == "cpu"
        if unroll:
            jitted, arguments = jax.jit(lambda *many: [function(*one) for one in many]), self.sets
        else:
            jitted, arguments = jax.jit(function), self.sets[0]
        start = time.perf_counter()
        lowered = jitted.lower(*arguments)
        traced = time.perf_counter()
        self.compiled = lowered.compile()
        self.trace_s, self.compile_s = traced - start, time.perf_counter() - traced
        memory = self.compiled.memory_analysis()
        self.temp_bytes = memory.temp_size_in_bytes // self.calls if memory else None
        self._read(self.compiled.as_text() or "")

    def _read(self, text: str) -> None:
        chosen = dict.fromkeys(_CHOSEN.findall(text))
        self.note = ", ".join(f"{side} {method}" for side, method in sorted(chosen))
        body = re.search(r"^(%|ENTRY)", text, re.MULTILINE)
        if body:
            self.fingerprint = hash(_ORIGIN.sub("", text[body.start() :]))

    def call(self, turn: int) -> Any:
        """Dispatch one run."""
        return self.compiled(*(self.sets if self.unroll else self.sets[turn % len(self.sets)]))

    def wait(self, outputs: Any) -> None:
        """Block until the device is done."""
        jax.block_until_ready(outputs)

    def answers(self, outputs: Any) -> dict[str, Array]:
        """Of the first argument set, in float64."""
        first = outputs[0] if self.unroll else outputs
        return {name: np.asarray(a).astype(np.float64) for name, a in self.restore(first).items()}
