"""Colours: one accent per phase, all equally bright, on paper or in the dark."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Palette:
    """The colours of one theme; ``tint`` and ``accent`` are (lightness, chroma) in OKLCH."""

    paper: str
    ink: str
    faint: str
    line: str
    nothing: str
    tint: tuple[float, float]
    accent: tuple[float, float]
    on_accent: str

    def quiet(self, phase: int, count: int) -> str:
        """A cell of this phase, at rest."""
        return oklch(*self.tint, hue(phase, count))

    def lit(self, phase: int, count: int) -> str:
        """A cell of this phase, in this step."""
        return oklch(*self.accent, hue(phase, count))


PALETTES = {
    "light": Palette(
        "#ffffff", "#20242b", "#8a919c", "#d9dde3", "#f4f5f7", (0.93, 0.04), (0.76, 0.13), "#14171c"
    ),
    "dark": Palette(
        "#101318", "#e8eaee", "#7d8590", "#2c323b", "#181c23", (0.33, 0.05), (0.72, 0.13), "#0c0e12"
    ),
}


def hue(phase: int, count: int) -> float:
    """Phases are spread evenly round the circle, from blue."""
    return (255 + 360 * phase / count) % 360


def oklch(lightness: float, chroma: float, degrees: float) -> str:
    """A colour of Ottosson's OKLCH (2020) as ``#rrggbb``.

    >>> oklch(1.0, 0.0, 0.0), oklch(0.0, 0.0, 0.0)
    ('#ffffff', '#000000')
    """
    a, b = (chroma * f(math.radians(degrees)) for f in (math.cos, math.sin))
    long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    middle = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    linear = (
        4.0767416621 * long - 3.3077115913 * middle + 0.2309699292 * short,
        -1.2684380046 * long + 2.6097574011 * middle - 0.3413193965 * short,
        -0.0041960863 * long - 0.7034186147 * middle + 1.7076147010 * short,
    )
    return "#" + "".join(f"{round(255 * _encoded(channel)):02x}" for channel in linear)


def _encoded(linear: float) -> float:
    """The transfer curve of sRGB."""
    linear = min(max(linear, 0.0), 1.0)
    return 12.92 * linear if linear <= 0.0031308 else 1.055 * linear ** (1 / 2.4) - 0.055
