"""Matrix products, each in the form that XLA runs fastest.

XLA:CPU hands a product to YNNPACK, Eigen's contraction or Eigen's convolution, which differ by up
to a factor of two, and small changes of form decide which.  ``g`` in an
equation is the axis of groups; ``m`` are rows, the largest axis by far.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax

from jtconv.devices import GPUS
from jtconv.problem.task import Task

# Products whose operands are laid out as a convolution with a kernel of size 1 wants them.
_PLAIN = ("mc,cn->mn", "mn,nc->mc")


def einsum(equation: str, a: jax.Array, b: jax.Array, task: Task) -> jax.Array:
    """``jnp.einsum`` with the task's precision and accumulator.

    A group letter ``g`` in front is dropped where there is one group: XLA's fast products
    are the ones without a batch.
    """
    if _is_misread(task):
        a, b = a.astype(task.accumulator), b.astype(task.accumulator)
    single = task.groups == 1 and equation.startswith("g")
    if single:
        equation, a, b = equation.replace("g", ""), a[0], b[0]
    if single and _is_tall(equation, a, b, task):
        return _as_convolution(a, b, task)[None]
    c = jnp.einsum(
        equation, a, b, precision=task.precision, preferred_element_type=task.accumulator
    )
    return c[None] if single else c


def correlate(a: jax.Array, b: jax.Array, task: Task) -> jax.Array:
    """``(g, M, C)`` transposed times ``(g, M, N)``: the product of every kernel gradient.

    XLA:CPU runs it in one of three ways.  Where ``a`` is narrow (or half floats), a
    transpose first reaches the faster library; behind a barrier, or XLA undoes it.  Where the
    sum is very long and the result small, both cores are busy only if it is cut in two.  Of two
    the narrow one is better transposed.
    """
    rows, size = a.shape[1], a.shape[2] * b.shape[2]
    known = task.platform == "cpu" and isinstance(rows, int)
    single = task.groups == 1
    if known and a.shape[2] >= 4 * b.shape[2]:
        return jnp.swapaxes(correlate(b, a, task), 1, 2)
    if known and (task.is_half or (single and rows < 8192 and a.shape[2] <= 64)):
        transposed = lax.optimization_barrier(jnp.swapaxes(a, 1, 2))
        return einsum("gcm,gmn->gcn", transposed, b, task)
    if known and single and rows >= 8192 and rows % 2 == 0 and size <= 2**15:
        first, second = (part.reshape(2, rows // 2, part.shape[2]) for part in (a, b))
        halves = einsum("hmc,hmn->hcn", first, second, task)
        return jnp.sum(halves, axis=0, keepdims=True)
    return einsum("gmc,gmn->gcn", a, b, task)


def _is_misread(task: Task) -> bool:
    """What XLA:GPU multiplies wrongly as it is, on an H200 with jax 0.11.2.

    Products of int8 came out doubled, and those asked for in float64 were sums in float32.
    """
    narrow = jnp.issubdtype(task.dtype, jnp.integer) or task.accumulator.itemsize == 8
    return task.platform in GPUS and narrow and task.dtype != task.accumulator


def _is_tall(equation: str, a: jax.Array, b: jax.Array, task: Task) -> bool:
    """Whether XLA:CPU multiplies this faster as a convolution: float32 and many rows."""
    plain = task.platform == "cpu" and task.dtype.name == "float32" and equation in _PLAIN
    return plain and isinstance(a.shape[0], int) and a.shape[0] >= 4 * b.shape[1] >= 1024


def _as_convolution(a: jax.Array, b: jax.Array, task: Task) -> jax.Array:
    """``a @ b`` as a convolution of kernel size 1, which Eigen's threads run, not YNNPACK's."""
    return lax.conv_general_dilated(
        a[None],
        b[None],
        (1,),
        "VALID",
        dimension_numbers=("NWC", "WIO", "NWC"),
        precision=task.precision,
        preferred_element_type=task.accumulator,
    )[0]
