"""Another framework, imported where it is asked for and not before."""

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
