"""Layers for flax.nnx."""

from jtconv.nnx.conv_transpose import ConvTranspose
from jtconv.nnx.replace import accelerate
from jtconv.nnx.upsample import ResizeConv, SubPixelConv

__all__ = ["ConvTranspose", "ResizeConv", "SubPixelConv", "accelerate"]
