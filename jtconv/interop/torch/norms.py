"""torch's normalizations as layers of flax.nnx with torch's numbers, and back."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jtconv.interop.numpy_layer import on_jax
from jtconv.interop.torch.arrays import space
from jtconv.interop.torch.table import Layer
from jtconv.interop.torch.tensors import parameter, tensor_of

# Flax's array, the kind of variable it is in, and torch's array.
AFFINE: tuple[tuple[str, Any, str], ...] = (
    ("scale", nnx.Param, "weight"),
    ("bias", nnx.Param, "bias"),
)
STATISTICS: tuple[tuple[str, Any, str], ...] = (
    ("mean", nnx.BatchStat, "running_mean"),
    ("var", nnx.BatchStat, "running_var"),
)


class BatchNorm(nnx.BatchNorm):
    """Flax's, with what differs in torch.

    The running variance is the unbiased one; there may be no running statistics, or ones that
    weigh all batches alike (``momentum`` None); halves are added up in float32.
    """

    rank: int | None = None  # spatial axes, where the class in torch says so
    count: Any = None  # batches seen, where that is what they are weighed by

    def __call__(self, x: jax.Array, use_running_average: bool | None = None) -> jax.Array:
        """``(N, *spatial, C)`` in and out; the running statistics move on in training."""
        kept = self.use_running_average if use_running_average is None else use_running_average
        wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
        if kept and self.mean is not None:
            mean, var = self.mean[...], self.var[...]
        else:
            axes = self._reduced(x)
            mean, var = wide.mean(axes, keepdims=True), wide.var(axes, keepdims=True)
            if not kept:
                self._move_on(x, axes, mean, var)
        y = (wide - mean) * jax.lax.rsqrt(var + self.epsilon)
        y = y if self.scale is None else y * self.scale[...]
        return (y if self.bias is None else y + self.bias[...]).astype(x.dtype)

    def _reduced(self, x: jax.Array) -> tuple[int, ...]:
        """The axes that statistics are of."""
        return tuple(range(x.ndim - 1))

    def _weight_of_past(self) -> Any:
        if self.momentum is not None:
            return self.momentum
        self.count[...] = self.count[...] + 1
        return 1 - 1 / self.count[...].astype(self.mean[...].dtype)

    def _move_on(self, x: jax.Array, axes: tuple[int, ...], mean: Any, var: Any) -> None:
        cells = int(np.prod([x.shape[axis] for axis in axes]))
        if cells < 2:
            raise ValueError(f"inputs must have more than one value a channel, got {x.shape}.")
        if self.mean is None:
            return
        past = self._weight_of_past()
        for kept, seen in ((self.mean, mean), (self.var, var * (cells / (cells - 1)))):
            now = seen.reshape(-1, x.shape[-1]).mean(0)
            kept[...] = (past * kept[...] + (1 - past) * now).astype(kept[...].dtype)


class InstanceNorm(BatchNorm):
    """Each example by its own statistics, unless running ones are kept and it is at rest."""

    def _reduced(self, x: jax.Array) -> tuple[int, ...]:
        return tuple(space(x, self.rank or x.ndim - 2))

    def _weight_of_past(self) -> Any:
        """torch leaves the running statistics where they are without a momentum."""
        return 1.0 if self.momentum is None else self.momentum


class LayerNorm(nnx.Module):
    """By the statistics of torch's last axes, which ``shape`` has the sizes of."""

    def __init__(self, shape: tuple[int, ...], epsilon: float):
        self.shape, self.epsilon = shape, epsilon
        self.scale: Any = nnx.data(None)
        self.bias: Any = nnx.data(None)

    def __call__(self, x: jax.Array) -> jax.Array:
        """``(N, *spatial, C)`` in and out, as torch's ``(N, C, *spatial)``."""
        depth = len(self.shape)
        whole = depth == x.ndim - 1  # the channels, too, which are last here
        end = x.ndim if whole else x.ndim - 1
        axes = tuple(range(end - depth, end))
        sizes = (*self.shape[1:], self.shape[0]) if whole else self.shape
        if depth >= x.ndim or tuple(x.shape[axis] for axis in axes) != sizes:
            raise ValueError(
                f"inputs must end in {self.shape} as torch has them, (N, C, *spatial); got "
                f"{x.shape} with the channels last."
            )
        wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
        y = wide - wide.mean(axes, keepdims=True)
        y = y * jax.lax.rsqrt(wide.var(axes, keepdims=True) + self.epsilon)
        if self.scale is not None:
            y = y * self._laid_out(self.scale[...], whole)
        if self.bias is not None:
            y = y + self._laid_out(self.bias[...], whole)
        return y.astype(x.dtype)

    @staticmethod
    def _laid_out(array: jax.Array, whole: bool) -> jax.Array:
        return jnp.moveaxis(array, 0, -1) if whole else array[..., None]


