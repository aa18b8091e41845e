"""Layers for flax.linen, and Flax's own layers computed by jtconv."""

from jtconv.linen.conv_transpose import ConvTranspose, accelerate
from jtconv.linen.piecewise import Stream, stream

__all__ = ["ConvTranspose", "Stream", "accelerate", "stream"]
