"""dilated: ``lax.conv_general_dilated`` with one of its three dilations, for each side.

    dgrad   lhs_dilation = s: zeros between the cells of x, then a convolution with the flipped
            kernel.  The flip is a literal ``reverse``, which is what XLA:GPU looks for before it
            calls cuDNN's backward-data kernel.  On a CPU x and y are reversed instead where that
            is less to move.
    fprop   window_strides = s: the plain strided convolution.
    wgrad   rhs_dilation = s: y convolved with x, batch and channels exchanged; the form XLA:GPU
            takes for cuDNN's backward-filter kernel.

The first of the three ways this package is founded on (Dumoulin and Visin, "A guide to
convolution arithmetic for deep learning", arXiv:1603.07285, relationship 14).
"""

from __future__ import annotations

from jtconv.algorithms.common.xla_conv import cost, dgrad, fprop, refuse, spreads, wgrad, work

__all__ = ["cost", "dgrad", "fprop", "refuse", "spreads", "wgrad", "work"]
