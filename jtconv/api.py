"""The front door: parse, choose, run."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jtconv import primitives, request
from jtconv.layout import adjoint_kernel, regroup_kernel
from jtconv.methods import METHODS
from jtconv.request import Op, Request


def conv_transpose(x, w, bias=None, *, stride=1, padding=0, output_padding=0, output_size=None,
    dilation=1, groups=1, dimension_numbers=None, flip_kernel=False, method="auto",
    precision=None, preferred_element_type=None):
    """draft"""
    x, w, bias, result = _operands(x, w, bias, preferred_element_type)
    asked = request.parse("conv_transpose", x.shape, w.shape, stride=stride, padding=padding,
        output_padding=output_padding, output_size=output_size, dilation=dilation, groups=groups,
        dimension_numbers=dimension_numbers)
    return _run(asked, x, w, bias, flip_kernel, method, precision, result)

def conv(x, w, bias=None, *, stride=1, padding=0, dilation=1, groups=1, dimension_numbers=None,
    flip_kernel=False, method="auto", precision=None, preferred_element_type=None):
    """draft"""
    x, w, bias, result = _operands(x, w, bias, preferred_element_type)
    asked = request.parse("conv", x.shape, w.shape, stride=stride, padding=padding,
        dilation=dilation, groups=groups, dimension_numbers=dimension_numbers)
    return _run(asked, x, w, bias, flip_kernel, method, precision, result)

def _operands(x, w, bias, preferred):
    x, w = jnp.asarray(x), jnp.asarray(w)
    return x, w, bias, jnp.dtype(preferred or (jnp.int32 if x.dtype == jnp.int8 else x.dtype))

def kernel_of_the_law(asked: Request, w):
    groups = asked.geometry.groups
    w = asked.layout.enter_kernel(w)
    if asked.op == "conv_transpose":
        return regroup_kernel(w, groups) if asked.kernel_is_adjoint else w
    return jnp.swapaxes(w, -1, -2) if asked.kernel_is_adjoint else adjoint_kernel(w, groups)

def _run(asked, x, w, bias, flip_kernel, method, precision, result):
    w = kernel_of_the_law(asked, w)
    if flip_kernel:
        w = jnp.flip(w, range(asked.layout.rank))
    bind = primitives.dgrad if asked.op == "conv_transpose" else primitives.fprop
    method = (method,) if isinstance(method, str) else tuple(method)
    y = bind(asked.layout.enter(x), w, geometry=asked.geometry, method=method, precision=precision, result=result.name)
    if bias is not None:
        y = y + bias.astype(y.dtype)
    return asked.layout.leave(y)
