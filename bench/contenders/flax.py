"""flax.nnx.ConvTranspose: the layer most JAX users have."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

from bench.contenders.lax import pads
from bench.contenders.setting import Setting, jax_program
from bench.program import Program, Refused


def ways(setting: Setting) -> dict:
    """One way; sides alone are no business of a layer."""
    return {"": lambda: _layer(setting)}


def _layer(setting: Setting) -> Program:
    from flax import nnx

    case = setting.case
    if case.groups > 1 or case.channels_first:
        raise Refused("flax.nnx.ConvTranspose: no groups, channels last only")
    layer = nnx.ConvTranspose(
        *case.channels,
        (case.kernel,) * case.rank,
        strides=(case.stride,) * case.rank,
        padding=pads(case),
        kernel_dilation=(case.dilation,) * case.rank,
        dtype=jnp.dtype(setting.data.dtype),
        param_dtype=jnp.dtype(setting.data.dtype),
        rngs=nnx.Rngs(0),
    )
    graph, _ = nnx.split(layer)

    def operator(x, w, b):
        b = jnp.zeros(w.shape[-1:], w.dtype) if b is None else b
        state = nnx.State({"kernel": nnx.Param(w), "bias": nnx.Param(b)})
        return nnx.merge(graph, state)(x)

    space = tuple(range(case.rank))
    flipped = (lambda w: np.flip(w, space),) * 2
    return jax_program(setting, operator, flipped)
