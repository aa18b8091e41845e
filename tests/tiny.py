"""A recipe small enough to be killed often, and a process to kill it in.

    python -m tests.tiny FOLDER STEPS [step N | rename N]

trains it with a checkpoint every second step, and kills itself outright (SIGKILL: nothing is
flushed, no handler runs) inside step N, or right before the Nth renaming of a file or folder,
which is what completes a checkpoint.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from jtconv.models.train.results import Results
from jtconv.models.train.trainer import Checkpoint, Checkpoints, Recipe, Trainer
from jtconv.nnx import ConvTranspose

EVERY = 2


class Net(nnx.Module):
    """One layer and one norm, whose averages are part of what a kill must not lose."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.layer = ConvTranspose(2, 2, (3,), rngs=rngs)
        self.norm = nnx.BatchNorm(2, momentum=0.9, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.norm(self.layer(x))


class Tiny(nnx.Module):
    """Learns to copy noise, by an optimizer with a state."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.net = Net(rngs)
        self.optimizer = nnx.Optimizer(self.net, optax.adam(1e-2), wrt=nnx.Param)

    def learn(self, source: jax.Array, key: jax.Array) -> dict[str, jax.Array]:
        x = source[:, None] + jax.random.normal(key, (len(source), 5, 2), jnp.float32)
        loss, gradient = nnx.value_and_grad(lambda net: ((net(x) - x) ** 2).mean())(self.net)
        self.optimizer.update(self.net, gradient)
        return {"loss": loss, "drawn": x.sum()}

    def judge(self, seen: jax.Array, held_out: jax.Array) -> Results:
        return Results({"bias": float(self.net.layer.bias[...].sum())})


RECIPE = Recipe(data="digits", begin=Tiny, steps=4)
SOURCE = np.arange(6, dtype=np.float32).reshape(3, 2)


def trainer(folder: Path) -> Trainer:
    return Trainer(RECIPE, 0, SOURCE, Checkpoints(folder))


def die_in_step(number: int, subject: Trainer) -> None:
    learn = subject._learn

    def fatal(variables: Any, source: Any, step: int) -> Any:
        result = learn(variables, source, step)
        if step == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    subject._learn = fatal  # type: ignore[assignment]


def die_before_renaming(number: int, folder: Path) -> None:
    seen = 0

    def watch(event: str, args: tuple[Any, ...]) -> None:
        nonlocal seen
        if event == "os.rename" and str(folder) in str(args[1]):
            seen += 1
            if seen == number:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)


def main(folder: str, steps: str, what: str = "", number: str = "0") -> None:
    subject = trainer(Path(folder))
    if what == "step":
        die_in_step(int(number), subject)
    elif what == "rename":
        die_before_renaming(int(number), Path(folder))
    subject.train(int(steps), EVERY)


def equal(one: Checkpoint, other: Checkpoint) -> bool:
    """Every variable bit by bit, the steps, and the losses on the way."""
    leaves = zip(jax.tree.leaves(one.variables), jax.tree.leaves(other.variables), strict=True)
    same = all(np.array_equal(a, b) for a, b in leaves)
    return same and one.step == other.step and one.log["history"] == other.log["history"]


if __name__ == "__main__":
    main(*sys.argv[1:])
