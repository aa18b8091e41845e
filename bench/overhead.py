"""What calls cost in Python: arrays so small that computing costs next to nothing.

    python -m bench --overhead

sets jtconv against what it stands in for: eager calls and gradients of JAX, a layer of Flax,
tracing and lowering a deep network, and the import.
"""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from rich.console import Console
from rich.progress import track

import jtconv
from bench import machine, report, timing
from bench.problem import TOLERANCE
from bench.program import Program
from bench.summary import Cell, Row
from bench.timing import Runner
from jtconv.typing import ZerosName

DEPTH, CHANNELS = 50, 64  # layers of the network that is traced, and channels of each
RANKS = (1, 2, 3)
BUDGET_S = 10.0  # clock time for the samples of one function
_NUMBERS = {1: ("NWC", "WIO", "NWC"), 2: ("NHWC", "HWIO", "NHWC"), 3: ("NDHWC", "DHWIO", "NDHWC")}

Function = Callable[[], Any]
Operator = Callable[[Any, Any], Any]


@dataclass(frozen=True)
class Pair:
    """One thing to do, by jtconv and by a peer; the functions take nothing and do it once."""

    case: str
    mode: str
    peer: str
    ours: Function
    theirs: Function


class PythonCall(Program):
    """A function as it is called from Python, dispatch included; nothing is compiled around it."""

    serial = False  # what is timed is how fast calls are made, not how fast they are answered

    def __init__(self, function: Function) -> None:
        self.function = function

    def call(self, turn: int) -> Any:
        """Call it."""
        return self.function()

    def wait(self, outputs: Any) -> None:
        """Block until the arrays it made are there."""
        jax.block_until_ready(outputs)


def run(rounds: int) -> dict[str, Any]:
    """Measure every pair, taking turns; a report as it goes to JSON."""
    about = machine.describe()
    todo = list(pairs())
    rows = [measure(p, rounds) for p in track(todo, "overhead", console=Console(stderr=True))]
    plan = {"suite": "overhead", "rounds": rounds, "budget_s": BUDGET_S, "depth": DEPTH}
    plan["imports_flax"] = imports_flax()
    return {"schema": report.SCHEMA, "machine": about, "plan": plan, "limits": {}, "rows": rows}


def measure(pair: Pair, rounds: int) -> Row:
    """A row with a cell for each of the two, as in the other suites."""
    row: Row = {"case": pair.case, "mode": pair.mode, "dtype": "float32"}
    programs = {"jtconv": PythonCall(pair.ours), pair.peer: PythonCall(pair.theirs)}
    outputs = [jax.block_until_ready(program.call(0)) for program in programs.values()]
    error = _error(*outputs)
    if not error <= TOLERANCE["float32"]:
        wrong = {"status": "wrong", "reason": f"off by {error:.1e}"}
        return row | {"cells": {"jtconv": wrong}}
    runners = [Runner(name, "", program, {}, 0.0) for name, program in programs.items()]
    timing.interleave(runners, rounds, BUDGET_S)
    cells: dict[str, Cell] = {
        r.implementation: {"status": "ok"} | timing.summary(r.times) for r in runners
    }
    ours, theirs = (cell["median_s"] for cell in cells.values())
    return row | {"cells": cells, "ratio": ours / theirs}


def _error(ours: Any, theirs: Any) -> float:
    """Of the first array, relative to its largest number: y, or the gradient by x."""
    a, b = (jax.tree.leaves(outputs)[0] for outputs in (ours, theirs))
    if not isinstance(a, jax.Array):
        return 0.0
    return float(jnp.abs(a - b).max() / jnp.abs(b).max()) if a.shape == b.shape else np.inf


def pairs(depth: int = DEPTH) -> Iterator[Pair]:
    """All that is measured; ``depth`` is how many layers the traced network has."""
    for rank in RANKS:
        yield from eager(rank)
    yield from layers()
    yield from tracing(depth)
    yield Pair("import", "fresh process", "jax", _importing("jtconv"), _importing("jax"))


