"""What a table of torch's classes is made of: how each one moves to flax.nnx, and back."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from flax import nnx


@dataclass(frozen=True)
class Function:
    """A module without parameters: a function, called with the module's attributes.

    Its keywords have torch's names, so that they make the module again.
    """

    function: Callable[..., Any]
    arguments: tuple[str, ...] = ()
    fixed: Mapping[str, Any] = field(default_factory=dict)  # keywords that the class implies
    must: Mapping[str, Any] = field(default_factory=dict)  # attributes that have one value here

    def to_nnx(self, module: Any, rngs: nnx.Rngs) -> Callable[..., Any]:
        """The function, with the module's arguments."""
        for name, value in self.must.items():
            if getattr(module, name) != value:
                raise TypeError(f"{name}={getattr(module, name)!r} has no counterpart here.")
        keywords = {name: getattr(module, name) for name in self.arguments} | dict(self.fixed)
        return functools.partial(self.function, **keywords) if keywords else self.function

    def from_nnx(self, made: Callable[..., Any], layer: Any) -> Any:
        """The module of this class, or None where the layer is not its function."""
        keywords = dict(getattr(layer, "keywords", {}))
        if bare(layer) is not self.function:
            return None
        if any(keywords.pop(name, None) != value for name, value in self.fixed.items()):
            return None
        return made(**keywords) if keywords.keys() <= set(self.arguments) else None


@dataclass(frozen=True)
class Layer:
    """A module that becomes a module of flax.nnx, of the class ``kind``."""

    kind: type
    to_nnx: Callable[[Any, nnx.Rngs], Any]
    # From torch.nn, the layer, and the spatial axes of the model that it is in.
    from_nnx: Callable[[Any, Any, int], Any]


def bare(layer: Any) -> Any:
    """A function without the keywords it is to be called with."""
    return layer.func if isinstance(layer, functools.partial) else layer


def of_ranks(
    name: str,
    function: Callable[..., Any],
    arguments: Sequence[str],
    ranks: Sequence[int] = (1, 2, 3),
    **must: Any,
) -> dict[str, Function]:
    """``{name}1d`` to ``3d``: one function that is told how many spatial axes there are."""
    return {
        f"{name}{rank}d": Function(function, tuple(arguments), {"rank": rank}, must)
        for rank in ranks
    }
