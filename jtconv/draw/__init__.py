"""Pictures of the arithmetic: every step of a transposed convolution, drawn from its Geometry.

What a frame says (which products it makes, which cells are lit, with what numbers) is a value,
made in ``views``; how it looks is the business of ``scene`` and the painters ``svg`` and
``raster``.  ``explorer`` writes the same as one page to play with.
"""

from jtconv.draw.drawing import Drawing, draw
from jtconv.draw.explorer import explorer
from jtconv.draw.frame import Cell, Frame, Grid

__all__ = ["Cell", "Drawing", "Frame", "Grid", "draw", "explorer"]
