"""Random problems against the NumPy loop, in processes of their own: no abort, no wrong number.

    python -m tests.fuzz --seed 0 --cases 1000

draws geometries that nobody would write down (crops of either sign and beyond the array, kernels
longer than the input, strides beyond kernels, sizes of 1, groups, 1 to 4 axes), a dtype, a method,
and one thing to ask: an operation, a gradient, or the derivative of one.  Operands are small whole
numbers, so that every sum is exact in every dtype.  A case that fails, or ends its process, is made
smaller while it still fails, and printed as one line of code.

A case costs what XLA takes to compile it, some 80 ms: 10,000 of them take a quarter of an hour.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from jtconv.algorithms import ALGORITHMS
from tests.cases import Case

# Hand-written kernels are for accelerators, and refuse here.
METHODS = ("auto", *(name for name in ALGORITHMS if name != "pallas"))
DTYPES = (
    *("float32", "float32", "float64", "bfloat16", "float16"),
    *("complex64", "complex128", "int8", "int32"),
)

# What is asked of a case: the code that is run, and printed where it fails, and what it must be in
# the words of the law, in which every derivative is one more of the three sides.
ASKED = {
    "value": ("call(a, w)", ("there", "a", "w")),
    "change by the kernel": (
        "jax.jvp(lambda w: call(a, w), (w,), (dw,))[1]",
        ("there", "a", "dw"),
    ),
    "gradient by the input": (
        "jax.vjp(lambda a: call(a, w), a)[1](c)[0]",
        ("back", "c", "w"),
    ),
    "gradient by the kernel": (
        "jax.vjp(lambda w: call(a, w), w)[1](c)[0]",
        ("kernel", "a", "c"),
    ),
    "change of the gradient by the input": (
        "jax.jvp(lambda w: jax.vjp(lambda a: call(a, w), a)[1](c)[0], (w,), (dw,))[1]",
        ("back", "c", "dw"),
    ),
    "change of the gradient by the kernel": (
        "jax.jvp(lambda a: jax.vjp(lambda w: call(a, w), w)[1](c)[0], (a,), (da,))[1]",
        ("kernel", "da", "c"),
    ),
    "gradient of the gradient by the input": (
        "jax.vjp(lambda w: jax.vjp(lambda a: call(a, w), a)[1](c)[0], w)[1](da)[0]",
        ("kernel", "da", "c"),
    ),
    "gradient of the gradient by the kernel": (
        "jax.vjp(lambda a: jax.vjp(lambda w: call(a, w), w)[1](c)[0], a)[1](dw)[0]",
        ("back", "c", "dw"),
    ),
    "transpose of the transpose": (
        "jax.vjp(lambda c: jax.vjp(lambda a: call(a, w), a)[1](c)[0], c)[1](da)[0]",
        ("there", "da", "w"),
    ),
}


@dataclass(frozen=True)
class Fuzzed:
    """One case: a problem, and what is asked of it."""

    case: Case
    op: str = "conv_transpose"
    method: str = "auto"
    dtype: str = "float32"
    asked: str = "value"

    @property
    def keywords(self) -> dict[str, Any]:
        """What the operation is called with."""
        transposed = self.op == "conv_transpose"
        keywords = self.case.keywords if transposed else self.case.adjoint_keywords
        return {**keywords, "method": self.method}

    def line(self) -> str:
        """As code to paste."""
        case, letters = self.case, re.findall(r"\b(?:a|w|c|da|dw)\b", ASKED[self.asked][0])
        first, last = case.x_shape, case.y_shape
        if self.op == "conv":
            first, last = last, first
        shapes = {"a": first, "w": case.w_shape, "c": last, "da": first, "dw": case.w_shape}
        names = [name for name in shapes if name in ("a", "w", *letters)]
        arrays = ", ".join(f"jnp.ones({shapes[name]}, {self.dtype!r})" for name in names)
        said = ", ".join(f"{k}={v!r}" for k, v in self.keywords.items())
        call = f"jtconv.{self.op}(\\1, {said})"
        code = re.sub(r"call\((a, w)\)", call, ASKED[self.asked][0])
        return f"jax.jit(lambda {', '.join(names)}: {code})({arrays})"


def draw(chance: random.Random) -> Fuzzed:
    """A problem whose output is not empty."""
    rank = chance.choice((1, 1, 2, 2, 2, 3, 4))
    most = {1: 7, 2: 4, 3: 3, 4: 2}[rank]
    axes = [_axis(chance, most) for _ in range(rank)]
    groups = chance.choice((1, 1, 1, 2, 3))
    channels = groups * chance.randint(1, 2), groups * chance.randint(1, 2)
    case = Case("fuzzed", *zip(*axes, strict=True), *channels, groups, chance.choice((0, 1, 1, 2)))  # type: ignore[call-arg, arg-type]
    op, method = chance.choice(("conv_transpose", "conv")), chance.choice(METHODS)
    dtype, asked = chance.choice(DTYPES), chance.choice(tuple(ASKED))
    return Fuzzed(case, op, method, dtype, "value" if dtype.startswith("int") else asked)


def _axis(chance: random.Random, most: int) -> tuple[int, int, int, int, tuple[int, int]]:
    n, k = chance.randint(1, most), chance.randint(1, most)
    s, d = chance.randint(1, 4), chance.choice((1, 1, 1, 2, 3))
    full = (n - 1) * s + d * (k - 1) + 1
    lo = chance.choice((0, 0, 1, chance.randint(-3, full + 2)))
    size = chance.choice((full - lo, full - 2 * lo, chance.randint(1, full + 3)))
    return n, k, s, d, (lo, full - lo - max(size, 1))


def smaller(fuzzed: Fuzzed) -> Iterator[Fuzzed]:
    """The same with one thing made plainer."""
    case = fuzzed.case
    for axis in range(len(case.x_size)):
        if len(case.x_size) > 1:
            yield replace(fuzzed, case=case._replace(**{f: _without(case, f, axis) for f in _AXES}))
        for field, plain in (("x_size", 1), ("kernel", 1), ("stride", 1), ("dilation", 1)):
            value = getattr(case, field)[axis]
            if value > plain:
                yield replace(
                    fuzzed, case=case._replace(**{field: _with(case, field, axis, value - 1)})
                )
        for lo, hi in ((0, 0), (case.crops[axis][0], 0), (0, case.crops[axis][1])):
            if (lo, hi) != case.crops[axis]:
                yield replace(
                    fuzzed, case=case._replace(crops=_with(case, "crops", axis, (lo, hi)))
                )
    if case.batch > 1:
        yield replace(fuzzed, case=case._replace(batch=1))
    if case.channels + case.features > 2 * case.groups or case.groups > 1:
        yield replace(fuzzed, case=case._replace(channels=1, features=1, groups=1))
    if fuzzed.dtype != "float32":
        yield replace(fuzzed, dtype="float32")
    if fuzzed.asked != "value":
        yield replace(fuzzed, asked="value")


_AXES = ("x_size", "kernel", "stride", "dilation", "crops")


def _without(case: Case, field: str, axis: int) -> Any:
    values = getattr(case, field)
    return values[:axis] + values[axis + 1 :]


def _with(case: Case, field: str, axis: int, value: Any) -> Any:
    values = getattr(case, field)
    return (*values[:axis], value, *values[axis + 1 :])


class Worker:
    """A process that computes cases, one a line, and is begun anew where one ends it."""

    def __init__(self, module: str = "tests.fuzz") -> None:
        self.module = module
        self.process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process is not None:
            self._end(self.process)

    def trouble(self, fuzzed: Fuzzed) -> str | None:
        """What is wrong with a case, if anything is."""
        return self.ask(repr(fuzzed))

    def ask(self, question: str) -> str | None:
        """What the module answers to a case that it can read from a line."""
        process = self.process = self.process or subprocess.Popen(
            [sys.executable, "-m", self.module, "--work"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        try:
            print(question, file=process.stdin, flush=True)
            answer = process.stdout.readline() if process.stdout else ""
        except BrokenPipeError:
            answer = ""
        if answer:
            found: str | None = json.loads(answer)
            return found
        return f"the process ended with {self._end(process)}"

    def _end(self, process: subprocess.Popen[str]) -> int:
        self.process = None
        with contextlib.suppress(BrokenPipeError):
            process.communicate()
        return process.returncode


def shrunk(worker: Worker, fuzzed: Fuzzed) -> Fuzzed:
    """A smaller case that fails as well."""
    for other in smaller(fuzzed):
        if min(other.case.y_size) >= 1 and worker.trouble(other) is not None:
            return shrunk(worker, other)
    return fuzzed


def failures(seed: int, count: int) -> Iterator[tuple[Fuzzed, str]]:
    """The cases of a seed that fail, made small, and how each fails."""
    chance = random.Random(seed)
    with Worker() as worker:
        for number in range(1, count + 1):
            fuzzed = draw(chance)
            if worker.trouble(fuzzed) is not None:
                small = shrunk(worker, fuzzed)
                yield small, worker.trouble(small) or "not always"
            if number % 500 == 0:
                print(f"seed {seed}: {number} cases asked", file=sys.stderr, flush=True)


def told(seed: int, count: int) -> Iterator[str]:
    """The same, as text."""
    for fuzzed, trouble in failures(seed, count):
        yield f"{fuzzed.line()}\n    {trouble}"


def work() -> None:
    """Read cases, and answer each with what is wrong with it; one takes two minutes at most."""
    import jax

    from tests import fuzz_case

    jax.config.update("jax_enable_x64", True)
    for number, text in enumerate(sys.stdin, 1):
        signal.alarm(120)
        fuzzed = eval(text, {"Fuzzed": Fuzzed, "Case": Case})  # what repr wrote
        print(json.dumps(fuzz_case.trouble(fuzzed)), flush=True)
        if number % 200 == 0:
            jax.clear_caches()


def main(
    module: str, what: str, work: Callable[[], None], failing: Callable[[int, int], Iterator[str]]
) -> int:
    """The command line of a module that draws cases: what of a seed is ``failing``, in words."""
    parser = argparse.ArgumentParser(prog=f"python -m {module}", description=what.split("\n")[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cases", type=int, default=200)
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        work()
        return 0
    found = 0
    for text in failing(options.seed, options.cases):
        found += 1
        print(text, flush=True)
    print(f"seed {options.seed}: {found} of {options.cases} cases fail")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main("tests.fuzz", __doc__, work, told))
