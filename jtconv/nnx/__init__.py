"""Layers for flax.nnx."""

from jtconv.nnx.conv_transpose import ConvTranspose, accelerate
from jtconv.nnx.upsample import ResizeConv, SubPixelConv

__all__ = ["ConvTranspose", "ResizeConv", "SubPixelConv", "accelerate"]
