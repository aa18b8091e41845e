"""A tag on equations, and a rule that lowers the convolutions which bear it.

``set_xla_metadata`` puts a tag on every equation that is traced under it, at any depth: inside
``jit``, ``scan`` and ``checkpoint``, and on the equations of gradients.  Lowering finds it again
with the equation, when the platform is known and everything else of JAX has been done.

This file holds all that jtconv uses of JAX without its being documented: the tables of lowering
rules, from which JAX's own rule for a convolution is taken, and where a rule finds the tag.  It was
tried with jax 0.10.2 to 0.12.0, and looks whether it works before it is relied upon.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental.xla_metadata import set_xla_metadata
from jax.interpreters import mlir

from jtconv.devices import PLATFORMS


@dataclass(frozen=True)
class Equation:
    """A ``conv_general_dilated`` as it is traced: abstract values and parameters."""

    lhs: Any
    rhs: Any
    out: Any
    params: Mapping[str, Any]


Compute = Callable[[jax.Array, jax.Array], jax.Array]
# What computes an equation that bears a tag on a platform, or None to leave it to JAX's own rule.
Rule = Callable[[Equation, str, str], Compute | None]


def tagged(value: str) -> AbstractContextManager[Any]:
    """Equations traced inside bear the tag ``value``."""
    manager: AbstractContextManager[Any] = set_xla_metadata(jtconv=value)
    return manager


def untagged(context: Any = None) -> AbstractContextManager[Any]:
    """Equations traced inside bear no tag; a ``context`` of lowering that has none is kept."""
    if context is not None and of(context.jaxpr_eqn_ctx) is None:
        return nullcontext()
    manager: AbstractContextManager[Any] = set_xla_metadata(jtconv=None)
    return manager


def of(context: Any) -> str | None:
    """The tag in the context of an equation (``eqn.ctx``)."""
    tag: str | None = (context.xla_metadata or {}).get("jtconv")
    return tag


@cache
def install(rule: Rule) -> bool:
    """Lower convolutions that bear a tag by ``rule`` from now on; whether this JAX allows it.

    All others, and those it leaves, are lowered by the rule that JAX has for them.
    """
    try:
        before = _registered()
        works = _is_reached(rule, before)
    except (AttributeError, KeyError, TypeError):
        works = False
    if not works:
        warnings.warn(
            f"jtconv.accelerate does not know the inside of jax {jax.__version__} (it was tried "
            "with 0.10.2 to 0.12.0): functions are left as they are. Use one of these, a later "
            "jtconv, or jtconv.nnx.ConvTranspose, jtconv.conv and their like.",
            stacklevel=4,
        )
    return works


Entries = dict[str | None, Any]


def _registered() -> Entries:
    """JAX's rules for a convolution: by platform, and under None the one of all others."""
    primitive = lax.conv_general_dilated_p
    general = mlir._lowerings[primitive]
    known = mlir._platform_specific_lowerings
    return {name: known[name].get(primitive, general) for name in PLATFORMS} | {None: general}


def _register(entries: Entries, rule: Rule | None) -> None:
    """Let ``rule`` be asked first, or nothing but JAX's own rules."""
    for platform, entry in entries.items():
        lower = partial(_lower, rule, platform or "other", entry.rule) if rule else entry.rule
        mlir.register_lowering(
            lax.conv_general_dilated_p, lower, platform=platform, inline=entry.inline
        )


def _lower(
    rule: Rule, platform: str, original: Any, context: Any, lhs: Any, rhs: Any, **params: Any
) -> Any:
    """A rule for lowering: JAX's own for what bears no tag and for what is left alone."""
    tag = of(context.jaxpr_eqn_ctx)
    if tag is None:
        return original(context, lhs, rhs, **params)
    (lhs_aval, rhs_aval), (out_aval,) = context.avals_in, context.avals_out
    compute = rule(Equation(lhs_aval, rhs_aval, out_aval, params), platform, tag)
    with untagged():  # what this is lowered to is final
        if compute is None:
            return original(context, lhs, rhs, **params)
        return mlir.lower_fun(compute, multiple_results=False)(context, lhs, rhs)


def _is_reached(rule: Rule, entries: Entries) -> bool:
    """Register ``rule``, if rules are asked about a convolution under a tag, and about no other."""
    asked: list[str] = []

    def probe(equation: Equation, platform: str, tag: str) -> None:
        asked.append(tag)

    def conv(x: jax.Array) -> jax.Array:
        return lax.conv(x, x, (1,), "VALID")

    x = jax.ShapeDtypeStruct((1, 1, 1), jnp.float32)
    _register(entries, probe)
    try:
        jax.jit(conv).trace(x).lower(lowering_platforms=("cpu",))
        with tagged("probe"):
            jax.jit(conv).trace(x).lower(lowering_platforms=("cpu",))
    finally:
        works = asked == ["probe"]
        _register(entries, rule if works else None)
    return works
