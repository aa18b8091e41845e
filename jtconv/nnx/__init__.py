"""Layers for flax.nnx."""

from jtconv.nnx.accelerate import accelerate
from jtconv.nnx.conv_transpose import ConvTranspose

__all__ = ["ConvTranspose", "accelerate"]
