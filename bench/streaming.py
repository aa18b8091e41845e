"""A vocoder fed piece by piece.

    python -m bench --streaming

A piece is timed against its share of the whole (the whole's time, times the piece over its length),
against what people do without a state, decoding again a window that overlaps by the receptive
field, and against the model on the piece alone, which is wrong at the seams, but costs what is left
once remembering is free.
"""

from __future__ import annotations

import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from rich.console import Console
from rich.progress import track

from bench import machine, report, timing
from bench.problem import TOLERANCE
from bench.program import JaxProgram
from bench.summary import Cell, Row
from bench.timing import Runner
from jtconv.models import HiFiGAN
from jtconv.nnx import StreamState, stream

MELS = 80
WIDTHS = {"V2": 128, "V1": 512}  # features of HiFi-GAN's first layer, in its paper
FRAMES = 64  # of the whole
PIECES = (1, 4, 16)
BUDGET_S = 10.0  # clock time for the samples of one program


def run(rounds: int, frames: int = FRAMES) -> dict[str, Any]:
    """Check every length of a piece, then time all programs in turns; a report as it goes to JSON.

    Args:
        rounds: samples of each program.
        frames: of the whole.
    """
    about = machine.describe()
    draw = np.random.default_rng(0)
    mel = jnp.asarray(draw.normal(size=(1, frames, MELS)), jnp.float32)
    rows = [row for name in WIDTHS for row in measure(name, mel, rounds)]
    plan = {"suite": "streaming", "rounds": rounds, "budget_s": BUDGET_S, "frames": frames}
    return {"schema": report.SCHEMA, "machine": about, "plan": plan, "limits": {}, "rows": rows}


def frames_seen(model: HiFiGAN, mel: jax.Array) -> int:
    """How many frames the samples of one depend on: those that their gradient reaches."""
    hop = model(mel[:, :1]).shape[1]

    def last(mel: jax.Array) -> jax.Array:
        return jnp.sum(model(mel)[:, -hop:])

    reached = jnp.any(jax.jit(jax.grad(last))(mel) != 0, (0, 2))
    return int(mel.shape[1] - jnp.argmax(reached))


def measure(name: str, mel: jax.Array, rounds: int) -> list[Row]:
    """A row for each length of a piece, of the generator of this name."""
    model = HiFiGAN(MELS, WIDTHS[name], padding="CAUSAL", rngs=nnx.Rngs(0))
    frames, seen = mel.shape[1], frames_seen(model, mel)
    whole = program(model, mel)
    expected = whole.call(0)[0]
    programs, rows = {("whole", frames): whole}, []
    for n in track(PIECES, f"HiFi-GAN {name}", console=Console(stderr=True)):
        step = program(stream(model, 1), mel[:, :n])
        programs["jtconv", n] = step
        programs["window", n] = program(model, mel[:, : n + seen - 1])
        programs["piece alone", n] = program(model, mel[:, :n])
        case = f"HiFi-GAN {name}, {n} of {frames} frames"
        about = {"case": case, "mode": "step", "dtype": "float32", "frames_seen": seen}
        held = sum(state.nbytes for state in jax.tree.leaves(step.sets[0][0]))
        error = largest_error(step, mel, expected)
        rows.append(about | {"frames": n, "state_bytes": held, "error": error})
    cells = timed(programs, rounds)
    return [row | shares(row, cells, frames) for row in rows]


def shares(row: Row, cells: dict[tuple[str, int], Cell], frames: int) -> Row:
    """The cells of a row, and a step over its share of the whole."""
    n, whole = row["frames"], cells["whole", frames]
    if not row["error"] <= TOLERANCE["float32"]:
        reason = f"pieces are off the whole by {row['error']:.1e}"
        return {"cells": {"jtconv": {"status": "wrong", "reason": reason}}}
    ours = {name: cells[name, n] for name in ("jtconv", "piece alone", "window")}
    ratio = ours["jtconv"]["least_s"] * frames / (n * whole["least_s"])
    return {"cells": ours | {"whole": whole}, "ratio": ratio}


def program(model: nnx.Module, mel: jax.Array) -> JaxProgram:
    """One call of a model on a spectrogram, and the states after it."""
    graph, state, rest = nnx.split(model, StreamState, ...)

    def call(state: Any, rest: Any, mel: jax.Array) -> tuple[Any, ...]:
        merged: Any = nnx.merge(graph, state, rest)
        return merged(mel), nnx.state(merged, StreamState)

    return JaxProgram(call, [(state, rest, mel)], lambda _: {})


def largest_error(step: JaxProgram, mel: jax.Array, expected: jax.Array) -> float:
    """Of all pieces, relative to the largest sample of the whole.

    The compiled step takes no state of another size than the one it began with.
    """
    state, rest, piece = step.sets[0]
    n, out = piece.shape[1], []
    for start in range(0, mel.shape[1] // n * n, n):
        y, state = step.compiled(state, rest, mel[:, start : start + n])
        out.append(y)
    found = jnp.concatenate(out, 1)
    difference = jnp.abs(found - expected[:, : found.shape[1]]).max()
    return float(difference / jnp.abs(expected).max())


def timed(programs: dict[tuple[str, int], JaxProgram], rounds: int) -> dict[tuple[str, int], Cell]:
    """A cell for each program; all take turns. Other work changes the least times least."""
    runners = {}
    for (name, n), each in programs.items():
        start = time.perf_counter()
        each.wait(each.call(0))
        runners[name, n] = Runner(f"{name} {n}", "", each, {}, time.perf_counter() - start)
    timing.interleave(list(runners.values()), rounds, BUDGET_S)
    return {
        key: {"status": "ok", "least_s": each.best} | timing.summary(each.times)
        for key, each in runners.items()
    }
