"""dense: groups as fewer and wider ones, with a kernel that is zero between those it joins.

    w'[t, (a, c), (b, o)] = w[t, c, (b, o)] if a = b else 0        a, b: groups of one block

A matrix unit takes 128 channels at a time and as long for 8 of them, and XLA:TPU's grouped
convolution keeps float32 copies of everything besides.  So as many groups are joined as fill 128
channels, and the products with zeros cost nothing that was not paid already: 8 to 12 times less
than the groups by themselves.  In the kernel gradient the blocks on the diagonal are kept.

Zeros are multiplied: an infinity or a NaN in one group reaches those joined with it.
"""

from __future__ import annotations

import math
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np

from jtconv.algorithms.common import work as count
from jtconv.algorithms.common import xla_conv
from jtconv.algorithms.common.work import Work
from jtconv.problem.geometry import Geometry
from jtconv.problem.task import LANES, ROLES, Cost, Task

# The kernel may take so many times the operands, or so many bytes.
MOST_TIMES = 8
MOST_BYTES = 64 * 2**20


def refuse(task: Task) -> str | None:
    """The kernel and its zeros must fit in memory; what is one group already has no zeros."""
    held = _kernel_bytes(task)
    if _joined(task) > 1 and held > max(MOST_BYTES, MOST_TIMES * task.operand_bytes):
        return (
            f"its kernel with zeros would hold {held / 2**20:.0f} MiB, "
            f"more than {MOST_TIMES} times the operands"
        )
    return xla_conv.refuse(task)


def cost(task: Task) -> Cost:
    """Products with zeros count, and the kernel that has them is held."""
    held = _kernel_bytes(task) if _joined(task) > 1 else 0
    return Cost(xla_conv.cost(_dense(task)).multiply_adds, held)


def work(task: Task) -> Work:
    """That of the convolution in fewer groups, and the kernel with its zeros written."""
    dense = _dense(task)
    zeros = count.moved("copied", dense.w_elements, task.y_channels_per_group)
    return count.total(xla_conv.work(dense), zeros if _joined(task) > 1 else {}, count.CALL)


def spreads(task: Task) -> str:
    """What XLA's convolution spreads; and where groups are joined, both."""
    return xla_conv.spreads(task) if _joined(task) == 1 else ROLES[task.side][:2]


def dgrad(x: jax.Array, w: jax.Array, task: Task) -> jax.Array:
    """x, w -> y."""
    return xla_conv.dgrad(x, _block_diagonal(w, task), _dense(task))


def fprop(y: jax.Array, w: jax.Array, task: Task) -> jax.Array:
    """y, w -> x."""
    return xla_conv.fprop(y, _block_diagonal(w, task), _dense(task))


def wgrad(x: jax.Array, y: jax.Array, task: Task) -> jax.Array:
    """x, y -> w."""
    return _diagonal(xla_conv.wgrad(x, y, _dense(task)), task)


def _joined(task: Task) -> int:
    """How many groups make one: the fewest that fill the lanes, or all of them."""
    wide = max(task.x_channels_per_group, task.y_channels_per_group)
    divisors = (n for n in range(1, task.groups + 1) if task.groups % n == 0)
    return next((n for n in divisors if n * wide >= LANES), task.groups)


def _dense(task: Task) -> Task:
    """The same problem in fewer groups."""
    geometry = Geometry(task.geometry.axes, task.groups // _joined(task))
    return replace(task, geometry=geometry)


def _kernel_bytes(task: Task) -> int:
    """Of the kernel with zeros: an operand, or the result of which the diagonal is kept."""
    dtype = task.accumulator if task.side == "wgrad" else task.dtype
    rows = _joined(task) * task.x_channels_per_group
    numbers = task.tiled(task.w_elements * _joined(task), rows, task.y_channels)
    return numbers * dtype.itemsize


def _block_diagonal(w: jax.Array, task: Task) -> jax.Array:
    """``(*k, c, g * o)`` to ``(*k, n * c, g * o)`` for ``n`` groups to join."""
    joined, *kernel = _joined(task), *task.geometry.kernel
    if joined == 1:
        return w
    c, o = task.x_channels_per_group, task.y_channels_per_group
    w = w.reshape(*kernel, 1, c, task.groups // joined, joined, o)
    w = jnp.where(_eye(joined, len(kernel)), w, jnp.zeros((), w.dtype))
    return w.reshape(*kernel, joined * c, task.y_channels)


def _diagonal(w: jax.Array, task: Task) -> jax.Array:
    """The way back."""
    joined, *kernel = _joined(task), *task.geometry.kernel
    if joined == 1:
        return w
    c, o = task.x_channels_per_group, task.y_channels_per_group
    w = w.reshape(*kernel, joined, c, task.groups // joined, joined, o)
    w = jnp.where(_eye(joined, len(kernel)), w, jnp.zeros((), w.dtype))
    w = jnp.sum(w, axis=len(kernel), dtype=w.dtype)
    return w.reshape(*kernel, c, math.prod(w.shape[-3:]))


def _eye(n: int, rank: int) -> np.ndarray:
    """Where the group of x is that of y, in arrays ``(*k, n, c, blocks, n, o)``."""
    return np.eye(n, dtype=bool).reshape(*(1,) * rank, n, 1, 1, n, 1)
