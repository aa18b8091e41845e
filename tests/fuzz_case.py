"""What is wrong with one fuzzed case: values, gradients and the derivatives of these."""

from __future__ import annotations

import zlib
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jtconv
from tests import oracle
from tests.cases import Case

Arrays = tuple[np.ndarray, ...]


def trouble(case: Case, op: str, method: str, dtype: str) -> str | None:
    """How the operation differs from the loop, or None. A method may refuse, with its reason."""
    try:
        return _difference(case, op, method, dtype)
    except jtconv.Unsupported:
        return None
    except Exception as error:
        return f"{type(error).__name__}: {str(error).splitlines()[0][:200]}"


def _difference(case: Case, op: str, method: str, dtype: str) -> str | None:
    rng = np.random.default_rng(zlib.crc32(repr(case).encode()))
    x, w, y, tx, tw, ty = (
        rng.integers(-1, 2, shape).astype(float)
        for shape in 2 * (case.x_shape, case.w_shape, case.y_shape)
    )
    a, da, c = (x, tx, y) if op == "conv_transpose" else (y, ty, x)
    want = _wanted(case, op, (a, w, c, da, tw))
    keywords = case.keywords if op == "conv_transpose" else case.adjoint_keywords
    call = partial(getattr(jtconv, op), method=method, **keywords)
    with jax.numpy_dtype_promotion("standard"):
        operands = [jnp.asarray(b, dtype) for b in (a, w, c, da, tw)]
        compute = _value if dtype.startswith("int") else _derivatives
        got = jax.jit(partial(compute, call))(*operands)
    for name, mine, theirs in zip(want, got, want.values(), strict=False):
        if mine.shape != theirs.shape or not np.array_equal(np.asarray(mine, complex), theirs):
            return f"wrong {name}"
    return None


def _value(call: Any, a: Any, w: Any, *_: Any) -> tuple[Any, ...]:
    return (call(a, w),)


def _derivatives(call: Any, a: Any, w: Any, c: Any, da: Any, dw: Any) -> tuple[Any, ...]:
    """The value, its gradients, and how these change: second derivatives, in both modes."""

    def gradients(a: Any, w: Any) -> Any:
        return jax.vjp(call, a, w)[1](c)

    first, second = jax.jvp(gradients, (a, w), (da, dw))
    return call(a, w), *first, *second


def _wanted(case: Case, op: str, arrays: Arrays) -> dict[str, np.ndarray]:
    """The same by loops: the form is linear in each array, so a change is a side of the change."""
    a, w, c, da, dw = arrays
    transposed = op == "conv_transpose"
    there: Any = oracle.conv_transpose if transposed else oracle.conv
    back: Any = oracle.conv if transposed else oracle.conv_transpose

    def by_w(a: np.ndarray, c: np.ndarray) -> np.ndarray:
        return oracle.kernel_gradient(*((a, c) if transposed else (c, a)), case)

    return {
        "value": there(a, w, case),
        "gradient by the input": back(c, w, case),
        "gradient by the kernel": by_w(a, c),
        "derivative of the gradient by the input": back(c, dw, case),
        "derivative of the gradient by the kernel": by_w(da, c),
    }
