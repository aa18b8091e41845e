"""What torch computes of each number: activations, as functions, PReLU, which learns, and dropout.

Some need an axis, too: they are told torch's.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jtconv.interop.numpy_layer import on_jax
from jtconv.interop.torch.arrays import axis_of
from jtconv.interop.torch.table import Function, Layer
from jtconv.interop.torch.tensors import fill, parameter


def gelu(x: jax.Array, approximate: str = "none") -> jax.Array:
    """By the error function, or by tanh."""
    return jax.nn.gelu(x, approximate=approximate == "tanh")


def softplus(x: jax.Array, beta: float = 1.0, threshold: float = 20.0) -> jax.Array:
    """``log(1 + exp(beta * x)) / beta``, and x where beta * x is above the threshold."""
    return jnp.where(x * beta > threshold, x, jax.nn.softplus(x * beta) / beta)


def hardtanh(x: jax.Array, min_val: float = -1.0, max_val: float = 1.0) -> jax.Array:
    """Clipped."""
    return jnp.clip(x, min_val, max_val)


def hardshrink(x: jax.Array, lambd: float = 0.5) -> jax.Array:
    """0 between -lambd and lambd."""
    return jnp.where((x >= -lambd) & (x <= lambd), 0, x)


def softshrink(x: jax.Array, lambd: float = 0.5) -> jax.Array:
    """Nearer to 0 by lambd."""
    return x - jnp.clip(x, -lambd, lambd)


def tanhshrink(x: jax.Array) -> jax.Array:
    """What tanh takes away."""
    return x - jnp.tanh(x)


def threshold(x: jax.Array, threshold: float, value: float) -> jax.Array:
    """x above the threshold, elsewhere the value."""
    return jnp.where(x <= threshold, value, x)


def softmax(x: jax.Array, dim: int | None = None) -> jax.Array:
    """Along torch's axis ``dim``."""
    return jax.nn.softmax(x, _axis(x, dim))


def log_softmax(x: jax.Array, dim: int | None = None) -> jax.Array:
    """Along torch's axis ``dim``."""
    return jax.nn.log_softmax(x, _axis(x, dim))


def softmin(x: jax.Array, dim: int | None = None) -> jax.Array:
    """Along torch's axis ``dim``."""
    return jax.nn.softmax(-x, _axis(x, dim))


def softmax2d(x: jax.Array) -> jax.Array:
    """Along the channels."""
    return jax.nn.softmax(x, -1)


def glu(x: jax.Array, dim: int = -1) -> jax.Array:
    """The first half along torch's axis ``dim``, gated by the second."""
    axis = axis_of(dim, jnp.ndim(x))
    if x.shape[axis] % 2:
        raise ValueError(f"dim={dim} must have an even size, got {x.shape[axis]}.")
    return jax.nn.glu(x, axis)


def _axis(x: jax.Array, dim: int | None) -> int:
    """Without ``dim`` torch takes the first axis of 0, 1 or 3, and else the second."""
    ndim = jnp.ndim(x)
    return axis_of((0 if ndim in (0, 1, 3) else 1) if dim is None else dim, ndim)


class PReLU(nnx.Module):
    """x where it is positive, else ``x * weight``, of which there is one, or one a channel."""

    def __init__(self, weight: jax.Array):
        self.weight = nnx.Param(weight)

    def __call__(self, x: jax.Array) -> jax.Array:
        """``(*batch, C)`` in and out."""
        weight = self.weight[...]
        if weight.size not in (1, x.shape[-1]):
            raise ValueError(
                f"inputs must have the {weight.size} channels of weight, got {x.shape}."
            )
        return jnp.where(x > 0, x, weight * x)


def _prelu(module: Any, rngs: nnx.Rngs) -> PReLU:
    weight = parameter(module, "weight", (module.num_parameters,))
    return PReLU(on_jax("weight", weight))


def _torch_prelu(nn: Any, layer: PReLU, rank: int) -> Any:
    weight = np.asarray(layer.weight[...])
    return fill(nn.PReLU(weight.size), weight=weight)


def _dropout(module: Any, rngs: nnx.Rngs, rank: int) -> nnx.Dropout:
    """Of single numbers, or with a rank of whole channels, which share what is drawn."""
    return nnx.Dropout(
        module.p,
        broadcast_dims=tuple(range(-1 - rank, -1)),
        deterministic=not module.training,
        rngs=rngs,
    )


def _torch_dropout(nn: Any, layer: nnx.Dropout, _: int) -> Any:
    shared = tuple(layer.broadcast_dims)
    rank = len(shared)
    if shared != tuple(range(-1 - rank, -1)) or rank > 3:
        raise ValueError(
            f"layer has broadcast_dims={shared}; torch's have none or all spatial axes, counted "
            "from the end: (-2,), (-3, -2) or (-4, -3, -2)."
        )
    module = getattr(nn, f"Dropout{rank}d" if rank else "Dropout")(layer.rate)
    return module.train(not layer.deterministic)


ACTIVATIONS = {
    "Identity": Function(jax.nn.identity),
    "ReLU": Function(jax.nn.relu),
    "ReLU6": Function(jax.nn.relu6),
    "LeakyReLU": Function(jax.nn.leaky_relu, ("negative_slope",)),
    "ELU": Function(jax.nn.elu, ("alpha",)),
    "CELU": Function(jax.nn.celu, ("alpha",)),
    "SELU": Function(jax.nn.selu),
    "GELU": Function(gelu, ("approximate",)),
    "SiLU": Function(jax.nn.silu),
    "Mish": Function(jax.nn.mish),
    "Softplus": Function(softplus, ("beta", "threshold")),
    "Softsign": Function(jax.nn.soft_sign),
    "Sigmoid": Function(jax.nn.sigmoid),
    "LogSigmoid": Function(jax.nn.log_sigmoid),
    "Hardsigmoid": Function(jax.nn.hard_sigmoid),
    "Hardswish": Function(jax.nn.hard_silu),
    "Tanh": Function(jnp.tanh),
    "Hardtanh": Function(hardtanh, ("min_val", "max_val")),
    "Tanhshrink": Function(tanhshrink),
    "Softshrink": Function(softshrink, ("lambd",)),
    "Hardshrink": Function(hardshrink, ("lambd",)),
    "Threshold": Function(threshold, ("threshold", "value")),
    "Softmax": Function(softmax, ("dim",)),
    "LogSoftmax": Function(log_softmax, ("dim",)),
    "Softmin": Function(softmin, ("dim",)),
    "Softmax2d": Function(softmax2d),
    "GLU": Function(glu, ("dim",)),
}
OTHERS = {
    "PReLU": Layer(PReLU, _prelu, _torch_prelu),
    "Dropout": Layer(nnx.Dropout, partial(_dropout, rank=0), _torch_dropout),
    **{
        f"Dropout{rank}d": Layer(nnx.Dropout, partial(_dropout, rank=rank), _torch_dropout)
        for rank in (1, 2, 3)
    },
}
