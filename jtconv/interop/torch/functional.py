"""torch.nn.functional.conv_transpose1d, 2d and 3d, on JAX arrays."""

from __future__ import annotations

from typing import Any

import jax
from jax.typing import ArrayLike

from jtconv.conventions import torch
from jtconv.interop import call
from jtconv.problem import arguments
from jtconv.typing import PerAxis

_NAMES = call.Names("input", "weight")


@arguments.suggests
def conv_transpose1d(
    input: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike | None = None,
    stride: PerAxis = 1,
    padding: PerAxis = 0,
    output_padding: PerAxis = 0,
    groups: int = 1,
    dilation: PerAxis = 1,
) -> jax.Array:
    """:func:`conv_transpose2d` with one spatial axis: ``(N, C, L)`` or ``(C, L)``.

    >>> import jax.numpy as jnp
    >>> conv_transpose1d(jnp.ones((1, 2, 8)), jnp.ones((2, 3, 3)), stride=2, padding=1).shape
    (1, 3, 15)
    """
    return _transposed(1, input, weight, bias, stride, padding, output_padding, groups, dilation)


@arguments.suggests
def conv_transpose2d(
    input: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike | None = None,
    stride: PerAxis = 1,
    padding: PerAxis = 0,
    output_padding: PerAxis = 0,
    groups: int = 1,
    dilation: PerAxis = 1,
) -> jax.Array:
    """``torch.nn.functional.conv_transpose2d``, argument for argument.

    Args:
        input: ``(N, C_in, H, W)``, or ``(C_in, H, W)`` for one example.
        weight: ``(C_in, C_out // groups, kH, kW)``.
        bias: ``(C_out,)``.
        stride, dilation: distance between the outputs of neighbouring input cells, and between
            neighbouring kernel cells; an int or one per axis.
        padding: cells cropped on both sides of the full output, >= 0.
        output_padding: cells added at the end, below stride or dilation.
        groups: groups of channels.

    Returns:
        ``(N, C_out, H_out, W_out)``, of the dtype of ``input``.

    Raises:
        ValueError, TypeError: where torch refuses, naming torch's argument.

    >>> import jax.numpy as jnp
    >>> x, w = jnp.ones((1, 4, 5, 5)), jnp.ones((4, 3, 3, 3))
    >>> conv_transpose2d(x, w, stride=2, padding=1, output_padding=1, groups=2).shape
    (1, 6, 10, 10)
    """
    return _transposed(2, input, weight, bias, stride, padding, output_padding, groups, dilation)


@arguments.suggests
def conv_transpose3d(
    input: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike | None = None,
    stride: PerAxis = 1,
    padding: PerAxis = 0,
    output_padding: PerAxis = 0,
    groups: int = 1,
    dilation: PerAxis = 1,
) -> jax.Array:
    """:func:`conv_transpose2d` with three spatial axes: ``(N, C, D, H, W)`` or ``(C, D, H, W)``.

    >>> import jax.numpy as jnp
    >>> conv_transpose3d(jnp.ones((2, 2, 2, 2)), jnp.ones((2, 3, 2, 2, 2)), stride=2).shape
    (3, 4, 4, 4)
    """
    return _transposed(3, input, weight, bias, stride, padding, output_padding, groups, dilation)


def _transposed(
    rank: int,
    input: Any,
    weight: Any,
    bias: Any,
    stride: Any,
    padding: Any,
    output_padding: Any,
    groups: Any,
    dilation: Any,
) -> jax.Array:
    given = call.arrays(_NAMES, input, weight, bias, rank=rank, unbatched=True)
    space = "DHW"[-rank:]
    return call.transposed(
        given,
        (f"NC{space}", f"IO{space}", f"NC{space}"),
        groups,
        torch.crops(rank, stride, padding, output_padding, dilation),
        stride=torch.per_axis("stride", stride, rank, 1),
        dilation=torch.per_axis("dilation", dilation, rank, 1),
    )
