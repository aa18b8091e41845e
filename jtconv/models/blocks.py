"""What the networks are built of: one convolution for all, and the blocks of several papers."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from flax import nnx

from jtconv import api

M = TypeVar("M", bound=nnx.Module)


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
            f"input_dilation must be 1 here, got {tuple(lhs_dilation)}: to upsample, use "
            "jtconv.nnx.ConvTranspose."
        )
    return api.conv(
        x,
        w,
        stride=strides,
        padding=padding,
        dilation=rhs_dilation,
        groups=feature_group_count,
        precision=precision,
        preferred_element_type=preferred_element_type,
    )


# ``flax.nnx.Conv`` by :func:`jtconv.conv`: its gradients run on chosen methods, too.
Conv = partial(nnx.Conv, conv_general_dilated=_conv_general_dilated)


class ConvBlock(nnx.Module):
    """``depth`` convolutions of 3 cells a side, each normalised (where ``norm``) and rectified.

    Shapes: ``(batch, *size, in_features)`` to ``(batch, *size, features)``.
    Source: VGG (Simonyan and Zisserman, arXiv:1409.1556); batch normalisation
    by Ioffe and Szegedy (arXiv:1502.03167).

    >>> block = ConvBlock(3, 8, rngs=nnx.Rngs(0))
    >>> block(jax.numpy.ones((1, 5, 7, 3))).shape
    (1, 5, 7, 8)
    """

    def __init__(
        self,
        in_features: int,
        features: int,
        depth: int = 2,
        *,
        rank: int = 2,
        norm: bool = True,
        rngs: nnx.Rngs,
    ) -> None:
        init = nnx.initializers.he_normal()
        self.convs = nnx.List(
            nnx.Conv(before, after, (3,) * rank, use_bias=not norm, kernel_init=init, rngs=rngs)
            for before, after in pairwise([in_features] + [features] * depth)
        )
        self.norms = nnx.List(
            nnx.BatchNorm(features, momentum=0.9, rngs=rngs) for _ in range(depth if norm else 0)
        )

    def __call__(self, x: jax.Array) -> jax.Array:
        """All convolutions in turn; the size stays."""
        for number, conv in enumerate(self.convs):
            x = conv(x)
            if self.norms:
                x = self.norms[number](x)
            x = nnx.relu(x)
        return x


class ESP(nnx.Module):
    """Efficient spatial pyramid: reduce, split, transform, merge; figure 1 of the paper.

    A 1 x 1 convolution reduces to ``features / branches``; each branch looks at that with the
    dilation 1, 2, 4, ...; the branches are summed up one by one, which takes the gridding out
    of the large dilations, concatenated, and added to the input where it has as many features.

    Shapes: ``(batch, *size, in_features)`` to ``(batch, *size, features)``.
    Source: Mehta et al., "ESPNet: efficient spatial pyramid of dilated convolutions for
    semantic segmentation" (arXiv:1803.06815).

    >>> block = ESP(12, 12, branches=3, rngs=nnx.Rngs(0))
    >>> block(jax.numpy.ones((1, 9, 14, 12))).shape
    (1, 9, 14, 12)
    """

    def __init__(
        self, in_features: int, features: int, *, branches: int = 4, rank: int = 2, rngs: nnx.Rngs
    ) -> None:
        if features % branches:
            raise ValueError(
                f"features must be a multiple of branches, {branches}, got {features}."
            )
        n = features // branches
        self.reduce = Conv(in_features, n, (1,) * rank, use_bias=False, rngs=rngs)
        self.branches = nnx.List(
            Conv(n, n, (3,) * rank, kernel_dilation=2**number, use_bias=False, rngs=rngs)
            for number in range(branches)
        )

    def __call__(self, x: jax.Array) -> jax.Array:
        """The pyramid of ``x``, with ``x`` itself added where it fits."""
        reduced = self.reduce(x)
        sums: list[jax.Array] = []
        for branch in self.branches:
            y = branch(reduced)
            sums.append(y + sums[-1] if sums else y)
        y = jnp.concatenate(sums, -1)
        return x + y if x.shape == y.shape else y


class IGC(nnx.Module):
    """Interleaved group convolutions: spatial in groups, permute, 1 x 1 in groups, permute back.

    The primary convolution mixes space inside each of ``primary`` partitions of ``secondary``
    channels; the secondary one mixes, without space, channels of which each comes from another
    partition. Together they equal one dense convolution whose kernel is the product of
    the two; figure 1 of the paper.

    Shapes: ``(batch, *size, primary * secondary)`` stays.
    Source: Zhang, Qi, Xiao and Wang, "Interleaved group convolutions for deep neural networks"
    (arXiv:1707.02725).

    >>> block = IGC(primary=4, secondary=3, rngs=nnx.Rngs(0))
    >>> block(jax.numpy.ones((1, 9, 14, 12))).shape
    (1, 9, 14, 12)
    """

    def __init__(
        self,
        primary: int,
        secondary: int,
        *,
        kernel_size: int = 3,
        rank: int = 2,
        rngs: nnx.Rngs,
    ) -> None:
        n, window, point = primary * secondary, (kernel_size,) * rank, (1,) * rank
        self.groups = (primary, secondary)
        self.primary = Conv(n, n, window, feature_group_count=primary, use_bias=False, rngs=rngs)
        self.secondary = Conv(n, n, point, feature_group_count=secondary, use_bias=False, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        """Every output channel reads every input channel."""
        primary, secondary = self.groups
        x = interleave(self.primary(x), primary)
        return interleave(self.secondary(x), secondary)


def interleave(x: jax.Array, groups: int) -> jax.Array:
    """The first channel of every group, then the second of every group, and so on.

    >>> interleave(jax.numpy.arange(6), 2)
    Array([0, 3, 1, 4, 2, 5], dtype=int32)
    """
    *outer, features = x.shape
    return x.reshape(*outer, groups, features // groups).swapaxes(-1, -2).reshape(x.shape)


def frozen(module: M) -> M:
    """The module as it is used rather than trained: norms take their running averages.

    The arrays are shared, the module given stays as it is.
    """
    copy = nnx.merge(*nnx.split(module))
    copy.eval()
    return copy
