"""How the size of an output comes about, in the argument names of a framework and in numbers."""

from __future__ import annotations

from typing import Any, NamedTuple

from jtconv.conventions import FRAMEWORKS, keras
from jtconv.problem import padding
from jtconv.problem.geometry import Axis
from jtconv.problem.padding import Crops

_SPAN = "{dilation}*({kernel} - 1)"  # of the kernel, less one cell
_PLUS = " + {output_padding}"
_TRANSPOSED = {
    "FULL": f"({{n}} - 1)*{{stride}} + {_SPAN} + 1",
    "VALID": f"({{n}} - 1)*{{stride}} + max({_SPAN} + 1, {{stride}})",
}
_PLAIN = {
    "FULL": f"({{n}} + {_SPAN} - 1)//{{stride}} + 1",
    "VALID": f"({{n}} - {_SPAN} - 1)//{{stride}} + 1",
}


class SizeLaw(NamedTuple):
    """The right side of ``out = ...``: with names, and with numbers and what they make."""

    names: str
    numbers: str


class Given(NamedTuple):
    """The padding of an axis as it was written: a name or numbers, and what is added to the end."""

    pads: str | Crops
    output_padding: Any = 0


def size_law(axis: Axis, transposed: bool, given: Given, framework: str = "jtconv") -> SizeLaw:
    """The formula of one axis.

    >>> size_law(Axis.cropped(5, 3, 2, 1, 1, 0), True, Given((1, 1), 1), "torch").numbers
    '(5 - 1)*2 - 2*1 + 1*(3 - 1) + 1 + 1 = 10'
    """
    template, padding_values = _template(axis, transposed, given, framework)
    kernel, stride, dilation = FRAMEWORKS[framework].names
    named = {"n": "in", "kernel": kernel, "stride": stride, "dilation": dilation}
    known = {
        "n": axis.x_size if transposed else axis.y_size,
        "kernel": axis.kernel,
        "stride": axis.stride,
        "dilation": axis.dilation,
    }
    words = template.format(**named, **{name: name for name in padding_values})
    numbers = template.format(**known, **padding_values)
    return SizeLaw(words, f"{numbers} = {axis.y_size if transposed else axis.x_size}")


def _template(
    axis: Axis, transposed: bool, given: Given, framework: str
) -> tuple[str, dict[str, Any]]:
    """The formula with gaps, and what fills those of its padding."""
    if not transposed:
        return _of_convolution(given.pads)
    pads, extra = given
    if isinstance(pads, str):
        template = _TRANSPOSED.get(pads, "{n}*{stride}")
        return (template + _PLUS, {"output_padding": extra}) if extra else (template, {})
    if framework == "flax":
        return _of_flax(axis)
    if framework == "keras":
        return _of_keras(axis)
    crops, values = "- 2*{padding}", {"padding": pads[0]}
    if pads[0] != pads[1]:
        crops, values = "- {lo} - {hi}", {"lo": pads[0], "hi": pads[1]}
    values["output_padding"] = extra
    return f"({{n}} - 1)*{{stride}} {crops} + {_SPAN}{_PLUS} + 1", values


def _of_convolution(pads: str | Crops) -> tuple[str, dict[str, Any]]:
    if isinstance(pads, str):
        return _PLAIN.get(pads, "({n} - 1)//{stride} + 1"), {}
    zeros, values = "2*{padding}", {"padding": pads[0]}
    if pads[0] != pads[1]:
        zeros, values = "{lo} + {hi}", {"lo": pads[0], "hi": pads[1]}
    return f"({{n}} + {zeros} - {_SPAN} - 1)//{{stride}} + 1", values


def _of_flax(axis: Axis) -> tuple[str, dict[str, Any]]:
    """Its numbers pad the dilated input."""
    low, high = (axis.effective_kernel - 1 - crop for crop in axis.crops)
    zeros, values = "2*{padding}", {"padding": low}
    if low != high:
        zeros, values = "{low} + {high}", {"low": low, "high": high}
    return f"({{n}} - 1)*{{stride}} + {zeros} - {_SPAN} + 1", values


def _of_keras(axis: Axis) -> tuple[str, dict[str, Any]]:
    """Crops that are no name's are those of a name with an output padding."""
    found = keras.from_crops([axis.crops], (axis.kernel,), (axis.stride,), (axis.dilation,))
    if "output_padding" not in found:
        return _TRANSPOSED.get(found["padding"].upper(), "{n}*{stride}"), {}
    (extra,) = found["output_padding"]
    span = f"({_SPAN} + 1) % 2" if found["padding"] == "same" else f"{_SPAN} + 1"
    return f"({{n}} - 1)*{{stride}} + {span}{_PLUS}", {"output_padding": extra}


def given_of(axis: Axis, transposed: bool, pads: str | Crops) -> Given:
    """How an axis was written: what its size is above that of its padding alone was added."""
    if not transposed:
        return Given(pads)
    lo, hi = padding.along(True, pads, axis.x_size, axis.effective_kernel, axis.stride)
    return Given(pads, axis.y_size - (axis.full - lo - hi))
