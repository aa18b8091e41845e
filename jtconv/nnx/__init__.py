"""Layers for flax.nnx."""

from jtconv.nnx.accelerate import accelerate
from jtconv.nnx.conv_transpose import ConvTranspose
from jtconv.nnx.remedies import ResizeConv, SubPixelConv

__all__ = ["ConvTranspose", "ResizeConv", "SubPixelConv", "accelerate"]
