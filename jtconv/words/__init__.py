"""One layer in the words of each framework, as text: said here, and read back.

A framework is a module with ``say(layer) -> Saying``; those whose constructors people paste
have ``read(text) -> Reading`` as well.  Reading what was said gives the same geometry, which is
what the tests ask.  Nothing is ever evaluated, and no framework is imported.
"""

from __future__ import annotations

from collections.abc import Callable

from jtconv.words import flax, jtconv, keras, lax, onnx, torch
from jtconv.words.layer import Layer, Reading, Saying

SPEAKERS: dict[str, Callable[[Layer], Saying]] = {
    "jtconv": jtconv.say,
    "torch": torch.say,
    "keras": keras.say,
    "lax": lax.say,
    "flax": flax.say,
    "onnx": onnx.say,
}
READERS: dict[str, Callable[[str], Reading]] = {
    "torch": torch.read,
    "keras": keras.read,
    "flax": flax.read,
}


def say(layer: Layer) -> tuple[Saying, ...]:
    """The layer in the words of every framework, or why one has none."""
    return tuple(speak(layer) for speak in SPEAKERS.values())


__all__ = ["READERS", "SPEAKERS", "Layer", "Reading", "Saying", "say"]
