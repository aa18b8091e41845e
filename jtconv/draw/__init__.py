"""Pictures of the arithmetic: every step of a transposed convolution, drawn from its Geometry.

What a frame says (which products it makes, which cells are lit, with what numbers) is a value,
made in ``views``; how it looks is the business of ``scene``, painted by ``svg`` and ``bitmap``.
``page`` holds the explorer, which shows the same as one page to play with.
"""

from jtconv.draw.drawing import Drawing, draw
from jtconv.draw.frame import Cell, Frame, Grid
from jtconv.draw.page import explorer

__all__ = ["Cell", "Drawing", "Frame", "Grid", "draw", "explorer"]
