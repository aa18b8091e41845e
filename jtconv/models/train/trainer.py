"""The loop: the same for every recipe, and the same however often it is interrupted.

What step n does depends on nothing but the variables after step n - 1, the seed and n: its
random numbers come from the seed with n folded in, and no other state exists.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import jax
from flax import nnx

from jtconv.models.train.checkpoints import Checkpoint, Checkpoints
from jtconv.models.train.recipe import Learner, Recipe

LOGGED = 10  # steps between losses that are kept
Losses = dict[str, float]
OnStep = Callable[[int, Losses], None]


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
        return nnx.merge(self._graph, self.at.variables)

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