def _filled(layer: Any, module: Any, shape: tuple[int, ...], names: Any = AFFINE) -> Any:
    """The layer with the module's arrays, or None where the module has none."""
    for name, kind, theirs in names:
        array = parameter(module, theirs, shape)
        setattr(layer, name, nnx.data(None) if array is None else kind(on_jax(theirs, array)))
    return layer


def _torch_filled(module: Any, layer: Any, names: Any = AFFINE) -> Any:
    """The module with the layer's arrays."""
    import torch

    for name, kind, theirs in names:
        variable = getattr(layer, name, None)
        if variable is not None:
            tensor = tensor_of(np.asarray(variable[...]))
            setattr(module, theirs, torch.nn.Parameter(tensor) if kind is nnx.Param else tensor)
    return module


def _running_norm(
    module: Any, rngs: nnx.Rngs, kind: type[BatchNorm], rank: int | None
) -> BatchNorm:
    """At rest where it is at rest."""
    norm = kind(
        module.num_features,
        use_running_average=not module.training,
        epsilon=module.eps,
        use_bias=False,
        use_scale=False,
        rngs=rngs,
    )
    norm.rank = rank
    norm.momentum = None if module.momentum is None else round(1 - module.momentum, 12)
    if module.momentum is None and module.num_batches_tracked is not None:
        norm.count = nnx.BatchStat(jnp.int32(int(module.num_batches_tracked)))
    return _filled(norm, module, (module.num_features,), (*AFFINE, *STATISTICS))


def _torch_batch_norm(nn: Any, layer: nnx.BatchNorm, rank: int) -> Any:
    """Among layers of so many spatial axes."""
    if layer.axis not in (-1, rank + 1):
        raise ValueError(
            f"layer has axis={layer.axis} of channels-last arrays, torch's is that of the "
            "channels: -1."
        )
    rank = getattr(layer, "rank", None) or rank
    name = "InstanceNorm" if isinstance(layer, InstanceNorm) else "BatchNorm"
    module = getattr(nn, f"{name}{rank}d")(
        layer.num_features,
        layer.epsilon,
        None if layer.momentum is None else round(1 - layer.momentum, 12),
        affine=layer.scale is not None,
        track_running_stats=layer.mean is not None,
    )
    count = getattr(layer, "count", None)
    if count is not None:
        module.num_batches_tracked.fill_(int(count[...]))
    module.train(not layer.use_running_average)
    return _torch_filled(module, layer, (*AFFINE, *STATISTICS))


def _layer_norm(module: Any, rngs: nnx.Rngs) -> LayerNorm:
    shape = tuple(module.normalized_shape)
    return _filled(LayerNorm(shape, module.eps), module, shape)


def _torch_layer_norm(nn: Any, layer: LayerNorm, rank: int) -> Any:
    affine, bias = layer.scale is not None, layer.bias is not None
    module = nn.LayerNorm(layer.shape, layer.epsilon, elementwise_affine=affine, bias=bias)
    return _torch_filled(module, layer)


def _group_norm(module: Any, rngs: nnx.Rngs) -> nnx.GroupNorm:
    norm = nnx.GroupNorm(
        module.num_channels,
        module.num_groups,
        epsilon=module.eps,
        use_bias=False,
        use_scale=False,
        use_fast_variance=False,
        rngs=rngs,
    )
    return _filled(norm, module, (module.num_channels,))


def _torch_group_norm(nn: Any, layer: nnx.GroupNorm, rank: int) -> Any:
    affine, groups = layer.scale is not None, layer.num_groups
    without = {"bias": False} if affine and layer.bias is None else {}
    module = nn.GroupNorm(groups, groups * layer.group_size, layer.epsilon, affine, **without)
    return _torch_filled(module, layer)


def _running(kind: type[BatchNorm], rank: int | None) -> Layer:
    return Layer(kind, partial(_running_norm, kind=kind, rank=rank), _torch_batch_norm)


NORMS = {
    **{f"BatchNorm{rank}d": _running(BatchNorm, rank) for rank in (1, 2, 3)},
    "SyncBatchNorm": _running(BatchNorm, None),
    **{f"InstanceNorm{rank}d": _running(InstanceNorm, rank) for rank in (1, 2, 3)},
    "LayerNorm": Layer(LayerNorm, _layer_norm, _torch_layer_norm),
    "GroupNorm": Layer(nnx.GroupNorm, _group_norm, _torch_group_norm),
}
OF_FLAX = {nnx.BatchNorm: _torch_batch_norm}
