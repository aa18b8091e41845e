"""The mirror image of a problem of stride 1: x and y trade places, and the kernel is turned round.

Where x is the narrow side, patches of x are less to write than stamps as wide as y, and the
products of `stamps` are the fast ones of XLA:CPU.
"""

from __future__ import annotations

from dataclasses import replace

import jax
from jax import lax

from jtconv.geometry import Axis, Geometry
from jtconv.layout import adjoint_kernel
from jtconv.methods import stamps
from jtconv.methods.task import Task


def dgrad(x: jax.Array, w: jax.Array, task: Task) -> jax.Array:
    """x, w -> y."""
    return stamps.fprop(x, _kernel(w, task), _image(task))


def fprop(y: jax.Array, w: jax.Array, task: Task) -> jax.Array:
    """y, w -> x."""
    return stamps.dgrad(y, _kernel(w, task), _image(task))


def wgrad(x: jax.Array, y: jax.Array, task: Task) -> jax.Array:
    """x, y -> w."""
    return _kernel(stamps.wgrad(y, x, _image(task)), task)


def axis(a: Axis) -> Axis:
    """The mirror image of an axis of stride 1."""
    return Axis(a.output, a.kernel, a.input, 1, a.dilation, a.effective_kernel - 1 - a.lo)


def _image(task: Task) -> Task:
    return replace(
        task,
        geometry=Geometry(tuple(axis(a) for a in task.geometry), task.groups),
        channels=task.out_channels,
        out_channels=task.channels,
    )


def _kernel(w: jax.Array, task: Task) -> jax.Array:
    return adjoint_kernel(lax.rev(w, range(len(task.geometry))), task.groups)
