"""Layers for flax.nnx."""

from jtconv.nnx.conv import Conv
from jtconv.nnx.conv_transpose import ConvTranspose
from jtconv.nnx.in_place import Report, accelerate, report
from jtconv.nnx.piecewise import StreamState, reset, stream
from jtconv.nnx.upsample import ResizeConv, SubPixelConv

__all__ = [
    "Conv",
    "ConvTranspose",
    "Report",
    "ResizeConv",
    "StreamState",
    "SubPixelConv",
    "accelerate",
    "report",
    "reset",
    "stream",
]
