"""U-Net names the digits in scenes."""

from __future__ import annotations

from flax import nnx

from jtconv.models.train.recipe import Recipe
from jtconv.models.train.scenes import CLASSES
from jtconv.models.train.segmentation import Segmenter
from jtconv.models.unet import UNet


def begin(rngs: nnx.Rngs) -> Segmenter:
    """A U-Net of four levels, a fifth as wide as the paper's."""
    return Segmenter(UNet(3, CLASSES, (12, 24, 48, 96), rngs=rngs))


RECIPE = Recipe(data="photos", begin=begin, steps=2000)
