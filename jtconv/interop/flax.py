"""flax.nnx.ConvTranspose and flax.linen.ConvTranspose with their weights, both ways.

These make new layers. To compute a whole model of Flax's layers by ours, in place, see
:func:`jtconv.nnx.accelerate` and :func:`jtconv.linen.accelerate`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from flax import linen, nnx
from flax.core import meta

import jtconv.linen
import jtconv.nnx
from jtconv import layers
from jtconv.conventions import flax, lax
from jtconv.interop import numpy_layer
from jtconv.interop.numpy_layer import (
    adjoint_flipped,
    crops_of_unknown_name,
    expect,
    held,
    on_jax,
)
from jtconv.problem import padding

__all__ = ["from_nnx", "to_linen", "to_nnx"]

# Arguments that all these layers have, and those that only ours have.
_SHARED = (
    "strides",
    "padding",
    "kernel_dilation",
    "use_bias",
    "dtype",
    "param_dtype",
    "precision",
    "transpose_kernel",
    "preferred_element_type",
)
_OURS = ("feature_group_count", "output_padding", "method")


def to_nnx(
    layer: nnx.ConvTranspose | linen.ConvTranspose,
    params: Mapping[str, Any] | None = None,
    *,
    transpose_kernel: bool | None = None,
) -> jtconv.nnx.ConvTranspose:
    """A layer of Flax's, of either API, as one of ours with the same weights.

    Args:
        layer: a ``flax.nnx.ConvTranspose``, or a ``flax.linen.ConvTranspose``, or one of ours.
        params: of a Linen layer: ``{"kernel": ..., "bias": ...}``.
        transpose_kernel: how the result is to keep its kernel, the same numbers in another order;
            as ``layer`` does if None.

    Raises:
        ValueError: for a parameter that is missing, or whose shape is not what the layer implies;
            for a "CIRCULAR" that the other ``transpose_kernel`` centres otherwise.

    >>> import numpy as np
    >>> from flax import linen
    >>> params = {"kernel": np.ones((4, 3, 2), np.float32), "bias": np.ones(2, np.float32)}
    >>> up = to_nnx(linen.ConvTranspose(2, (4,), (2,)), params)
    >>> up(np.ones((1, 5, 3), np.float32)).shape
    (1, 10, 2)
    """
    if isinstance(layer, nnx.ConvTranspose):
        if params is not None:
            raise TypeError("params must be None beside an nnx layer, which holds its own.")
        made = _nnx(jtconv.nnx.ConvTranspose, layer, _params(layer), _arguments(layer))
        return made if transpose_kernel is None else _kept_as(made, transpose_kernel)
    if not isinstance(layer, linen.ConvTranspose):
        raise TypeError(
            f"layer must be a ConvTranspose of flax.nnx or flax.linen, got {type(layer).__name__}."
        )
    if params is None:
        raise TypeError("params must be given beside a Linen layer, which holds none itself.")
    made = _nnx(jtconv.nnx.ConvTranspose, layer, meta.unbox(params), _arguments(layer))
    return made if transpose_kernel is None else _kept_as(made, transpose_kernel)


def from_nnx(layer: jtconv.nnx.ConvTranspose) -> nnx.ConvTranspose:
    """One of our layers as Flax's own: the way back.

    What Flax has no name for becomes numbers around the dilated input.

    Raises:
        ValueError: for groups and a fourth axis, which Flax has not.
    """
    known = numpy_layer.from_nnx(layer)
    if known.rank > 3:
        raise ValueError(f"layer has {known.rank} spatial axes, Flax's have 1 to 3.")
    if known.groups > 1:
        raise ValueError(f"layer has feature_group_count={known.groups}, Flax has no groups: 1.")
    given = {name: value for name, value in _arguments(layer).items() if name not in _OURS}
    if known.padding in flax.NAMES and not any(known.output_padding):
        given["padding"] = known.padding
    elif isinstance(known.padding, str) or any(known.output_padding):
        given["padding"] = lax.pads(known.crops, known.size, known.dilation)
    return _nnx(nnx.ConvTranspose, layer, _params(layer), given)


def to_linen(
    layer: nnx.ConvTranspose,
    target: linen.ConvTranspose | None = None,
    *,
    transpose_kernel: bool | None = None,
) -> tuple[linen.ConvTranspose, dict[str, Any]]:
    """A layer of nnx as ours of Linen, and its variables: ``module.apply(variables, x)``.

    A kernel of ``transpose_kernel`` may fit a layer without, in shape and not in meaning. So the
    variables are those of Flax's default, whatever ``layer`` is, unless it is said otherwise.

    Args:
        layer: a ``flax.nnx.ConvTranspose``, or one of ours.
        target: a layer of Linen that is there already, Flax's or ours, to make the variables for;
            it must compute what ``layer`` does. It is the module of the result.
        transpose_kernel: how the module and its variables keep the kernel where there is no
            ``target``; False if None, as in Flax.

    Raises:
        ValueError: for a ``target`` that computes something else, naming the first argument of the
            two that differs; for a "CIRCULAR" that the other ``transpose_kernel`` centres
            otherwise.
        TypeError: for another kind of layer.

    >>> import jax.numpy as jnp
    >>> from flax import linen, nnx
    >>> layer = nnx.ConvTranspose(3, 3, (4,), 2, transpose_kernel=True, rngs=nnx.Rngs(0))
    >>> mine, x = linen.ConvTranspose(3, (4,), (2,)), jnp.ones((1, 5, 3))
    >>> _, variables = to_linen(layer, mine)
    >>> bool(jnp.allclose(mine.bind(variables)(x), layer(x), atol=1e-6))
    True
    """
    numpy_layer.from_nnx(layer)  # checked
    if target is None:
        kept = _kept_as(layer, bool(transpose_kernel))
        given = {**_arguments(kept), "mask": kept.mask}
        module = jtconv.linen.ConvTranspose(kept.out_features, tuple(kept.kernel_size), **given)
        return module, {"params": _params(kept)}
    if not isinstance(target, linen.ConvTranspose):
        raise TypeError(
            f"target must be a ConvTranspose of flax.linen, got {type(target).__name__}."
        )
    if transpose_kernel not in (None, target.transpose_kernel):
        raise ValueError(
            f"transpose_kernel must be left out beside a target, whose own is "
            f"{target.transpose_kernel}; got {transpose_kernel}."
        )
    kept = _kept_as(layer, target.transpose_kernel)
    _check_same(kept, target)
    return target, {"params": _params(kept)}


def _check_same(layer: nnx.ConvTranspose, target: linen.ConvTranspose) -> None:
    """That a layer of Linen computes with these parameters what a layer of nnx does."""
    here, there = _meaning(layer), _meaning(target)
    here["features"], there["features"] = layer.out_features, target.features
    for name, value in here.items():
        if there[name] != value:
            raise ValueError(
                f"target computes something else: its {name} is {there[name]}, that of layer "
                f"{value}."
            )
    mask: Any = target.mask
    if (layer.mask is None) != (mask is None) or not np.array_equal(
        np.asarray(layer.mask), np.asarray(mask)
    ):
        raise ValueError("target computes something else: its mask is not that of layer.")


def _meaning(layer: Any) -> dict[str, Any]:
    """What the numbers of a layer mean, whatever they are called: padding as crops."""
    known = layers.keywords(layer)
    size = flax.sizes(layer.kernel_size)
    pads = crops_of_unknown_name(layer) or known["padding"]
    if isinstance(pads, str) and pads not in padding.BORDERS:
        spans = padding.effective_kernels(size, known["dilation"])
        columns = zip(spans, known["stride"], strict=True)
        pads = tuple(padding.from_name(pads, *column) for column in columns)
    if not isinstance(pads, str):
        pads = tuple(
            (lo, hi - op) for (lo, hi), op in zip(pads, known["output_padding"], strict=True)
        )
    return {
        "kernel_size": size,
        "strides": known["stride"],
        "kernel_dilation": known["dilation"],
        "padding (cells cropped from the full output)": pads,
        "feature_group_count": known["groups"],
        "use_bias": bool(layer.use_bias),
    }


def _kept_as(layer: nnx.ConvTranspose, transpose_kernel: bool) -> nnx.ConvTranspose:
    """The layer, or one of ours with its numbers in the other order of ``transpose_kernel``."""
    if bool(layer.transpose_kernel) == transpose_kernel:
        return layer
    known = layers.keywords(layer)
    if known["padding"] == "CIRCULAR":
        spans = padding.effective_kernels(flax.sizes(layer.kernel_size), known["dilation"])
        for axis, (span, stride) in enumerate(zip(spans, known["stride"], strict=True)):
            if max(span - stride, 0) % 2:
                raise ValueError(
                    f"padding='CIRCULAR' centres a kernel that spans {span} cells with stride "
                    f"{stride} on axis {axis} otherwise with transpose_kernel={transpose_kernel}: "
                    f"keep it {not transpose_kernel}."
                )
    given = {**_arguments(layer), "transpose_kernel": transpose_kernel}
    groups, params = known["groups"], _params(layer)
    kernel = on_jax("kernel", adjoint_flipped(np.asarray(params["kernel"]), groups))
    mask: Any = None if layer.mask is None else adjoint_flipped(np.asarray(layer.mask), groups)
    return jtconv.nnx.ConvTranspose(
        layer.in_features,
        layer.out_features,
        layer.kernel_size,
        mask=mask,
        kernel_init=lambda *_: kernel,
        bias_init=lambda *_: params["bias"],
        rngs=nnx.Rngs(0),
        **given,
    )


def _arguments(layer: Any) -> dict[str, Any]:
    """The arguments that a layer was made with and that other APIs share."""
    given = {name: getattr(layer, name) for name in (*_SHARED, *_OURS) if hasattr(layer, name)}
    crops = crops_of_unknown_name(layer)
    if crops is not None:
        size = flax.sizes(layer.kernel_size)
        dilation = flax.per_axis("kernel_dilation", layer.kernel_dilation, len(size))
        given["padding"] = lax.pads(crops, size, dilation)
    return given


def _params(layer: nnx.ConvTranspose) -> dict[str, jax.Array]:
    params = {"kernel": layer.kernel, "bias": layer.bias}
    return {name: value[...] for name, value in params.items() if value is not None}


def _nnx(kind: Any, layer: Any, params: Mapping[str, Any], given: dict[str, Any]) -> Any:
    """A layer of this kind with these parameters, checked."""
    kernel = on_jax("kernel", np.asarray(held(params, "kernel")))
    bias = on_jax("bias", np.asarray(held(params, "bias"))) if layer.use_bias else None
    features = layer.features if isinstance(layer, linen.ConvTranspose) else layer.out_features
    groups = given.get("feature_group_count", 1)
    size = flax.sizes(layer.kernel_size)
    if kernel.ndim != len(size) + 2:
        ends = f"{features}, C_in" if layer.transpose_kernel else f"C_in, {features}"
        raise ValueError(
            f"kernel must have shape ({', '.join(map(str, size))}, {ends}), got {kernel.shape}."
        )
    channels = kernel.shape[-1] if layer.transpose_kernel else kernel.shape[-2] * groups
    shape = (layer.kernel_size, channels, features, groups, layer.transpose_kernel)
    expect("kernel", kernel, flax.kernel_shape(*shape))
    if bias is not None:
        expect("bias", bias, (features,))
    return kind(
        channels,
        features,
        layer.kernel_size,
        mask=layer.mask,
        kernel_init=lambda *_: kernel,
        bias_init=lambda *_: bias,
        rngs=nnx.Rngs(0),
        **given,
    )
