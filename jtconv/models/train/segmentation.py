"""Learning to name every pixel of a scene: what three of the recipes have in common."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from jtconv.models.stage import frozen
from jtconv.models.train.metrics import confusion, mean_iou
from jtconv.models.train.pictures import grid, overlay
from jtconv.models.train.recipe import Results
from jtconv.models.train.scenes import CLASSES, Photographs, scenes
from jtconv.models.train.thresholding import by_threshold

BATCH = 16
JUDGED = 256  # held-out scenes, the same for every model and seed
_JUDGED_AT_ONCE = 64
_WEIGHT = 4.0  # of a pixel that shows a digit: about one in nine does
_SHOWN = 6


class Segmenter(nnx.Module):
    """A net of class scores, trained by Adam on cross entropy, in which digits weigh more.

    The rate rises for a fifth of ``steps`` and falls to nothing by their end: Smith and Topin,
    "Super-convergence" (arXiv:1708.07120).
    """

    def __init__(self, net: nnx.Module, steps: int, rate: float = 3e-3) -> None:
        self.net = net
        schedule = optax.cosine_onecycle_schedule(steps, rate, pct_start=0.2)
        self.optimizer = nnx.Optimizer(net, optax.adam(schedule), wrt=nnx.Param)

    def learn(self, source: Photographs, key: jax.Array) -> dict[str, jax.Array]:
        """One batch of fresh scenes."""
        batch = scenes(key, source, BATCH)

        def loss(net: Any) -> jax.Array:
            scores = net(centred(batch.pictures))
            every = optax.softmax_cross_entropy(
                scores, jax.nn.one_hot(batch.classes, CLASSES, dtype=scores.dtype)
            )
            return jnp.average(every, weights=jnp.where(batch.classes, _WEIGHT, 1))

        value, gradient = nnx.value_and_grad(loss)(self.net)
        self.optimizer.update(self.net, gradient)
        return {"loss": value}

    def judge(self, seen: Photographs, held_out: Photographs) -> Results:
        """Mean intersection over union on held-out scenes, beside that of thresholding."""
        pictures, truth = judged(held_out)
        found, threshold = self.found(pictures), by_threshold(pictures, truth)
        metrics = {
            "mean_iou": _named(truth, found),
            "mean_iou_of_thresholding": _named(truth, threshold),
            "digit_or_not_iou": _unnamed(truth, found),
            "digit_or_not_iou_of_thresholding": _unnamed(truth, threshold),
            "held_out_scenes": JUDGED,
        }
        shown = pictures[:_SHOWN]
        answers = [overlay(shown, each[:_SHOWN]) for each in (truth, found, threshold)]
        return Results(metrics, {"overlay": grid([shown, *answers])})

    def found(self, pictures: np.ndarray) -> np.ndarray:
        """The class of every pixel, as the net sees it."""
        net: Any = frozen(self.net)
        name = nnx.jit(lambda net, batch: net(centred(batch)).argmax(-1))
        parts = np.split(pictures, len(pictures) // _JUDGED_AT_ONCE)
        return np.concatenate([np.asarray(name(net, part)) for part in parts])


def centred(pictures: Any) -> Any:
    """Pictures as the nets are given them: around zero."""
    return pictures - 0.5


def judged(held_out: Photographs) -> tuple[np.ndarray, np.ndarray]:
    """The scenes every net is judged by: pictures and classes."""
    made = jax.jit(scenes, static_argnums=2)(jax.random.key(0), held_out, JUDGED)
    return np.asarray(made.pictures), np.asarray(made.classes)


def _named(truth: np.ndarray, found: np.ndarray) -> float:
    return round(mean_iou(confusion(truth, found, CLASSES)), 4)


def _unnamed(truth: np.ndarray, found: np.ndarray) -> float:
    return round(mean_iou(confusion(truth > 0, found > 0, 2)), 4)
