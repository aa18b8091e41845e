"""equinox.nn.ConvTranspose under vmap: channels first, one example at a time."""

from __future__ import annotations

import jax
import numpy as np

from bench.contenders.setting import Setting, jax_program
from bench.program import Program


def ways(setting: Setting) -> dict:
    """One way."""
    return {"": lambda: _layer(setting)}


def _layer(setting: Setting) -> Program:
    import equinox

    case = setting.case
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
    size = setting.data.expected["y"].shape[1:-1]
    kept = (slice(None), *(slice(0, m) for m in size))  # the trim of the network

    def operator(x, w, b):
        b = jax.numpy.zeros(w.shape[:1], w.dtype) if b is None else b
        b = b.reshape(-1, *(1,) * case.rank)
        mine = equinox.tree_at(lambda one: (one.weight, one.bias), layer, (w, b))
        return jax.vmap(lambda one: mine(one)[kept])(x)

    return jax_program(setting, operator, _kernel(case.rank), channels_first=True)


def _kernel(rank: int):
    space = tuple(range(rank))
    after = tuple(range(2, rank + 2))
    return (
        lambda w: np.moveaxis(np.flip(w, space), (-1, -2), (0, 1)),
        lambda w: np.moveaxis(np.flip(w, after), (0, 1), (-1, -2)),
    )
