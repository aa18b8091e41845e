"""How each framework's words become crops: a table whose every row is computed.

``python -m jtconv.interop`` prints it, README.md holds a copy, and a test compares the two.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from jtconv.interop import equinox, haiku, keras, lax, onnx, torch
from jtconv.problem.geometry import Axis
from jtconv.problem.padding import Crops

INPUT, KERNEL, STRIDE = 5, 5, 2  # of the examples, on one axis
HEADINGS = ("framework", "its words", "crop in front `lo`", "and behind `hi`", "example", "out")


class Row(NamedTuple):
    """What some words of a framework crop, in formulas and by its room's ``crops``."""

    framework: str
    words: str
    lo: str
    hi: str
    crops: Callable[..., tuple[Crops, ...]]
    example: dict[str, Any]


def _torch(**words: Any) -> tuple[Crops, ...]:
    return torch.crops(1, STRIDE, **words)


def _lax(**words: Any) -> tuple[Crops, ...]:
    return lax.crops((KERNEL,), (STRIDE,), **words)


def _keras(**words: Any) -> tuple[Crops, ...]:
    return keras.crops((KERNEL,), STRIDE, **words)


def _onnx(**words: Any) -> tuple[Crops, ...]:
    return onnx.crops([INPUT], [KERNEL], strides=[STRIDE], **words)


def _haiku(**words: Any) -> tuple[Crops, ...]:
    return haiku.crops((KERNEL,), STRIDE, **words)


def _equinox(**words: Any) -> tuple[Crops, ...]:
    return equinox.crops((KERNEL,), STRIDE, **words)


ROWS = (
    Row("torch", "numbers", "p", "p - a", _torch, {"padding": 1, "output_padding": 1}),
    Row("ONNX", "pads", "begin", "end - a", _onnx, {"pads": [1, 2], "output_padding": [1]}),
    Row("ONNX", "SAME_UPPER", "T // 2", "T - lo - a", _onnx, {"auto_pad": "SAME_UPPER"}),
    Row("ONNX", "SAME_LOWER", "T - T // 2", "T - lo - a", _onnx, {"auto_pad": "SAME_LOWER"}),
    Row("ONNX", "VALID", "0", "-a", _onnx, {"auto_pad": "VALID"}),
    Row("ONNX", "output_shape", "U - U // 2", "full - out - lo", _onnx, {"output_shape": [10]}),
    Row("lax, Flax", "numbers", "D - 1 - low", "D - 1 - high", _lax, {"padding": [(2, 3)]}),
    Row(
        "lax", "numbers", "low", "high",
        _lax, {"padding": [(2, 1)], "use_consistent_padding": True},
    ),
    Row(
        "lax, Flax, Keras, Haiku", "SAME", "max(D - s, 0) // 2", "D - s - lo",
        _lax, {"padding": "SAME"},
    ),
    Row(
        "lax, Flax, Keras, Haiku", "VALID", "0", "min(D - s, 0)", _lax, {"padding": "VALID"},
    ),
    Row(
        "Keras", "same", "max(D - D % 2 - a, 0) // 2", "D - D % 2 - a - lo",
        _keras, {"padding": "same", "output_padding": 0},
    ),
    Row("Keras", "valid", "0", "-a", _keras, {"padding": "valid", "output_padding": 1}),
    Row("Haiku", "SAME", "U // 2", "full - out - lo", _haiku, {"output_shape": 9}),
    Row("Equinox", "numbers", "low", "high - a", _equinox, {"padding": 1, "output_padding": 1}),
    Row(
        "Equinox", "SAME", "max(D - s + a, 0) // 2", "D - s + a - lo",
        _equinox, {"padding": "SAME", "output_padding": 1},
    ),
)  # fmt: skip


def table() -> str:
    """The table, in Markdown."""
    lines = [HEADINGS, ("---",) * len(HEADINGS), *_cells()]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines) + "\n"


def _cells() -> Iterator[tuple[str, ...]]:
    for row in ROWS:
        ((lo, hi),) = row.crops(**row.example)
        out = Axis.cropped(INPUT, KERNEL, STRIDE, lo=lo, hi=hi).y_size
        said = ", ".join(f"{name}={value!r}" for name, value in row.example.items())
        formulas = (f"`{row.lo}` = {lo}", f"`{row.hi}` = {hi}")
        yield row.framework, row.words, *formulas, f"`{said}`", str(out)
