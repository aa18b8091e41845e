"""keras.ops.conv_transpose as Keras's JAX backend computes it; Keras layers and their weights."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import jax
from jax.typing import ArrayLike

from jtconv.interop import call
from jtconv.problem import arguments
from jtconv.problem import padding as conventions
from jtconv.problem.padding import Crops

_NAMES = call.Names("inputs", "kernel")
PerAxis = int | Sequence[int]


def conv_transpose(
    inputs: ArrayLike,
    kernel: ArrayLike,
    strides: PerAxis = 1,
    padding: str = "valid",
    output_padding: PerAxis | None = None,
    data_format: str | None = None,
    dilation_rate: PerAxis = 1,
) -> jax.Array:
    """``keras.ops.conv_transpose``, argument for argument, as Keras's JAX backend decides.

    Args:
        inputs: ``(batch, *spatial, C_in)``, or ``(batch, C_in, *spatial)``.
        kernel: ``(*kernel, C_out, C_in)``, not turned round.
        strides, dilation_rate: an int, or one per axis.
        padding: "valid" or "same".
        output_padding: None is not 0: "same" then makes ``n * s`` cells and "valid" at least as
            many. With a number "same" makes ``(n-1)*s + D%2`` and so many more.
        data_format: "channels_last" or "channels_first"; if None, what Keras is set to where it
            is loaded, and else "channels_last".

    Raises:
        ValueError, TypeError: naming Keras's argument.

    >>> import jax.numpy as jnp
    >>> x, w = jnp.ones((1, 8, 3)), jnp.ones((3, 2, 3))
    >>> [conv_transpose(x, w, 2, "same", extra).shape[1] for extra in (None, 0, 1)]
    [16, 15, 16]
    """
    given = call.arrays(_NAMES, inputs, kernel, unbatched=False)
    rank = given.rank
    space = "TDHW"[-rank:]
    x = f"N{space}C" if _data_format(data_format) == "channels_last" else f"NC{space}"
    return call.transposed(
        given,
        (x, f"{space}OI", x),
        1,
        crops(given.w.shape[:rank], strides, padding, output_padding, dilation_rate),
        stride=arguments.per_axis("strides", strides, rank, least=1),
        dilation=arguments.per_axis("dilation_rate", dilation_rate, rank, least=1),
    )


def crops(
    kernel_size: Sequence[int],
    strides: PerAxis = 1,
    padding: str = "valid",
    output_padding: PerAxis | None = None,
    dilation_rate: PerAxis = 1,
) -> tuple[Crops, ...]:
    """What Keras's arguments crop from the full output.

    >>> crops((3,), 2, "same"), crops((3,), 2, "same", 0), crops((3,), 2, "valid", 1)
    (((0, 1),), ((1, 1),), ((0, -1),))
    """
    rank = len(kernel_size)
    name = arguments.choice("padding", padding, ("VALID", "SAME"), any_case=True)
    stride = arguments.per_axis("strides", strides, rank, least=1)
    dilation = arguments.per_axis("dilation_rate", dilation_rate, rank, least=1)
    extra: Sequence[int | None] = (None,) * rank
    if output_padding is not None:
        extra = arguments.per_axis("output_padding", output_padding, rank, least=0)
    return tuple(
        conventions.from_keras(name, more, d * (k - 1) + 1, s)
        for k, s, more, d in zip(kernel_size, stride, extra, dilation, strict=True)
    )


def _data_format(asked: str | None) -> str:
    keras = sys.modules.get("keras")
    if asked is None and keras is not None:
        asked = keras.config.image_data_format()
    formats = ("channels_last", "channels_first")
    return arguments.choice("data_format", formats[0] if asked is None else asked, formats)
