"""The Hopper kernel: outputs stay in registers, and everything that adds to them is fetched.

Every multiprocessor runs one block for as long as there are tiles.  Two warpgroups multiply, each
a box of result cells of one phase by a tile of columns; a third one fetches, some steps ahead,
the shifted box of the source (TMA fills what lies outside with zeros) and the tile of the kernel.
Sums are in float32, are rounded once, with the bias, and stored by TMA, each phase to the cells
it owns: the result is written once and nothing else is.  dgrad and fprop are the same walk.

tile      the sizes of tiles, a table
channels  phases that are channels, and lines of them
plan      the work in integers: tiles, and what every step of one fetches
kernel    the three warpgroups: the one of ``fetch`` and those of ``multiply``
memory    what they share
gradient  the kernel gradient, with warpgroups of the same kind
sides     what it refuses, and arrays as it reads them

Never run on a GPU: it is lowered for CUDA, and interpreted on jax 0.11 and later.
"""

from jtconv.algorithms.pallas.hopper.gradient import wgrad
from jtconv.algorithms.pallas.hopper.sides import dgrad, fprop, refuse, tiles

__all__ = ["dgrad", "fprop", "refuse", "tiles", "wgrad"]
