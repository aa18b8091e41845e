"""The mirrored net names the digits in scenes."""

from __future__ import annotations

from flax import nnx

from jtconv.models.deconvnet import DeconvNet
from jtconv.models.train.projections import Transparent
from jtconv.models.train.recipe import Recipe
from jtconv.models.train.scenes import CLASSES

STEPS = 2000


def begin(rngs: nnx.Rngs) -> Transparent:
    """Four stages down to 3 x 3 cells, and the same backwards.

    The paper squeezes all cells into one, for pictures of one object; a scene holds two.
    """
    net = DeconvNet(3, CLASSES, (12, 24, 48, 64), (1, 1, 2, 2), hidden=96, window=1, rngs=rngs)
    return Transparent(net, STEPS)


RECIPE = Recipe(data="photos", begin=begin, steps=STEPS)
