"""Layers for flax.nnx."""

from jtconv.nnx.conv_transpose import ConvTranspose, accelerate
from jtconv.nnx.piecewise import StreamState, reset, stream
from jtconv.nnx.upsample import ResizeConv, SubPixelConv

__all__ = [
    "ConvTranspose",
    "ResizeConv",
    "StreamState",
    "SubPixelConv",
    "accelerate",
    "reset",
    "stream",
]
