"""jtconv: transposed convolution for JAX, done right."""

from jtconv.api import conv, conv_transpose

__all__ = ["conv", "conv_transpose"]
