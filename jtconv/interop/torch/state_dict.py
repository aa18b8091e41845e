"""Transposed convolutions out of a state_dict: parameters alone, of one layer, by prefix.

torch need not be installed for arrays of NumPy or safetensors. What ``weight_norm`` keeps in two
parts, under its old names or its new ones, is multiplied out: ``w = g * v / |v|``, the norm being
over all axes along which ``g`` has one entry (Salimans and Kingma, arXiv:1602.07868).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from jtconv.conventions.torch import per_axis
from jtconv.interop import numpy_layer
from jtconv.interop.numpy_layer import NumpyLayer, expect
from jtconv.interop.torch.tensors import numpy_of
from jtconv.nnx import ConvTranspose
from jtconv.problem import arguments
from jtconv.problem.padding import check_output_padding
from jtconv.typing import PerAxis

# Where weight_norm keeps g and v: torch.nn.utils's, and that of torch.nn.utils.parametrizations.
_NORMED = (
    ("weight_g", "weight_v"),
    ("parametrizations.weight.original0", "parametrizations.weight.original1"),
)


@arguments.suggests
def from_state_dict(
    state_dict: Mapping[str, Any],
    prefix: str = "",
    *,
    stride: PerAxis = 1,
    padding: PerAxis = 0,
    output_padding: PerAxis = 0,
    groups: int = 1,
    dilation: PerAxis = 1,
) -> ConvTranspose:
    """A ``ConvTranspose1d``, ``2d`` or ``3d`` of a checkpoint as one of our layers.

    Args:
        state_dict: names to tensors or arrays, as ``module.state_dict()`` or ``torch.load`` gives.
        prefix: the layer's place in it, such as ``"decoder.ups.0"``.
        stride, padding, output_padding, groups, dilation: those that the module was made with,
            which no state_dict holds. Channels and kernel size are those of the weight.

    Returns:
        A layer, channels last, as :func:`to_nnx` would give.

    Raises:
        ValueError, TypeError: where there is no weight, naming the prefixes that have one; for a
            wrong argument.

    >>> import numpy as np
    >>> g, v = np.ones((4, 1, 1), "float32"), np.ones((4, 2, 16), "float32")
    >>> kept = {"ups.0.weight_g": g, "ups.0.weight_v": v}
    >>> up = from_state_dict(kept, "ups.0", stride=8, padding=4)
    >>> up(np.ones((1, 5, 4), "float32")).shape
    (1, 40, 2)
    """
    start = prefix if not prefix or prefix.endswith(".") else f"{prefix}."
    weight = _weight(state_dict, start)
    rank = weight.ndim - 2
    if rank not in (1, 2, 3):
        raise ValueError(
            f"state_dict[{start + 'weight'!r}] must have 3 to 5 axes, (C_in, "
            f"C_out // groups, *kernel), got shape {weight.shape}: it is of another kind of layer."
        )
    groups = arguments.integer("groups", groups, least=1)
    strides = per_axis("stride", stride, rank, 1)
    dilations = per_axis("dilation", dilation, rank, 1)
    extra = per_axis("output_padding", output_padding, rank, 0)
    check_output_padding(extra, strides, dilations)
    if weight.shape[0] % groups:
        raise ValueError(f"groups must divide the {weight.shape[0]} channels in, got {groups}.")
    bias = _array(state_dict, f"{start}bias")
    if bias is not None:
        expect(f"state_dict[{start + 'bias'!r}]", bias, (weight.shape[1] * groups,))
    return numpy_layer.to_nnx(
        NumpyLayer(
            weight.transpose(*range(2, weight.ndim), 1, 0),
            bias,
            strides,
            dilations,
            tuple((pad, pad) for pad in per_axis("padding", padding, rank, 0)),
            extra,
            groups,
        )
    )


def _array(state_dict: Mapping[str, Any], name: str) -> np.ndarray | None:
    """A copy of what goes by a name, if there is such."""
    value = state_dict.get(name)
    if value is None:
        return None
    return numpy_of(value) if hasattr(value, "detach") else np.array(value)


def _weight(state_dict: Mapping[str, Any], start: str) -> np.ndarray:
    weight = _array(state_dict, f"{start}weight")
    if weight is not None:
        return weight
    for names in _NORMED:
        size, direction = (_array(state_dict, start + name) for name in names)
        if size is not None and direction is not None:
            return _multiplied(size, direction, start + names[0])
    ends = ("weight", *(names[0] for names in _NORMED))
    there = sorted(
        {n.removesuffix(e).rstrip(".") for n in state_dict for e in ends if n.endswith(e)}
    )
    some = ", ".join(map(repr, there[:10])) + (", ..." if len(there) > 10 else "")
    raise ValueError(
        f"state_dict has no weight at prefix {start.rstrip('.')!r}; it has one at {some or 'none'}."
    )


def _multiplied(size: np.ndarray, direction: np.ndarray, name: str) -> np.ndarray:
    """The weight of weight_norm, in the dtype that it is kept in; halves are summed in float32."""
    if size.ndim not in (0, direction.ndim) or any(
        n not in (1, m) for n, m in zip(size.shape, direction.shape, strict=False)
    ):
        raise ValueError(
            f"state_dict[{name!r}] must have 1 or as many entries as the weight {direction.shape} "
            f"along each axis, got {size.shape}."
        )
    wide = np.result_type(direction.dtype, np.float32)
    over = tuple(a for a in range(direction.ndim) if size.ndim == 0 or size.shape[a] == 1)
    v = direction.astype(wide)
    norm = np.sqrt(np.sum(np.abs(v) ** 2, axis=over, keepdims=True))
    return (v * (size.astype(wide) / norm)).astype(direction.dtype)
