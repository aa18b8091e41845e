"""How each framework writes a layer: one file a framework, both ways, as numbers and as text.

A framework's file may have ``crops`` (its arguments to crops of the full output), ``from_crops``
(back, to its padding arguments), ``to_text`` and ``from_text`` (a constructor call, written and
read), and ``PADDING``, its rows of the table of paddings.  Nothing is ever evaluated, and no
framework is imported.  Adding a framework is one file, and one row here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from jtconv.conventions import equinox, flax, haiku, jtconv, keras, lax, onnx, text, torch
from jtconv.conventions.layer import Inexpressible, Layer, LayerSpec, LayerText, PaddingRow
from jtconv.problem.symbolic import is_symbolic


class Framework(NamedTuple):
    """What is known of a framework; None where there is no such thing."""

    to_text: Callable[[Layer], LayerText] | None = None
    from_text: Callable[[str], LayerSpec] | None = None
    example: str = ""  # of what from_text reads
    padding: tuple[PaddingRow, ...] = ()
    borders: bool = False  # whether there is padding other than zeros
    # what it calls the size of the kernel, the stride and the dilation
    names: tuple[str, str, str] = ("kernel", "stride", "dilation")


FRAMEWORKS = {
    "jtconv": Framework(jtconv.to_text, borders=True),
    "torch": Framework(
        torch.to_text, torch.from_text, torch.EXAMPLE, torch.PADDING, borders=True,
        names=("kernel_size", "stride", "dilation"),
    ),
    "keras": Framework(
        keras.to_text, keras.from_text, keras.EXAMPLE, keras.PADDING,
        names=("kernel_size", "strides", "dilation_rate"),
    ),
    "lax": Framework(lax.to_text, padding=lax.PADDING),
    "flax": Framework(
        flax.to_text, flax.from_text, flax.EXAMPLE, borders=True,
        names=("kernel_size", "strides", "kernel_dilation"),
    ),
    "onnx": Framework(onnx.to_text, padding=onnx.PADDING),
    "haiku": Framework(padding=haiku.PADDING),
    "equinox": Framework(padding=equinox.PADDING),
}  # fmt: skip
FROM_TEXT = {name: f.from_text for name, f in FRAMEWORKS.items() if f.from_text}
CLASSES = {"torch": torch.SIGNATURES, "keras": keras.SIGNATURES, "flax": flax.SIGNATURES}


def read(source: str, framework: str | None = None) -> LayerSpec:
    """A constructor call as text, by its framework, or by the first that knows its class.

    >>> read("nn.Conv2DTranspose(33, 3, strides=2)").keywords["stride"]
    (2, 2)
    """
    if framework is not None:
        return replace(FROM_TEXT[framework](source), framework=framework)
    name = text.class_name(source)
    for known, classes in CLASSES.items():
        if name in classes:
            return replace(FROM_TEXT[known](source), framework=known)
    raise ValueError(
        f"{name!r} is not known here; this reads "
        f"{', '.join(name for classes in CLASSES.values() for name in classes)}."
    )


def to_text(layer: Layer) -> tuple[LayerText, ...]:
    """The layer as every framework writes it, or why one cannot."""
    return tuple(_to_text(name, f, f.to_text, layer) for name, f in FRAMEWORKS.items() if f.to_text)


def _to_text(
    name: str, framework: Framework, to_text: Callable[[Layer], LayerText], layer: Layer
) -> LayerText:
    """By one framework."""
    border = layer.call.border
    if border is not None and not framework.borders:
        return LayerText(name, None, why_not=f"{name} has no padding {border!r}")
    if any(is_symbolic(zeros) for pair in layer.crops for zeros in pair):
        return LayerText(name, None, why_not="its padding depends on a symbolic size")
    return to_text(layer)


__all__ = [
    "FRAMEWORKS",
    "FROM_TEXT",
    "Framework",
    "Inexpressible",
    "Layer",
    "LayerSpec",
    "LayerText",
    "PaddingRow",
    "read",
    "to_text",
]
