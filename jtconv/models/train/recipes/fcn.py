"""FCN-8s names the digits in scenes."""

from __future__ import annotations

from flax import nnx

from jtconv.models.fcn import FCN8s
from jtconv.models.train.projections import Transparent
from jtconv.models.train.recipe import Recipe
from jtconv.models.train.scenes import CLASSES

STEPS = 6000


def begin(rngs: nnx.Rngs) -> Transparent:
    """An FCN-8s on a small VGG: a digit covers a few cells of its middle stages."""
    net = FCN8s(3, CLASSES, (12, 24, 48, 64, 64), (1, 1, 2, 2, 1), hidden=96, window=3, rngs=rngs)
    return Transparent(net, STEPS)


RECIPE = Recipe(data="photos", begin=begin, steps=STEPS)
