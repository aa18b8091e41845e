"""Another framework, imported where it is asked for and not before, and its layers' classes."""

from __future__ import annotations

import importlib
from typing import Any


def load(name: str) -> Any:
    """The framework of this name, which is its package's too."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:  # it is there, and misses something itself
            raise
        raise ImportError(f"this needs {name}: python -m pip install {name}") from None


def is_one_of(layer: Any, kinds: tuple[type, ...], call: str = "__call__") -> bool:
    """Whether a layer is of one of these classes, and computes as that class does.

    A subclass whose ``call`` is its own is an error: it may compute anything.
    """
    kind = next((kind for kind in kinds if isinstance(layer, kind)), None)
    if kind is not None and getattr(type(layer), call) is not getattr(kind, call):
        raise TypeError(
            f"layer: {type(layer).__name__} is a {kind.__name__} with a {call} of its own, which "
            f"cannot be read. Move a plain {kind.__name__}, and write the rest anew."
        )
    return kind is not None
