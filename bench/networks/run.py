"""``python -m bench --suite networks``: whole networks, as they are and through jtconv.accelerate.

A training step is value and gradients of the mean square of what comes out, and a step of descent;
inference is the model alone.  The accelerated program is the plain one's function through
``jtconv.accelerate``, so it has the same weights, and its numbers are compared before any time is.
Torch's module has weights of its own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

import jtconv
from bench import implementations, machine, timing
from bench.networks import in_flax, in_torch
from bench.networks.specs import NETWORKS, Network
from bench.program import JaxProgram, Program
from bench.summary import Cell, Row
from bench.timing import Runner

RATE = 1e-3
BUDGET_S = 8.0  # for the samples of one program
# Of sums in different orders, through fifty layers and back.
TOLERANCE = 2e-3
MODES = ("inference", "training")


def run(
    names: Sequence[str], rounds: int, networks: Sequence[Network] = NETWORKS
) -> dict[str, Any]:
    """A report like that of the layers; ``names`` are the networks wanted, all if none."""
    known = {network.name: network for network in networks}
    if unknown := [name for name in names if name not in known]:
        raise ValueError(f"--case must be one of {', '.join(known)}, got {unknown[0]!r}")
    rows = [row for name in names or known for row in measured(known[name], rounds)]
    plan = {"suite": "networks", "rounds": rounds, "rate": RATE}
    about = machine.describe()
    return {"schema": 1, "machine": about, "plan": plan, "limits": {}, "rows": rows}


def measured(network: Network, rounds: int) -> Iterator[Row]:
    """A row for inference and one for training."""
    x = np.random.default_rng(0).normal(size=network.shape).astype(np.float32)
    steps = flax_functions(network)
    for mode in MODES:
        function, state = steps[mode]
        theirs = JaxProgram(function, [(state, x)], lambda _: {})
        ours = JaxProgram(jtconv.accelerate(function), [(state, x)], lambda _: {})
        about: Row = {"case": network.name, "mode": mode, "dtype": "float32"}
        about |= {"shape": list(network.shape), "source": network.source}
        before = state if mode == "training" else jax.tree.map(jnp.zeros_like, theirs.call(0)[-1])
        error = relative_error(ours.call(0)[-1], theirs.call(0)[-1], before)
        if not error <= TOLERANCE:
            wrong = {"status": "wrong", "reason": f"off by {error:.1e}"}
            yield about | {"cells": {"jtconv": wrong}}
            continue
        programs: dict[str, Program] = {"jtconv": ours, "flax": theirs}
        if implementations.installed("torch"):
            programs["torch"] = TorchStep(network, x, mode)
        yield about | {"error": error, "cells": timed(programs, rounds)}


def flax_functions(network: Network) -> dict[str, tuple[Callable[..., Any], Any]]:
    """Inference and a training step as functions of parameters and input, and the parameters."""
    rank = len(network.shape) - 2
    model, _ = in_flax.build(network.spec, network.shape[-1], rank, nnx.Rngs(0))
    graph, state = nnx.split(model)

    def inference(state: Any, x: jax.Array) -> tuple[Any, ...]:
        merged: Any = nnx.merge(graph, state)
        return (merged(x),)

    def training(state: Any, x: jax.Array) -> tuple[Any, ...]:
        loss, slopes = jax.value_and_grad(lambda s: jnp.mean(inference(s, x)[0] ** 2))(state)
        return loss, jax.tree.map(lambda p, slope: p - RATE * slope, state, slopes)

    return {"inference": (inference, state), "training": (training, state)}


def relative_error(found: Any, expected: Any, before: Any) -> float:
    """What differs, over what was changed, as lengths of one vector of all numbers.

    Some parameters have no gradient but rounding: a bias in front of a norm.
    """

    def length(a: Any, b: Any) -> jax.Array:
        parts = jax.tree.map(lambda a, b: jnp.sum((a - b) ** 2), a, b)
        return jnp.sqrt(sum(jax.tree.leaves(parts)))

    return float(length(found, expected) / length(expected, before))


class TorchStep(Program):
    """The same network in torch, channels last where torch has that."""

    def __init__(self, network: Network, x: np.ndarray, mode: str) -> None:
        import torch

        self.torch, self.mode = torch, mode
        rank = x.ndim - 2
        formats = {2: torch.channels_last, 3: torch.channels_last_3d}
        layout = {"memory_format": formats[rank]} if rank in formats else {}
        self.module = in_torch.build(network.spec, x.shape[-1], rank)[0].to(**layout)
        self.x = torch.from_numpy(np.moveaxis(x, -1, 1).copy()).to(**layout)

    def call(self, turn: int) -> Any:
        """One step."""
        if self.mode == "inference":
            with self.torch.no_grad():
                return self.module(self.x)
        parameters = list(self.module.parameters())
        loss = self.module(self.x).square().mean()
        slopes = self.torch.autograd.grad(loss, parameters)
        with self.torch.no_grad():
            return [p - RATE * slope for p, slope in zip(parameters, slopes, strict=True)]


def timed(programs: dict[str, Program], rounds: int) -> dict[str, Cell]:
    """A cell for each program; all take turns."""
    runners = []
    for name, program in programs.items():
        start = time.perf_counter()
        program.wait(program.call(0))
        runners.append(Runner(name, "", program, {}, time.perf_counter() - start))
    timing.interleave(runners, rounds, BUDGET_S)
    return {
        runner.implementation: {"status": "ok", "compile_s": runner.program.compile_s}
        | timing.summary(runner.times)
        for runner in runners
    }
