"""The front door of explain: check the call, and gather what is to be said of it."""

from __future__ import annotations

import math
from typing import Any

import jax

from jtconv import operands, request, words
from jtconv.choose import parse_method
from jtconv.plan.axes import axis_plans
from jtconv.plan.plan import Plan
from jtconv.plan.sides import forward_task, side_plans
from jtconv.request import Op, Request


def explain(
    x: Any,
    w: Any,
    bias: Any = None,
    *,
    op: Op = "conv_transpose",
    time: bool = False,
    **keywords: Any,
) -> Plan:
    """What a call would do: law, sizes, costs, other frameworks' words, and the methods.

    Args:
        x, w, bias: arrays, or ``jax.ShapeDtypeStruct``; only shape and dtype are looked at.
        op: "conv_transpose" or "conv".
        time: measure every method on every side, too: some seconds, on numbers made up here.
        **keywords: those of the operation.

    Returns:
        A :class:`Plan`; print it.

    Raises:
        ValueError, TypeError: exactly as the operation would.

    The receptive field and the sizes are those of Dumoulin and Visin (arXiv:1603.07285), uneven
    overlap is what Odena et al. call a checkerboard (Distill, 2016).

    >>> import jax.numpy as jnp
    >>> plan = explain(jnp.zeros((1, 2, 2, 1)), jnp.zeros((4, 4, 1, 1)), stride=3)
    >>> plan.output_shape, plan.multiply_adds, plan.receptive_field
    ((1, 7, 7, 1), 64, (2, 2))
    >>> plan.axes[0].law, plan.axes[0].reachable
    ('y[3*i + t] += x[i] * w[t]', range(7, 10))
    """
    if not isinstance(op, str) or op not in request.SIDES:
        raise ValueError(f"op must be 'conv_transpose' or 'conv', got {op!r}.")
    x, w = _checked("x", x), _checked("w", w)
    operands.check_same_dtype(x, "w", w)
    wanted = parse_method(keywords.pop("method", "auto"))
    precision = operands.precision(keywords.pop("precision", None))
    result = operands.result_dtype(x.dtype, keywords.pop("preferred_element_type", None))
    flip = operands.flag("flip_kernel", keywords.pop("flip_kernel", False))
    timed = operands.flag("time", time)
    asked = request.of_shapes(op, x.shape, w.shape, keywords, names=("x", "w"))
    if bias is not None:
        operands.check_bias(_checked("bias", bias), asked.out_channels, x)
    layer = words.Layer(asked, bias is not None, flip)
    task = forward_task(asked, x.dtype, precision, result)
    return Plan(
        request=asked,
        input_shape=tuple(x.shape),
        output_shape=asked.output_shape,
        parameters=math.prod(w.shape) + (asked.out_channels if bias is not None else 0),
        multiply_adds=task.multiply_adds,
        dense_multiply_adds=_dense(asked, task.batch * task.depth * task.out_channels),
        axes=axis_plans(layer, keywords.get("padding", 0)),
        words=words.say(layer),
        sides=side_plans(asked, wanted, task, timed),
    )


def _checked(name: str, value: Any) -> jax.ShapeDtypeStruct:
    """The shape, and the dtype the array would have in JAX (float32 for float64 without x64)."""
    if not hasattr(value, "shape") or not hasattr(value, "dtype"):
        raise TypeError(
            f"{name} must be an array or a jax.ShapeDtypeStruct, got {type(value).__name__}."
        )
    operands.dtype_of(name, value)
    return jax.ShapeDtypeStruct(value.shape, jax.dtypes.canonicalize_dtype(value.dtype))


def _dense(asked: Request, products_a_tap: int) -> int:
    """Multiply-adds of a plain convolution of the picture with all its zeros."""
    g = asked.geometry
    cells = g.output if asked.op == "conv_transpose" else g.input
    return math.prod(cells) * math.prod(g.kernel) * products_a_tap
