"""What two experimental transformations of JAX are told of our primitives, in their own tables.

``jax.experimental.jet`` pushes Taylor series forward.  Sides are bilinear, so their coefficients
multiply as those of polynomials do:

    y[k] = sum over j of T(a[j], b[k - j])

``checkify`` reports the primitive that made a NaN; ours are looked at as XLA's convolution is.
Both modules are as good as imported with JAX (jet takes a millisecond), so that this costs nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
from jax import lax
from jax.experimental import checkify, jet
from jax.extend.core import Primitive

Bind = Callable[..., jax.Array]


def register(primitive: Primitive, bind: Bind, bare: Bind) -> None:
    """Rules of a side, or of a side plus a bias, for which ``bare`` is the side alone."""
    jet.jet_rules[primitive] = partial(_series, bind, bare)
    # The table has no public name: it is beside the function that reads it.
    checks = vars(sys.modules[checkify.checkify.__module__]).get("error_checks", {})
    if lax.conv_general_dilated_p in checks:
        checks[primitive] = partial(checks[lax.conv_general_dilated_p].func, primitive)


def _series(
    bind: Bind, bare: Bind, primals: Sequence[Any], series: Sequence[Any], **params: Any
) -> tuple[jax.Array, list[jax.Array]]:
    """Coefficients of the result: each has the bias's own, added to the first of its products."""
    a, b, *bias = ([primal, *terms] for primal, terms in zip(primals, series, strict=True))
    coefficients = []
    for k in range(len(a)):
        products = (bare(a[j], b[k - j], **params) for j in range(1, k + 1))
        coefficients.append(sum(products, bind(a[0], b[k], *(c[k] for c in bias), **params)))
    return coefficients[0], coefficients[1:]