def operators(rank: int, stride: int, padding: ZerosName) -> dict[str, tuple[Operator, Operator]]:
    """The two operations, by jtconv and by jax.lax."""
    strides = (stride,) * rank
    conv_transpose = partial(jax.lax.conv_transpose, strides=strides, padding=padding)
    conv = partial(
        jax.lax.conv_general_dilated,
        window_strides=strides,
        padding=padding,
        dimension_numbers=_NUMBERS[rank],
    )
    return {
        "conv_transpose": (
            partial(jtconv.conv_transpose, stride=stride, padding=padding),
            conv_transpose,
        ),
        "conv": (partial(jtconv.conv, stride=stride, padding=padding), conv),
    }


def eager(rank: int) -> Iterator[Pair]:
    """Each operation, and its gradients by x and w."""
    rng = np.random.default_rng(rank)
    w = rng.normal(size=(*(3,) * rank, 2, 2))
    w = w + np.flip(
        w, tuple(range(rank))
    )  # jax.lax.conv_transpose flips it: the answers are the same
    operands = [jnp.asarray(a, jnp.float32) for a in (rng.normal(size=(1, *(3,) * rank, 2)), w)]
    for name, both in operators(rank, 2, "SAME").items():
        yield Pair(f"{name}, {rank}-D", "call", "lax", *(partial(op, *operands) for op in both))
        gradients = (partial(_gradients(op), *operands) for op in both)
        yield Pair(f"{name}, {rank}-D", "grad", "lax", *gradients)


def _gradients(operator: Operator) -> Operator:
    return jax.grad(lambda x, w: jnp.sum(operator(x, w)), argnums=(0, 1))


def layers() -> Iterator[Pair]:
    """A layer of Flax as it is, and accelerated."""
    from flax import linen, nnx

    import jtconv.linen as ours_of_linen
    from jtconv.nnx import accelerate

    x = jnp.ones((1, 4, 4, 2))
    ours, theirs = (nnx.ConvTranspose(2, 2, (3, 3), (2, 2), rngs=nnx.Rngs(0)) for _ in range(2))
    yield Pair(
        "nnx.ConvTranspose", "call", "flax", partial(accelerate(ours), x), partial(theirs, x)
    )
    layer = linen.ConvTranspose(2, (3, 3), (2, 2))
    apply = partial(layer.apply, layer.init(jax.random.key(0), x), x)

    def accelerated() -> Any:
        with ours_of_linen.accelerate():
            return apply()

    yield Pair("linen.ConvTranspose", "call", "flax", accelerated, apply)


def tracing(depth: int) -> Iterator[Pair]:
    """A network of layers with its gradient: to a jaxpr, and on to StableHLO."""
    for name, both in operators(2, 1, "VALID").items():
        for mode, transform in (("make_jaxpr", jax.make_jaxpr), ("lower", _lowering)):
            functions = (_tracing(operator, depth, transform) for operator in both)
            yield Pair(f"{depth} layers of {name}", mode, "lax", *functions)


def _lowering(function: Callable[..., Any]) -> Callable[..., Any]:
    return jax.jit(function).lower


def _tracing(operator: Operator, depth: int, transform: Callable[..., Any]) -> Function:
    """Nothing is traced twice: every layer has another size, and every call another batch."""
    batches = itertools.count(1)
    kernels = [jax.ShapeDtypeStruct((3, 3, CHANNELS, CHANNELS), jnp.float32)] * depth
    size = 2 * depth + 4

    def once() -> Any:
        x = jax.ShapeDtypeStruct((next(batches), size, size, CHANNELS), jnp.float32)

        def loss(kernels: list[jax.Array], x: jax.Array) -> jax.Array:
            for w in kernels:
                x = operator(x, w)
            return jnp.sum(x)

        return transform(jax.grad(loss))(kernels, x)

    return once


def _importing(name: str) -> Function:
    command = [sys.executable, "-c", f"import sys, {name}; print('flax' in sys.modules)"]
    folder = Path(__file__).parent.parent
    return lambda: subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)


def imports_flax() -> bool:
    """Whether ``import jtconv`` brings in Flax, which takes a second."""
    return bool(_importing("jtconv")().stdout.strip() == "True")
