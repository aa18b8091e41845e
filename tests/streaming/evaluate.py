"""A function of JAX evaluated by NumPy, our primitives by the loops of the oracle.

Compiling is what takes time where every problem has other shapes: without it, thousands of random
ones are looked at in minutes, and no method has a part in it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tests import oracle
from tests.cases import Case


def evaluate(function: Callable[..., Any], *operands: Any) -> Any:
    """What ``function`` returns, without XLA."""
    closed, shape = jax.make_jaxpr(function, return_shape=True)(*operands)
    leaves = _run(closed.jaxpr, closed.consts, jax.tree.leaves(operands))
    return jax.tree.unflatten(jax.tree.structure(shape), leaves)


def _run(jaxpr: Any, consts: Any, operands: Any) -> list[np.ndarray]:
    values = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*consts, *operands], strict=True))

    def read(atom: Any) -> np.ndarray:
        return np.asarray(atom.val if hasattr(atom, "val") else values[atom])

    for eqn in jaxpr.eqns:
        name, args = eqn.primitive.name, [read(atom) for atom in eqn.invars]
        if name in ("jit", "pjit"):
            inner = eqn.params["jaxpr"]
            results = _run(inner.jaxpr, inner.consts, args)
        elif name.startswith("jtconv_"):
            results = [_side(name.split("_")[1], *args, **eqn.params)]
        else:
            found = RULES[name](*args, **eqn.params)
            results = found if eqn.primitive.multiple_results else [found]
        values.update(zip(eqn.outvars, results, strict=True))
    return [read(atom) for atom in jaxpr.outvars]


def _side(side: str, a: Any, w: Any, bias: Any = 0, *, geometry: Any, result: str, **_: Any) -> Any:
    g = geometry
    case = Case(
        name=side,
        x_size=g.x_size,
        kernel=g.kernel,
        stride=g.stride,
        dilation=g.dilation,
        crops=g.crops,
        channels=g.groups * w.shape[-2],
        features=w.shape[-1],
        groups=g.groups,
        batch=a.shape[0],
    )
    run = oracle.conv_transpose if side == "dgrad" else oracle.conv
    return (run(a, w, case) + oracle.wide(bias)).astype(jnp.dtype(result))


def _pad(a: Any, value: Any, *, padding_config: Any) -> np.ndarray:
    assert all(inside == 0 for *_, inside in padding_config)
    return np.pad(a, [pair[:2] for pair in padding_config], constant_values=value)


def _broadcast(a: Any, *, shape: Any, broadcast_dimensions: Any, **_: Any) -> np.ndarray:
    sizes = dict(zip(broadcast_dimensions, a.shape, strict=True))
    return np.broadcast_to(a.reshape([sizes.get(i, 1) for i in range(len(shape))]), shape)


def _slice(a: Any, *, start_indices: Any, limit_indices: Any, strides: Any) -> np.ndarray:
    steps = strides or (1,) * a.ndim
    return a[tuple(map(slice, start_indices, limit_indices, steps))]


RULES: dict[str, Callable[..., Any]] = {
    "add": lambda a, b: a + b,
    "broadcast_in_dim": _broadcast,
    "concatenate": lambda *parts, dimension: np.concatenate(parts, dimension),
    "convert_element_type": lambda a, *, new_dtype, **_: a.astype(new_dtype),
    "pad": _pad,
    "reshape": lambda a, *, new_sizes, **_: a.reshape(new_sizes),
    "rev": lambda a, *, dimensions: np.flip(a, dimensions),
    "slice": _slice,
    "split": lambda a, *, sizes, axis: np.split(a, np.cumsum(sizes)[:-1], axis),
    "squeeze": lambda a, *, dimensions: np.squeeze(a, dimensions),
    "transpose": lambda a, *, permutation: np.transpose(a, permutation),
}
