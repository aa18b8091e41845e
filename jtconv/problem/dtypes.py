"""What counts as an array here, and which dtypes go together."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

FLOATS = ("float16", "bfloat16", "float32", "float64")
COMPLEXES = ("complex64", "complex128")
INTEGERS = ("int8", "int16", "int32", "int64")
DTYPES = (*FLOATS, *COMPLEXES, *INTEGERS)
KINDS = (FLOATS, COMPLEXES, INTEGERS)


def check_array(name: str, value: Any) -> None:
    """Lists and numbers are no arrays."""
    if value is None or isinstance(value, list | tuple | dict | str | bool | int | float | complex):
        raise TypeError(
            f"{name} must be an array (JAX or NumPy), got {type(value).__name__}: "
            f"wrap it as jnp.asarray({name})."
        )


def array(name: str, value: Any) -> jax.Array:
    """``value`` as a JAX array of a dtype that can be convolved; lists are not arrays."""
    if isinstance(value, jax.Array) and value.dtype.name in DTYPES:
        return value
    check_array(name, value)
    if hasattr(value, "dtype"):
        dtype_of(name, value)
    try:
        result = jnp.asarray(value)
    except (TypeError, ValueError):
        raise TypeError(
            f"{name} must be an array (JAX or NumPy), got {type(value).__name__}."
        ) from None
    dtype_of(name, result)
    return result


def dtype_of(name: str, value: Any) -> str:
    """The name of an array's dtype, where it is one of :data:`DTYPES`."""
    dtype = str(value.dtype).removeprefix("torch.")
    if dtype in DTYPES:
        return dtype
    if dtype == "bool":
        raise TypeError(f"{name} is bool, which has no sums: cast it, {name}.astype(jnp.float32).")
    # XLA:GPU knows 8-bit floats in forward convolutions only; bfloat16 holds them all.
    wide = "bfloat16" if dtype.startswith("float8") else "float32"
    raise TypeError(
        f"{name} must have one of the dtypes {', '.join(DTYPES)}, got {dtype}: "
        f"cast it, {name}.astype(jnp.{wide})."
    )


def check_same_dtype(x: Any, name: str, other: Any, x_name: str = "x") -> None:
    """Mixed dtypes are an error that says how to cast, as in lax."""
    if x.dtype != other.dtype:
        raise TypeError(
            f"{name} must have the dtype of {x_name}, {x.dtype}, got {other.dtype}: cast one of "
            f"them, {name}.astype({x_name}.dtype) or {x_name}.astype({name}.dtype)."
        )


def check_bias(bias: Any, out_channels: int, x: Any) -> None:
    """A bias is one number per output channel."""
    if tuple(bias.shape) != (out_channels,):
        raise ValueError(
            f"bias must have shape (C_out,) = ({out_channels},), got {tuple(bias.shape)}."
        )
    check_same_dtype(x, "bias", bias)


def result_dtype(dtype: Any, preferred: Any) -> str:
    """The dtype of the result: as asked, else int32 for small integers, else that of x."""
    name = jnp.dtype(dtype).name
    if preferred is None:
        return "int32" if name in ("int8", "int16") else name
    wanted = element_type(preferred)
    kind = next(kind for kind in KINDS if name in kind)
    if wanted not in kind:
        raise TypeError(
            f"preferred_element_type must be one of {', '.join(kind)} for {name} operands, "
            f"got {wanted}."
        )
    return wanted


def common(one: Any, other: Any) -> Any:
    """The dtype that holds both, whatever ``jax.numpy_dtype_promotion`` lets users mix."""
    with jax.numpy_dtype_promotion("standard"):
        return jnp.promote_types(one, other)


def element_type(preferred: Any) -> str:
    """The name of a dtype a result may have."""
    try:
        wanted = jax.dtypes.canonicalize_dtype(jnp.dtype(preferred)).name
    except TypeError:
        raise TypeError(f"preferred_element_type must be a dtype, got {preferred!r}.") from None
    if wanted not in DTYPES:
        raise TypeError(f"preferred_element_type must be one of {', '.join(DTYPES)}, got {wanted}.")
    return wanted


def precision(value: Any) -> Any:
    """``precision`` as None or one ``lax.Precision``, the finer where two are given."""
    if value is None:
        return None
    if isinstance(value, tuple | list) and len(value) == 2:
        # The sides of the law swap their operands, so the finer of the two is used for both.
        halves = [_one_precision(half or lax.Precision.DEFAULT, value) for half in value]
        return max(halves, key=lambda half: list(lax.Precision).index(half))
    return _one_precision(value, value)


def _one_precision(value: Any, given: Any) -> lax.Precision:
    try:
        return lax.Precision(value)
    except (ValueError, TypeError):
        names = ", ".join(repr(p.name.lower()) for p in lax.Precision)
        raise ValueError(
            f"precision must be None, a jax.lax.Precision, one of {names}, or a pair of these, "
            f"got {given!r}."
        ) from None


def flag(name: str, value: Any) -> bool:
    """A bool, and nothing that merely has a truth value."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} must be True or False, got {value!r}.")
    return bool(value)
