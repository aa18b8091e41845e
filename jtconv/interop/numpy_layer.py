"""A layer in no framework: what every framework's layers go through on their way to nnx and back.

Other frameworks are imported where one of them is called for, and not before.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx

import jtconv.linen
import jtconv.nnx
from jtconv import layers
from jtconv.conventions import Inexpressible, flax, lax
from jtconv.nnx import ConvTranspose
from jtconv.problem import padding
from jtconv.problem.padding import Crops

PerAxis = tuple[int, ...]


@dataclass(frozen=True)
class NumpyLayer:
    """A layer of transposed convolution: its numbers, and its parameters in NumPy.

    ``kernel`` is ``(*kernel, C_out // groups, C_in)`` and is not flipped: the kernel of an nnx
    layer with ``transpose_kernel``. ``padding`` is a name or crops of the full output, of which
    ``output_padding`` takes away at the end.
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
        return int(self.kernel.shape[-1])

    @property
    def out_channels(self) -> int:
        """Channels of the output."""
        return int(self.kernel.shape[-2]) * self.groups

    @property
    def crops(self) -> tuple[Crops, ...]:
        """All that is cropped from the full output, ``output_padding`` taken away."""
        if self.padding in padding.BORDERS:
            who = "only Flax and Equinox have it" if self.padding == "CIRCULAR" else "none has it"
            raise ValueError(
                f"padding={self.padding!r} adds to the output what leaves it, which no crops do: "
                f"{who}."
            )
        pairs = self.padding
        if isinstance(pairs, str):
            columns = zip(self._spans, self.stride, strict=True)
            pairs = tuple(padding.from_name(pairs, *column) for column in columns)
        return tuple((lo, hi - op) for (lo, hi), op in zip(pairs, self.output_padding, strict=True))

    @property
    def _spans(self) -> PerAxis:
        return padding.effective_kernels(self.size, self.dilation)

    def padding_as(self, from_crops: Callable[..., dict[str, Any]], **more: Any) -> dict[str, Any]:
        """The padding arguments of a framework, whose ``from_crops`` this is."""
        try:
            return from_crops(self.crops, self.size, self.stride, self.dilation, **more)
        except Inexpressible as why:
            raise ValueError(
                f"padding: {why}. Crop less in the layer, and slice or pad its output for the rest."
            ) from None


def to_nnx(layer: NumpyLayer) -> ConvTranspose:
    """The layer as one of ours."""
    kept = layer.groups, layer.transpose_kernel
    kernel = on_jax("kernel", _as_kept(layer.kernel, *kept))
    mask = on_jax("mask", _as_kept(layer.mask, *kept))
    bias = on_jax("bias", layer.bias)
    pads: Any = layer.padding
    if not isinstance(pads, str):
        pads = list(lax.pads(pads, layer.size, layer.dilation))
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


def from_nnx(layer: nnx.ConvTranspose) -> NumpyLayer:
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
    known = layers.keywords(layer)
    kept = known["groups"], layer.transpose_kernel
    mask = None if layer.mask is None else np.asarray(layer.mask, kernel.dtype)
    return NumpyLayer(
        _as_kept(kernel, *kept),
        bias,
        known["stride"],
        known["dilation"],
        crops_of_unknown_name(layer) or known["padding"],
        known["output_padding"],
        known["groups"],
        _as_kept(mask, *kept),
        layer.transpose_kernel,
    )


def crops_of_unknown_name(layer: Any) -> tuple[Crops, ...] | None:
    """What lax crops for a name that Flax hands on to it: not by the meaning that ours has."""
    ours = jtconv.nnx.ConvTranspose, jtconv.linen.ConvTranspose
    if isinstance(layer, ours) or not flax.is_unknown_name(layer.padding):
        return None
    size = flax.sizes(layer.kernel_size)
    strides = flax.per_axis("strides", layer.strides, len(size))
    dilation = flax.per_axis("kernel_dilation", layer.kernel_dilation, len(size))
    return lax.crops(size, strides, layer.padding, dilation)


def _as_kept(kernel: Any, groups: int, transpose_kernel: bool) -> Any:
    """Our kernel as nnx keeps it, and back."""
    return kernel if kernel is None or transpose_kernel else adjoint_flipped(kernel, groups)


def flipped(kernel: np.ndarray) -> np.ndarray:
    """A kernel with every spatial axis flipped."""
    return np.flip(kernel, tuple(range(kernel.ndim - 2)))


def adjoint_flipped(kernel: np.ndarray, groups: int) -> np.ndarray:
    """A kernel as lax convolves with it: flipped, ``(*kernel, C_in // groups, C_out)``.

    And back: this is its own inverse.
    """
    *size, first, last = kernel.shape
    split = flipped(kernel).reshape(*size, first, groups, last // groups)
    return split.swapaxes(-1, -3).reshape(*size, last // groups, groups * first)


def expect(name: str, got: Any, shape: tuple[int, ...]) -> None:
    """A parameter must have the shape that the rest of its layer implies."""
    if tuple(got.shape) != tuple(shape):
        raise ValueError(f"{name} must have shape {tuple(shape)}, got {tuple(got.shape)}.")


def held(params: Mapping[str, Any], name: str) -> Any:
    """The parameter of this name, which must be there."""
    if name not in params:
        there = ", ".join(map(repr, params)) or "nothing"
        raise ValueError(
            f"params has no {name!r}, but {there}: pass the mapping that holds the arrays of "
            "this one layer, all of them."
        )
    return params[name]


def on_jax(name: str, array: np.ndarray | None) -> Any:
    """The array in JAX, of the very same dtype."""
    if array is None:
        return None
    moved = jnp.array(array)
    if moved.dtype != array.dtype:
        raise TypeError(
            f"{name} is {array.dtype}, which JAX holds only in 64-bit mode: "
            'jax.config.update("jax_enable_x64", True), or convert the layer to 32 bits first.'
        )
    return moved


def load(name: str) -> Any:
    """The framework of this name, which is its package's too."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:  # it is there, and misses something itself
            raise
        raise ImportError(f"this needs {name}: python -m pip install {name}") from None


def is_one_of(layer: Any, kinds: tuple[type, ...], call: str = "__call__") -> bool:
    """Whether a layer is of one of these classes, and computes as that class does.

    A subclass whose ``call`` is its own is an error: it may compute anything.
    """
    kind = next((kind for kind in kinds if isinstance(layer, kind)), None)
    if kind is not None and getattr(type(layer), call) is not getattr(kind, call):
        raise TypeError(
            f"layer: {type(layer).__name__} is a {kind.__name__} with a {call} of its own, which "
            f"cannot be read. Move a plain {kind.__name__}, and write the rest anew."
        )
    return kind is not None
