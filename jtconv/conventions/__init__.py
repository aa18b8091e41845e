"""How each framework writes a layer: one file a framework, both ways.

A framework is a module with ``to_text(layer) -> LayerText``; those whose constructors people paste
have ``from_text(text) -> LayerSpec`` as well.  Nothing is ever evaluated, and no framework is
imported.
"""

from __future__ import annotations

from collections.abc import Callable

from jtconv.conventions import flax, jtconv, keras, lax, onnx, torch
from jtconv.conventions.layer import Layer, LayerSpec, LayerText

TO_TEXT: dict[str, Callable[[Layer], LayerText]] = {
    "jtconv": jtconv.to_text,
    "torch": torch.to_text,
    "keras": keras.to_text,
    "lax": lax.to_text,
    "flax": flax.to_text,
    "onnx": onnx.to_text,
}
FROM_TEXT: dict[str, Callable[[str], LayerSpec]] = {
    "torch": torch.from_text,
    "keras": keras.from_text,
    "flax": flax.from_text,
}


def to_text(layer: Layer) -> tuple[LayerText, ...]:
    """The layer as every framework writes it, or why one cannot."""
    return tuple(write(layer) for write in TO_TEXT.values())


__all__ = ["FROM_TEXT", "TO_TEXT", "Layer", "LayerSpec", "LayerText", "to_text"]
