"""The ConvTranspose operator of ONNX, as onnxruntime computes it."""

from __future__ import annotations

import jax
from jax.typing import ArrayLike

from jtconv.interop import call
from jtconv.interop.onnx.attributes import Ints, crops, each

_NAMES = call.Names("X", "W", "B", "group")


def conv_transpose(
    X: ArrayLike,
    W: ArrayLike,
    B: ArrayLike | None = None,
    *,
    auto_pad: str = "NOTSET",
    dilations: Ints | None = None,
    group: int = 1,
    kernel_shape: Ints | None = None,
    output_padding: Ints | None = None,
    output_shape: Ints | None = None,
    pads: Ints | None = None,
    strides: Ints | None = None,
) -> jax.Array:
    """ONNX's ``ConvTranspose``, attribute for attribute, deciding as onnxruntime does.

    Args:
        X: ``(N, C_in, *spatial)``, 1 to 4 spatial axes.
        W: ``(C_in, C_out // group, *kernel)``.
        B: ``(C_out,)``.
        auto_pad, output_padding, output_shape, pads: see :func:`crops`.
        dilations, strides: one int per axis; 1 if None.
        group: groups of channels.
        kernel_shape: the kernel's sizes; checked against ``W``.

    Raises:
        ValueError, TypeError: naming the attribute.

    >>> import jax.numpy as jnp
    >>> x, w = jnp.ones((1, 2, 4)), jnp.ones((2, 3, 3))
    >>> conv_transpose(x, w, strides=[2], auto_pad="SAME_UPPER").shape
    (1, 3, 8)
    """
    given = call.arrays(_NAMES, X, W, B, unbatched=False)
    kernel = given.w.shape[2:]
    if kernel_shape is not None and each("kernel_shape", kernel_shape, given.rank) != kernel:
        raise ValueError(f"kernel_shape must be {kernel}, as W has it, got {kernel_shape!r}.")
    spec = f"NC{'TDHW'[-given.rank :]}"
    return call.transposed(
        given,
        (spec, spec.replace("NC", "IO"), spec),
        group,
        crops(
            given.x.shape[2:],
            kernel,
            auto_pad=auto_pad,
            dilations=dilations,
            output_padding=output_padding,
            output_shape=output_shape,
            pads=pads,
            strides=strides,
        ),
        stride=each("strides", strides, given.rank),
        dilation=each("dilations", dilations, given.rank),
    )
