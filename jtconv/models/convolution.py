"""``flax.nnx.Conv`` whose arithmetic is :func:`jtconv.conv`: what the models convolve with.

Flax lets a layer be given another ``conv_general_dilated``; here it is ours, so that the
gradients of the models run on chosen methods, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
from flax import nnx

from jtconv.api import conv


def _conv_general_dilated(
    x: jax.Array,
    w: jax.Array,
    strides: Sequence[int],
    padding: Any,
    *,
    lhs_dilation: Sequence[int],
    rhs_dilation: Sequence[int],
    feature_group_count: int,
    precision: Any,
    preferred_element_type: Any = None,
    **_: Any,  # dimension_numbers, which are always channels last, and out_sharding
) -> jax.Array:
    if set(lhs_dilation) != {1}:
        raise ValueError(
            f"input_dilation must be 1 here, got {tuple(lhs_dilation)}: to enlarge, use "
            f"jtconv.nnx.ConvTranspose."
        )
    return conv(
        x,
        w,
        stride=strides,
        padding=padding,
        dilation=rhs_dilation,
        groups=feature_group_count,
        precision=precision,
        preferred_element_type=preferred_element_type,
    )


Conv = partial(nnx.Conv, conv_general_dilated=_conv_general_dilated)
