"""FCN-8s names the digits in scenes."""

from __future__ import annotations

from flax import nnx

from jtconv.models.fcn import FCN8s
from jtconv.models.train.recipe import Recipe
from jtconv.models.train.scenes import CLASSES
from jtconv.models.train.segmentation import Segmenter


def begin(rngs: nnx.Rngs) -> Segmenter:
    """An FCN-8s on a small VGG: a digit covers a few cells of its middle stages."""
    net = FCN8s(3, CLASSES, (16, 32, 64, 96, 96), (1, 1, 2, 2, 1), hidden=96, window=3, rngs=rngs)
    return Segmenter(net)


RECIPE = Recipe(data="photos", begin=begin, steps=1500)
