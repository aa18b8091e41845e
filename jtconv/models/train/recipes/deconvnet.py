"""The mirrored net names the digits in scenes."""

from __future__ import annotations

from flax import nnx

from jtconv.models.deconvnet import DeconvNet
from jtconv.models.train.recipe import Recipe
from jtconv.models.train.scenes import CLASSES
from jtconv.models.train.segmentation import Segmenter


def begin(rngs: nnx.Rngs) -> Segmenter:
    """Four stages down to 4 x 4 cells, a bottleneck of 3 x 3, and the same backwards."""
    net = DeconvNet(3, CLASSES, (16, 32, 64, 96), (1, 1, 2, 2), hidden=128, window=3, rngs=rngs)
    return Segmenter(net)


RECIPE = Recipe(data="photos", begin=begin, steps=1500)
