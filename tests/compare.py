"""How close is close: the only place where tolerances are set.

A method may add the products of one cell in any order and round a few times on the way, so
what it may err by is a few units in the last place of the largest partial sum.  Partial sums
here are of some tens of products of normal numbers, none much larger than the largest result,
which is what errors are measured against.  A wrong tap or a lost one errs by about that result
itself: sixty tolerances away in bfloat16, millions in float32.
"""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np

ROUNDINGS = 16  # units in the last place allowed, relative to the largest result
# Half precisions hold sums in float32 and round the result, or each of a few parts, once.
HALF_ROUNDINGS = 2


def tolerance(dtype: Any) -> float:
    """What a result of this dtype may err by, relative to the largest one."""
    dtype = jnp.dtype(dtype)
    if not jnp.issubdtype(dtype, jnp.inexact):
        return 0.0
    roundings = HALF_ROUNDINGS if dtype.itemsize == 2 else ROUNDINGS
    return roundings * float(jnp.finfo(dtype).eps)


def assert_close(got: Any, want: Any, dtype: Any = None, slack: float = 1.0) -> None:
    """Shapes equal, and values as close as ``dtype`` (that of ``got``) allows.

    ``slack`` multiplies the tolerance, for results of several operations in a row.
    """
    dtype = jnp.dtype(got.dtype if dtype is None else dtype)
    got, want = np.asarray(got), np.asarray(want)
    assert got.shape == want.shape
    if got.size == 0:
        return
    kind = np.result_type(want.dtype, np.complex128 if want.dtype.kind == "c" else np.float64)
    got, want = got.astype(kind), want.astype(kind)
    # The largest result, or the size of one product where everything cancels.
    scale = max(float(np.abs(want).max()), 1.0)
    worst = float(np.abs(got - want).max())
    assert worst <= slack * tolerance(dtype) * scale, (
        f"off by {worst:.3g}, {worst / scale:.3g} of the largest value; "
        f"{dtype} may err by {slack * tolerance(dtype):.3g}"
    )
