"""What is wrong with one fuzzed case: a value, a gradient or the derivative of one."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

import jtconv
from tests import oracle
from tests.fuzz import ASKED, Fuzzed

NAMES = ("a", "w", "c", "da", "dw")


def trouble(fuzzed: Fuzzed) -> str | None:
    """How the answer differs from the loop's, or None. A method may refuse, with its reason."""
    try:
        return _difference(fuzzed)
    except jtconv.Unsupported:
        return None
    except Exception as error:
        return f"{type(error).__name__}: {str(error).splitlines()[0][:200]}"


def _difference(fuzzed: Fuzzed) -> str | None:
    case, transposed = fuzzed.case, fuzzed.op == "conv_transpose"
    rng = np.random.default_rng(zlib.crc32(repr(case).encode()))
    x, w, y, tx, tw, ty = (
        rng.integers(-1, 2, shape).astype(float)
        for shape in 2 * (case.x_shape, case.w_shape, case.y_shape)
    )
    arrays = (x, w, y, tx, tw) if transposed else (y, w, x, ty, tw)
    code, (side, *operands) = ASKED[fuzzed.asked]
    named = dict(zip(NAMES, arrays, strict=True))
    want = sides(fuzzed)[side](*(named[name] for name in operands))
    call = partial(getattr(jtconv, fuzzed.op), **fuzzed.keywords)
    asked = eval(f"lambda {', '.join(NAMES)}: {code}", {"jax": jax, "call": call})
    with jax.numpy_dtype_promotion("standard"):
        got = jax.jit(asked)(*(b.astype(jnp.dtype(fuzzed.dtype)) for b in arrays))
    # Whole numbers, small ones: what is off by less than this is rounding alone.
    close = got.shape == want.shape and np.allclose(np.asarray(got, complex), want, 0, 1e-3)
    return None if close else f"wrong {fuzzed.asked}"


def sides(fuzzed: Fuzzed) -> dict[str, Callable[..., np.ndarray]]:
    """The operation, its adjoint, and the kernel gradient of an input and an output."""
    case = fuzzed.case

    def conv_transpose(x: np.ndarray, w: np.ndarray) -> np.ndarray:
        return oracle.conv_transpose(x, w, case)

    def conv(y: np.ndarray, w: np.ndarray) -> np.ndarray:
        return oracle.conv(y, w, case)

    def kernel(a: np.ndarray, c: np.ndarray) -> np.ndarray:
        return oracle.kernel_gradient(*((a, c) if transposed else (c, a)), case)

    transposed = fuzzed.op == "conv_transpose"
    there, back = (conv_transpose, conv) if transposed else (conv, conv_transpose)
    return {"there": there, "back": back, "kernel": kernel}
