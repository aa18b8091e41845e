"""torch.nn.BatchNorm1d to 3d as flax.nnx.BatchNorm, and back.

The running statistics move too. In training the two differ by a little: torch's running
variance is the unbiased one of each batch, Flax's the biased one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from flax import nnx

from jtconv.interop.parameters import on_jax
from jtconv.interop.torch.tensors import parameter, tensor_of

# Ours, the kind of variable it is in, and torch's.
_ARRAYS: tuple[tuple[str, Any, str], ...] = (
    ("scale", nnx.Param, "weight"),
    ("bias", nnx.Param, "bias"),
    ("mean", nnx.BatchStat, "running_mean"),
    ("var", nnx.BatchStat, "running_var"),
)


def to_nnx(module: Any) -> nnx.BatchNorm:
    """torch's batch normalization as Flax's, at rest where it is at rest."""
    if module.running_mean is None or module.momentum is None:
        raise TypeError(
            "module: a BatchNorm without running statistics, or with momentum=None, has no "
            "counterpart here."
        )
    norm = nnx.BatchNorm(
        module.num_features,
        use_running_average=not module.training,
        momentum=round(1 - module.momentum, 12),
        epsilon=module.eps,
        use_bias=module.affine,
        use_scale=module.affine,
        rngs=nnx.Rngs(0),
    )
    for ours, kind, theirs in _ARRAYS:
        array = parameter(module, theirs, (module.num_features,))
        if array is not None:
            setattr(norm, ours, kind(on_jax(theirs, array)))
    return norm


def from_nnx(layer: nnx.BatchNorm, rank: int) -> Any:
    """The way back, among layers of so many spatial axes."""
    import torch

    if layer.axis not in (-1, rank + 1):
        raise ValueError(
            f"layer has axis={layer.axis} of channels-last arrays, torch's is that of the "
            "channels: -1."
        )
    module = getattr(torch.nn, f"BatchNorm{rank}d")(
        layer.num_features,
        layer.epsilon,
        round(1 - layer.momentum, 12),
        affine=layer.scale is not None,
    )
    for ours, kind, theirs in _ARRAYS:
        variable = getattr(layer, ours)
        if variable is not None:
            tensor = tensor_of(np.asarray(variable[...]))
            setattr(module, theirs, torch.nn.Parameter(tensor) if kind is nnx.Param else tensor)
    return module.train(not layer.use_running_average)
