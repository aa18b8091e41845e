"""Layers for flax.linen."""

from jtconv.linen.accelerate import accelerate
from jtconv.linen.conv_transpose import ConvTranspose

__all__ = ["ConvTranspose", "accelerate"]
