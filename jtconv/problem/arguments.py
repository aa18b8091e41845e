"""Reading what a user may write: integers, one value per axis, names.

Every message names the argument, the axis, what it got, what it may be and the way out.
"""

from __future__ import annotations

import difflib
import inspect
import operator
from collections.abc import Callable, Iterable, Sequence
from functools import wraps
from typing import Any, TypeVar, cast

Name = TypeVar("Name", bound=str)


def integer(name: str, value: Any, least: int | None = None) -> int:
    """``value`` as a plain int; ``True`` is not one, and neither is ``1.0``."""
    bound = "" if least is None else f" >= {least}"
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{name} must be an int{bound}, got {value!r} ({type(value).__name__}).")
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(
            f"{name} must be a plain int{bound} known before tracing, got {value!r}: "
            "close over it, or mark it static in jax.jit."
        ) from None
    if least is not None and number < least:
        raise ValueError(f"{name} must be an int >= {least}, got {number}.")
    return number


def sequence(value: Any) -> list[Any] | None:
    """``value`` as a list, or None where it is a scalar, a string or no sequence at all."""
    if isinstance(value, str | bytes | dict | set) or not isinstance(value, Iterable):
        return None
    if getattr(value, "shape", None) == ():
        return None
    return list(value)


def per_axis(name: str, value: Any, rank: int, least: int | None = None) -> tuple[int, ...]:
    """One int for every spatial axis: ``value`` itself, or one int repeated."""
    items = sequence(value)
    if items is None:
        return (integer(name, value, least),) * rank
    if len(items) != rank:
        raise ValueError(
            f"{name} must be one int or {rank} ints, one per spatial axis, "
            f"got {len(items)}: {value!r}."
        )
    return tuple(integer(f"{name}[{axis}]", item, least) for axis, item in enumerate(items))


def choice(name: str, value: Any, allowed: Sequence[Name], any_case: bool = False) -> Name:
    """``value`` where that is one of ``allowed`` (all upper case for ``any_case``)."""
    word = value.upper() if any_case and isinstance(value, str) else value
    if isinstance(word, str) and word in allowed:
        return cast("Name", word)
    close = difflib.get_close_matches(str(word), allowed, n=1)
    guess = f" Did you mean {close[0]!r}?" if close else ""
    raise ValueError(f"{name} must be one of {', '.join(allowed)}, got {value!r}.{guess}")


def shape(name: str, value: Any, least: int | None = None) -> tuple[int, ...]:
    """A shape: a sequence of ints."""
    items = sequence(value)
    if items is None:
        raise TypeError(f"{name} must be a tuple of ints, got {value!r}.")
    return tuple(integer(f"{name}[{axis}]", item, least) for axis, item in enumerate(items))


Function = TypeVar("Function", bound=Callable[..., Any])
# What one argument is called, here and elsewhere.
_SYNONYMS = (
    ("stride", "strides", "window_strides"),
    ("dilation", "dilations", "dilation_rate", "kernel_dilation", "rhs_dilation"),
    ("padding", "pads", "pad", "auto_pad"),
    ("groups", "group", "feature_group_count"),
    ("output_size", "output_shape"),
    ("x", "X", "input", "inputs", "lhs"),
    ("w", "W", "weight", "kernel", "rhs"),
    ("bias", "B"),
    ("in_features", "in_channels", "in_chans"),
    ("out_features", "features", "out_channels", "filters"),
    ("method", "implementation", "algorithm"),
)


def suggests(function: Function) -> Function:
    """``function``, whose error for an argument that it has not tells which one was meant.

    Its signature is its own, for type checkers and for ``help``; it must have no ``**keywords``.
    """
    known = tuple(name for name in inspect.signature(function).parameters if name != "self")
    named = function.__qualname__.removesuffix(".__init__")

    @wraps(function)
    def called(*args: Any, **keywords: Any) -> Any:
        try:
            return function(*args, **keywords)
        except TypeError:
            unknown = next((name for name in keywords if name not in known), None)
            if unknown is None:
                raise
        raise TypeError(
            f"{named}() got an unexpected keyword argument {unknown!r}{_meant(unknown, known)}"
        )

    return cast("Function", called)


def _meant(unknown: str, known: Sequence[str]) -> str:
    """The argument that is called so elsewhere, or else is written nearly so."""
    alike = (name for row in _SYNONYMS if unknown in row for name in row)
    close = difflib.get_close_matches(unknown, known, n=1, cutoff=0.8)
    guess = next((name for name in (*alike, *close) if name in known), None)
    return f": did you mean {guess!r}?" if guess else f"; it has {', '.join(known)}."


Parsed = TypeVar("Parsed")
MOST_KEPT = 1024


def parsed_once(parse: Callable[..., Parsed]) -> Callable[..., Parsed]:
    """``parse``, whose results are kept for equal arguments.

    Only of ints, strings, None and booleans, in tuples or lists: True must not stand for 1, nor an
    array or a float for the int that it equals. Errors are not kept, and quote what was given.
    """
    kept: dict[Any, Parsed] = {}

    @wraps(parse)
    def parsed(*args: Any, **keywords: Any) -> Parsed:
        key = _key((args, tuple(keywords), tuple(keywords.values())), depth=4)
        if key is None:
            return parse(*args, **keywords)
        if key not in kept:
            if len(kept) >= MOST_KEPT:
                kept.clear()
            kept[key] = parse(*args, **keywords)
        return kept[key]

    return parsed


def _key(value: Any, depth: int) -> Any:
    """A value as part of a key, or None where it cannot be one."""
    kind = type(value)
    if kind is int or kind is str:
        return value
    if value is None or kind is bool:
        return kind, value
    if depth and (kind is tuple or kind is list):
        items = tuple(_key(item, depth - 1) for item in value)
        return None if None in items else items
    return None
