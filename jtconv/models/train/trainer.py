"""The loop: the same for every recipe, and the same however often it is interrupted.

What step n does depends on nothing but the variables after step n - 1, the seed and n: its
random numbers come from the seed with n folded in, and no other state exists. A checkpoint is
written under another name and renamed when it is complete, so whenever the process is killed the
newest one can be trusted.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import jax
from flax import nnx

from jtconv import extras
from jtconv.models.train.results import Results

with extras.needs("train"):
    import orbax.checkpoint as ocp

LOGGED = 10  # steps between losses that are kept
Losses = dict[str, float]
OnStep = Callable[[int, Losses], None]


class Learner(Protocol):
    """An ``nnx.Module`` of nets and optimizers: all that a checkpoint has to hold."""

    def learn(self, source: Any, key: jax.Array) -> dict[str, jax.Array]:
        """Take one step on what ``key`` draws from ``source``; return losses. Compiled."""

    def judge(self, seen: Any, held_out: Any) -> Results:
        """How good it is, on sources of data it has and has not learnt from."""


@dataclass(frozen=True)
class Recipe:
    """One row of the table: how a model is trained.

    Attributes:
        data: name of the data, a row of ``command.DATA``.
        begin: the learner before its first step, from a source of random numbers.
        steps: how many are worth taking.
    """

    data: str
    begin: Callable[[nnx.Rngs], Learner]
    steps: int


class Trainer:
    """One run of a recipe, at the newest checkpoint that is there, or at its beginning."""

    def __init__(self, recipe: Recipe, seed: int, source: Any, checkpoints: Checkpoints) -> None:
        learner = recipe.begin(nnx.Rngs(seed))
        self._graph, variables = nnx.split(learner)
        self._key = jax.random.fold_in(jax.random.key(seed), 1)
        self._source = jax.tree.map(jax.numpy.asarray, source)
        self._checkpoints = checkpoints
        self._learn = jax.jit(self._one_step, donate_argnums=0)
        fresh = Checkpoint(0, variables, {"seconds": 0.0, "history": []})
        self.at = checkpoints.newest(like=variables) or fresh

    @property
    def learner(self) -> Learner:
        """What has been learnt so far."""
        learner: Learner = nnx.merge(self._graph, self.at.variables)
        return learner

    @property
    def facts(self) -> dict[str, Any]:
        """Where the run stands: steps, seconds spent on them, and the losses on the way."""
        return {"steps": self.at.step, **self.at.log}

    def train(self, steps: int, save_every: int, on_step: OnStep = lambda *_: None) -> None:
        """Go on until ``steps`` are done in all, and keep a checkpoint now and then."""
        while self.at.step < steps:
            until = min(steps, (self.at.step // save_every + 1) * save_every)
            self.at = self._advance(until, on_step)
            self._checkpoints.save(self.at)

    def _advance(self, until: int, on_step: OnStep) -> Checkpoint:
        step, variables, log = self.at
        history, begun = list(log["history"]), time.perf_counter()
        while step < until:
            variables, losses = self._learn(variables, self._source, step)
            step += 1
            if step % LOGGED == 0 or step == until:
                numbers = {name: float(loss) for name, loss in losses.items()}
                on_step(step, numbers)
                if step % LOGGED == 0:
                    history.append([step, numbers])
        seconds = log["seconds"] + time.perf_counter() - begun
        return Checkpoint(step, variables, {"seconds": seconds, "history": history})

    def _one_step(self, variables: Any, source: Any, step: jax.Array) -> tuple[Any, Any]:
        learner = nnx.merge(self._graph, variables)
        losses = learner.learn(source, jax.random.fold_in(self._key, step))
        return nnx.state(learner), losses


class Checkpoint(NamedTuple):
    """All that a run consists of after ``step`` steps."""

    step: int
    variables: Any
    log: dict[str, Any]


class Checkpoints:
    """The last two checkpoints of a run, in a folder of their own."""

    def __init__(self, folder: Path) -> None:
        options = ocp.CheckpointManagerOptions(
            max_to_keep=2, cleanup_tmp_directories=True, enable_async_checkpointing=False
        )
        self._manager = ocp.CheckpointManager(folder.absolute(), options=options)

    def save(self, checkpoint: Checkpoint) -> None:
        """Write one; when this returns it survives a kill."""
        args = ocp.args.Composite(
            variables=ocp.args.StandardSave(checkpoint.variables),
            log=ocp.args.JsonSave(checkpoint.log),
        )
        self._manager.save(checkpoint.step, args=args)

    def newest(self, like: Any) -> Checkpoint | None:
        """The newest one, its variables shaped as those of ``like``; None in a fresh run."""
        step = self._manager.latest_step()
        if step is None:
            return None
        shapes = jax.tree.map(ocp.utils.to_shape_dtype_struct, like)
        args = ocp.args.Composite(
            variables=ocp.args.StandardRestore(shapes), log=ocp.args.JsonRestore()
        )
        found = self._manager.restore(step, args=args)
        return Checkpoint(step, found["variables"], found["log"])
