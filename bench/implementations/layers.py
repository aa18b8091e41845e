"""The layers that JAX users have: flax.nnx.ConvTranspose, and equinox's under vmap."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from bench.implementations.lax import flipped, pads
from bench.implementations.modes import jax_program
from bench.problem import Problem
from bench.program import Program, Refused, Variants


def flax(problem: Problem) -> Variants:
    """One variant."""
    return {"": lambda: _flax(problem)}


def equinox(problem: Problem) -> Variants:
    """One variant: channels first, one example at a time."""
    return {"": lambda: _equinox(problem)}


def _flax(problem: Problem) -> Program:
    from flax import nnx

    case = problem.case
    if case.groups > 1 or case.channels_first:
        raise Refused("flax.nnx.ConvTranspose: no groups, channels last only")
    layer = nnx.ConvTranspose(
        *case.channels,
        (case.kernel,) * case.rank,
        strides=(case.stride,) * case.rank,
        padding=pads(case),
        kernel_dilation=(case.dilation,) * case.rank,
        dtype=jnp.dtype(problem.data.dtype),
        param_dtype=jnp.dtype(problem.data.dtype),
        rngs=nnx.Rngs(0),
    )
    graph, _ = nnx.split(layer)

    def operator(x: Any, w: Any, b: Any) -> Any:
        b = jnp.zeros(w.shape[-1:], w.dtype) if b is None else b
        state = nnx.State({"kernel": nnx.Param(w), "bias": nnx.Param(b)})
        return nnx.merge(graph, state)(x)

    return jax_program(problem, operator, flipped(case.rank, False))


def _equinox(problem: Problem) -> Program:
    import equinox

    case = problem.case
    layer = equinox.nn.ConvTranspose(
        case.rank,
        *case.channels,
        case.kernel,
        case.stride,
        padding=case.padding,
        output_padding=case.output_padding,
        dilation=case.dilation,
        groups=case.groups,
        use_bias=True,
        key=jax.random.key(0),
    )
    size = problem.data.expected["y"].shape[1:-1]
    kept = (slice(None), *(slice(0, m) for m in size))  # the trim of the network

    def operator(x: Any, w: Any, b: Any) -> Any:
        b = jnp.zeros(w.shape[:1], w.dtype) if b is None else b
        b = b.reshape(-1, *(1,) * case.rank)
        mine = equinox.tree_at(lambda one: (one.weight, one.bias), layer, (w, b))
        return jax.vmap(lambda one: mine(one)[kept])(x)

    return jax_program(problem, operator, flipped(case.rank, True), channels_first=True)
