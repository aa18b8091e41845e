"""U-Net, FCN-8s and DeconvNet name every pixel of a scene: one learner, and a recipe for each."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jtconv import extras
from jtconv.models.blocks import frozen
from jtconv.models.deconvnet import DeconvNet
from jtconv.models.fcn import FCN8s
from jtconv.models.train.data import CLASSES, Photographs, scenes
from jtconv.models.train.metrics import by_threshold, confusion, mean_iou
from jtconv.models.train.results import Results, contrast, grid, overlay
from jtconv.models.train.trainer import Recipe
from jtconv.models.unet import UNet
from jtconv.models.vgg import VGG, project

with extras.needs("train"):
    import optax
    from PIL import Image

BATCH = 16
JUDGED = 256  # held-out scenes, the same for every model and seed
_JUDGED_AT_ONCE = 64
_WEIGHT = 4.0  # of a pixel that shows a digit: about one in nine does
_SHOWN = 6
# Of the encoder's features that are projected to pixels.
_SEARCHED, _STAGE, _FEATURES = 64, 2, 8  # scenes, their stage, how many are shown


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
        """Mean intersection over union on held-out scenes, and that of thresholding."""
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
        """The class of every pixel, as the net names it."""
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


class Transparent(Segmenter):
    """A segmenter whose net has an encoder that can be looked into."""

    def judge(self, seen: Photographs, held_out: Photographs) -> Results:
        """As any segmenter, and a picture of what the encoder has learnt to see."""
        results = super().judge(seen, held_out)
        net: Any = self.net
        pictures, _ = judged(held_out)
        picture = features(net.encoder, pictures[:_SEARCHED])
        return Results(results.metrics, {**results.pictures, "features": picture})


def features(encoder: VGG, pictures: np.ndarray) -> Image.Image:
    """The liveliest features: above the picture that excites each most, below what it saw there."""
    peaks = np.asarray(frozen(encoder)(centred(pictures))[_STAGE].values.max((1, 2)))
    channels = np.argsort(-peaks.max(0))[:_FEATURES]
    shown = pictures[peaks[:, channels].argmax(0)]
    patterns = [
        np.asarray(project(encoder, centred(picture[None]), _STAGE, int(channel)))[0]
        for picture, channel in zip(shown, channels, strict=True)
    ]
    return grid([shown, contrast(np.stack(patterns))])


def _unet(rngs: nnx.Rngs) -> Segmenter:
    """Four levels, a quarter as many features as the paper's, or less."""
    return Segmenter(UNet(3, CLASSES, (16, 32, 64, 96), rngs=rngs), UNET.steps)


def _fcn(rngs: nnx.Rngs) -> Transparent:
    """An FCN-8s on a small VGG: a digit covers a few cells of its middle stages."""
    net = FCN8s(3, CLASSES, (12, 24, 48, 64, 64), (1, 1, 2, 2, 1), hidden=96, window=3, rngs=rngs)
    return Transparent(net, FCN.steps)


def _deconvnet(rngs: nnx.Rngs) -> Transparent:
    """Four stages down to 3 x 3 cells, and the same backwards.

    The paper squeezes all cells into one, for pictures of one object; a scene holds two.
    """
    net = DeconvNet(3, CLASSES, (12, 24, 48, 64), (1, 1, 2, 2), hidden=96, window=1, rngs=rngs)
    return Transparent(net, DECONVNET.steps)


UNET = Recipe(data="photos", begin=_unet, steps=2000)
FCN = Recipe(data="photos", begin=_fcn, steps=6000)
DECONVNET = Recipe(data="photos", begin=_deconvnet, steps=2000)
