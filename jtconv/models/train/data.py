"""The data there is, by name: what is learnt from, and what is held out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jtconv.models.train import digits, scenes

DATA: dict[str, Callable[[], tuple[Any, Any]]] = {
    "digits": digits.split,  # handwritten digits alone
    "photos": scenes.sources,  # the same, pasted on photographs
}
