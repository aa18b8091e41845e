"""U-Net names the digits in scenes."""

from __future__ import annotations

from flax import nnx

from jtconv.models.train.recipe import Recipe
from jtconv.models.train.scenes import CLASSES
from jtconv.models.train.segmentation import Segmenter
from jtconv.models.unet import UNet

STEPS = 2000


def begin(rngs: nnx.Rngs) -> Segmenter:
    """A U-Net of four levels, a quarter as wide as the paper's, or less."""
    return Segmenter(UNet(3, CLASSES, (16, 32, 64, 96), rngs=rngs), STEPS)


RECIPE = Recipe(data="photos", begin=begin, steps=STEPS)
