"""The convolutions of a whole model of flax.nnx, computed by jtconv in place."""

from __future__ import annotations

import copyreg
import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from flax import nnx

from jtconv.conventions import flax
from jtconv.nnx.conv import Conv
from jtconv.nnx.conv_transpose import ConvTranspose

Model = TypeVar("Model")


def accelerate(model: Model) -> Model:
    """Let jtconv compute the convolutions inside a model, transposed and plain, in place.

    Each ``flax.nnx.ConvTranspose`` becomes a :class:`ConvTranspose` and each ``flax.nnx.Conv`` a
    :class:`Conv`, whose convolution is replaced where that is faster. Every layer stays the object
    it was, wherever the model keeps it: parameters, mask, metadata and an optimizer's state are
    untouched. A subclass of Flax's layer keeps its own methods. A transposed layer whose padding
    has a name that Flax does not know but lets pass ("same" for "SAME") is left as it is: its
    numbers are those of no padding here.

    Args:
        model: a module, or a list or dict of modules.

    Returns:
        The same model.

    Raises:
        TypeError: if ``model`` can hold no module of ``flax.nnx``.

    >>> from flax import nnx
    >>> model = nnx.Sequential(nnx.ConvTranspose(3, 8, (4, 4), strides=2, rngs=nnx.Rngs(0)))
    >>> type(accelerate(model).layers[0]).__module__.split(".")[0]
    'jtconv'
    """
    _check(model)
    for _, node in nnx.iter_graph(model):
        ours = _ours(node)
        if ours is not None:
            cls: Any = type(node)
            # Not by nnx's own setattr, which would write the class down as an attribute.
            object.__setattr__(node, "__class__", _derived(cls, ours))
    return model


@dataclass(frozen=True)
class Row:
    """One convolution of a model: where it is kept, its class, and what computes it and why."""

    path: str
    layer: str
    is_left: bool
    reason: str


@dataclass(frozen=True, repr=False)
class Report:
    """The convolutions of a model; print it."""

    rows: tuple[Row, ...]

    def __str__(self) -> str:
        ours = sum(not row.is_left for row in self.rows)
        lines = [f"{ours} of {len(self.rows)} convolutions of the model computed by jtconv"]
        cells = [(r.path, r.layer, "Flax" if r.is_left else "jtconv", r.reason) for r in self.rows]
        table = [("where", "layer", "by", "why"), *cells]
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        lines += ["  ".join(map(str.ljust, row, widths)).rstrip() for row in table]
        return "\n".join(lines)

    __repr__ = __str__


def report(model: Any) -> Report:
    """What :func:`accelerate` does to a model, or has done: each layer, by what, and why.

    Args:
        model: a module, or a list or dict of modules, accelerated or not yet; it stays as it is.

    Returns:
        A value that prints as a table. Which convolutions of a ``Conv`` are faster here depends on
        its input: :func:`jtconv.accelerate.report` of a call tells that.

    Raises:
        TypeError: if ``model`` can hold no module of ``flax.nnx``.

    >>> from flax import nnx
    >>> kept = nnx.ConvTranspose(3, 8, (4,), padding="same", rngs=nnx.Rngs(0))
    >>> print(report([nnx.ConvTranspose(3, 8, (4,), rngs=nnx.Rngs(0)), kept]))
    1 of 2 convolutions of the model computed by jtconv
    where  layer          by      why
    0      ConvTranspose  jtconv  a transposed convolution, by the method that suits it
    1      ConvTranspose  Flax    padding 'same' has a name that Flax does not know but lets pass
    """
    _check(model)
    return Report(tuple(_rows(model)))


def _rows(model: Any) -> Iterator[Row]:
    for path, node in nnx.iter_graph(model):
        if not isinstance(node, nnx.ConvTranspose | nnx.Conv):
            continue
        ours = _ours(node)
        if ours is None:
            padding: Any = node.padding
            why = f"padding {padding!r} has a name that Flax does not know but lets pass"
        elif ours is ConvTranspose:
            why = "a transposed convolution, by the method that suits it"
        else:
            why = "where it is faster, see jtconv.accelerate.report"
        yield Row("/".join(map(str, path)), type(node).__name__, ours is None, why)


def _check(model: Any) -> None:
    if isinstance(model, nnx.Pytree | list | tuple | dict):
        return
    fix = (
        "For Linen write `with jtconv.linen.accelerate():` around the call of the model; for a "
        "function, jtconv.accelerate(f)."
    )
    if any(base.__module__.partition(".")[0] == "equinox" for base in type(model).__mro__):
        fix = (
            "A module of Equinox is a function: jtconv.accelerate(model), or move its transposed "
            "convolutions with jtconv.interop.equinox.to_nnx."
        )
    text = repr(model)
    got = text if len(text) <= 80 else type(model).__name__
    raise TypeError(
        f"model must be a module of flax.nnx, or a list or dict of them, got {got}. {fix}"
    )


def _ours(node: Any) -> Any:
    """Our class for a layer of Flax's, if it is one to compute here."""
    if isinstance(node, nnx.ConvTranspose):
        return None if flax.is_unknown_name(node.padding) else ConvTranspose
    return Conv if isinstance(node, nnx.Conv) else None


@functools.cache
def _derived(cls: Any, ours: Any) -> Any:
    """The class with our way to compute in place of Flax's, under whatever it overrides."""
    if issubclass(cls, ours):
        return cls
    if issubclass(ours, cls):
        return ours
    derived: Any = type(cls.__name__, (cls, ours), {"__module__": cls.__module__})

    def reduced(self: Any, protocol: Any) -> Any:
        """Pickled as the class it is derived from, which can be imported, and ours."""
        found: Any = super(derived, self).__reduce_ex__(protocol)
        made = getattr(copyreg, "__newobj__")  # noqa: B009, or Python would mangle it
        if not isinstance(found, tuple) or found[0] is not made:
            return found
        return (_empty, (cls, ours), *found[2:])

    derived.__reduce_ex__ = reduced
    return derived


def _empty(cls: Any, ours: Any) -> Any:
    """An instance before its state is set."""
    derived = _derived(cls, ours)
    return derived.__new__(derived)
