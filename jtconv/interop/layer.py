"""The layer that every framework's layers are translated through, on their way to and from nnx."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from flax import nnx

import jtconv.linen
import jtconv.nnx
from jtconv import layers
from jtconv.interop import lax
from jtconv.interop.framework import is_one_of
from jtconv.interop.parameters import expect, on_jax, turned
from jtconv.nnx import ConvTranspose
from jtconv.problem import padding
from jtconv.problem.padding import Crops

PerAxis = tuple[int, ...]


@dataclass(frozen=True)
class Layer:
    """A layer of transposed convolution: its numbers, and its parameters in NumPy.

    ``kernel`` is ``(*kernel, C_out // groups, C_in)`` and is not turned round: the kernel of an
    nnx layer with ``transpose_kernel``. ``padding`` is a name or crops of the full output, of
    which ``output_padding`` takes away at the end.
    """

    kernel: np.ndarray
    bias: np.ndarray | None
    stride: PerAxis
    dilation: PerAxis
    padding: str | tuple[Crops, ...]
    output_padding: PerAxis
    groups: int = 1
    mask: np.ndarray | None = None  # lies as the kernel does
    transpose_kernel: bool = True  # how nnx keeps the kernel; CIRCULAR depends on it

    @property
    def masked(self) -> np.ndarray:
        """The kernel, for a framework without masks."""
        return self.kernel if self.mask is None else self.kernel * self.mask

    @property
    def size(self) -> PerAxis:
        """The kernel's spatial sizes."""
        return self.kernel.shape[:-2]

    @property
    def rank(self) -> int:
        """Spatial axes."""
        return len(self.size)

    @property
    def in_channels(self) -> int:
        """Channels of the input."""
        return self.kernel.shape[-1]

    @property
    def out_channels(self) -> int:
        """Channels of the output."""
        return self.kernel.shape[-2] * self.groups

    @property
    def spans(self) -> PerAxis:
        """Cells that a stamp spans along each axis."""
        return padding.spans(self.size, self.dilation)

    @property
    def crops(self) -> tuple[Crops, ...]:
        """All that is cropped from the full output, ``output_padding`` taken away."""
        if self.padding == "CIRCULAR":
            raise ValueError(
                "padding='CIRCULAR' wraps the output round, which cannot be said as crops: only "
                "Flax and Equinox have it."
            )
        pairs = self.padding
        if isinstance(pairs, str):
            columns = zip(self.spans, self.stride, strict=True)
            pairs = tuple(padding.from_name(pairs, *column) for column in columns)
        return tuple((lo, hi - op) for (lo, hi), op in zip(pairs, self.output_padding, strict=True))


def to_nnx(layer: Layer) -> ConvTranspose:
    """The layer as one of ours."""
    kept = layer.groups, layer.transpose_kernel
    kernel = on_jax("kernel", _as_kept(layer.kernel, *kept))
    mask = on_jax("mask", _as_kept(layer.mask, *kept))
    bias = on_jax("bias", layer.bias)
    pads: Any = layer.padding
    if not isinstance(pads, str):
        pads = [padding.to_lax(pair, d) for pair, d in zip(pads, layer.spans, strict=True)]
    return ConvTranspose(
        layer.in_channels,
        layer.out_channels,
        layer.size,
        layer.stride,
        padding=pads,
        output_padding=layer.output_padding,
        kernel_dilation=layer.dilation,
        feature_group_count=layer.groups,
        transpose_kernel=layer.transpose_kernel,
        use_bias=bias is not None,
        mask=mask,
        kernel_init=lambda *_: kernel,
        bias_init=lambda *_: bias,
        param_dtype=kernel.dtype,
        rngs=nnx.Rngs(0),
    )


def from_nnx(layer: nnx.ConvTranspose) -> Layer:
    """One of our layers, or of Flax's."""
    if not is_one_of(layer, (ConvTranspose, nnx.ConvTranspose)):
        raise TypeError(
            "layer must be a jtconv.nnx.ConvTranspose or a flax.nnx.ConvTranspose, got "
            f"{type(layer).__name__}."
        )
    kernel = np.asarray(layer.kernel[...])
    expect("kernel", kernel, layer.kernel_shape)
    bias = None if layer.bias is None else np.asarray(layer.bias[...])
    if bias is not None:
        expect("bias", bias, (layer.out_features,))
    words = layers.keywords(layer)
    kept = words["groups"], layer.transpose_kernel
    mask = None if layer.mask is None else np.asarray(layer.mask, kernel.dtype)
    return Layer(
        _as_kept(kernel, *kept),
        bias,
        words["stride"],
        words["dilation"],
        odd_name(layer) or words["padding"],
        words["output_padding"],
        words["groups"],
        _as_kept(mask, *kept),
        layer.transpose_kernel,
    )


def odd_name(layer: Any) -> tuple[Crops, ...] | None:
    """What lax crops for a name that Flax hands on to it: not by the meaning that ours has."""
    ours = jtconv.nnx.ConvTranspose, jtconv.linen.ConvTranspose
    if isinstance(layer, ours) or not layers.has_odd_name(layer):
        return None
    size = layers.sizes(layer.kernel_size)
    columns = {"strides": layer.strides, "kernel_dilation": layer.kernel_dilation}
    strides, dilation = (layers.per_axis(*column, len(size)) for column in columns.items())
    return lax.crops(size, strides, layer.padding, dilation)


def _as_kept(kernel: Any, groups: int, transpose_kernel: bool) -> Any:
    """Our kernel as nnx keeps it, and back."""
    return kernel if kernel is None or transpose_kernel else turned(kernel, groups)
