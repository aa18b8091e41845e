"""equinox.nn.ConvTranspose with its weights, both ways."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jtconv.interop import layer as hub
from jtconv.interop.framework import is_one_of, load
from jtconv.interop.layer import Layer
from jtconv.interop.parameters import expect, on_jax, turned
from jtconv.nnx import ConvTranspose
from jtconv.problem import arguments
from jtconv.problem import padding as conventions
from jtconv.problem.padding import Crops

if TYPE_CHECKING:
    import equinox

PerAxis = int | Sequence[int]


def to_nnx(module: equinox.nn.ConvTranspose) -> ConvTranspose:
    """An Equinox layer as one of ours with the same weights, to the bit.

    Ours is channels last: where Equinox takes ``x``, ``(C, *spatial)``, it takes
    ``jnp.moveaxis(x, 0, -1)``, with any batch in front, and gives Equinox's output moved likewise.

    Args:
        module: an ``equinox.nn.ConvTranspose`` of any rank, ``ConvTranspose1d`` to ``3d`` included.

    Raises:
        ImportError: where Equinox is not installed.
    """
    if not is_one_of(module, (load("equinox").nn.ConvTranspose,)):
        raise TypeError(f"module must be an equinox.nn.ConvTranspose, got {type(module).__name__}.")
    weight, bias, rank = np.asarray(module.weight), module.bias, len(module.kernel_size)
    narrow = module.in_channels // module.groups
    expect("weight", weight, (module.out_channels, narrow, *module.kernel_size))
    if bias is not None:
        expect("bias", bias, (module.out_channels, *(1,) * rank))
        bias = np.asarray(bias).reshape(-1)
    padding, output_padding = _padding(module)
    return hub.to_nnx(
        Layer(
            turned(weight.transpose(*range(2, rank + 2), 1, 0), module.groups),
            bias,
            tuple(module.stride),
            tuple(module.dilation),
            padding,
            output_padding,
            module.groups,
            transpose_kernel=(padding, module.padding) != ("CIRCULAR", "SAME"),
        )
    )


def from_nnx(layer: ConvTranspose) -> equinox.nn.ConvTranspose:
    """One of our layers, or of Flax's, as Equinox's with the same weights: the way back.

    Raises:
        ImportError: where Equinox is not installed.
    """
    import jax

    equinox, known = load("equinox"), hub.from_nnx(layer)
    circular = known.padding == "CIRCULAR"
    padding: Any = known.padding
    if circular:
        padding = "SAME_LOWER" if known.transpose_kernel else "SAME"
    elif padding != "SAME":  # a SAME_LOWER of ours adds in front where strides outrun the kernel
        padding = known.crops
    module = equinox.nn.ConvTranspose(
        known.rank,
        known.in_channels,
        known.out_channels,
        known.size,
        known.stride,
        padding,
        0,
        known.dilation,
        known.groups,
        known.bias is not None,
        "CIRCULAR" if circular else "ZEROS",
        key=jax.random.key(0),
    )
    kernel = turned(known.masked, known.groups)
    weight = on_jax("kernel", kernel.transpose(-1, -2, *range(known.rank)))
    module = equinox.tree_at(lambda m: m.weight, module, weight)
    if known.bias is None:
        return module
    bias = on_jax("bias", known.bias.reshape(-1, *(1,) * known.rank))
    return equinox.tree_at(lambda m: m.bias, module, bias)


def crops(
    kernel_size: Sequence[int],
    stride: PerAxis = 1,
    padding: str | PerAxis | Sequence[Crops] = 0,
    output_padding: PerAxis = 0,
    dilation: PerAxis = 1,
) -> tuple[Crops, ...]:
    """What Equinox's arguments crop from the full output.

    Numbers are crops and "VALID" crops nothing; "SAME" and "SAME_LOWER" make ``n * stride`` cells
    less ``output_padding``, which lengthens the output otherwise.

    >>> crops((3,), 2, "SAME"), crops((3,), 2, "SAME", 1), crops((3,), 2, 1, 1)
    (((0, 1),), ((1, 1),), ((1, 0),))
    """
    rank = len(kernel_size)
    strides = arguments.per_axis("stride", stride, rank, least=1)
    extra = arguments.per_axis("output_padding", output_padding, rank, least=0)
    dilations = arguments.per_axis("dilation", dilation, rank, least=1)
    if not isinstance(padding, str):
        pairs: Any = conventions.parse(padding, rank)
        return tuple((lo, hi - more) for (lo, hi), more in zip(pairs, extra, strict=True))
    name = arguments.choice("padding", padding, ("SAME", "SAME_LOWER", "VALID"), any_case=True)
    spans = conventions.spans(kernel_size, dilations)
    columns = zip(spans, strides, extra, strict=True)
    return tuple(_named(name, *column) for column in columns)


def _named(name: str, span: int, stride: int, extra: int) -> Crops:
    if name == "VALID":
        return 0, -extra
    cut = span - stride + extra
    lo = (max(cut, 0) + (name == "SAME_LOWER")) // 2
    return lo, cut - lo


def _padding(module: Any) -> tuple[str | tuple[Crops, ...], tuple[int, ...]]:
    """Our padding and output_padding for a module's."""
    zeros = (0,) * len(module.kernel_size)
    if module.padding_mode == "CIRCULAR":
        return "CIRCULAR", zeros
    if module.padding == "SAME" and not any(module.output_padding):
        return "SAME", zeros
    if isinstance(module.padding, str):
        words = (module.kernel_size, module.stride, module.padding, module.output_padding)
        return crops(*words, module.dilation), zeros
    return tuple((lo, hi) for lo, hi in module.padding), tuple(module.output_padding)
