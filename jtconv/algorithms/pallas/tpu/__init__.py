"""The TPU kernel: a block of rows at a time, with its halo, all phases of a cell in the lanes.

A program holds the rows of one block in VMEM, and for every shift (see ``cells``) multiplies a
shifted view of them by a matrix of ``s^N * C_out`` columns.  The sums stay in VMEM in float32,
begin as the bias, and are written once, each phase of the leading axes to the rows it belongs to,
so that what is left for XLA is a reshape and a crop.  fprop and wgrad read the same blocks the
other way round.

cells      arrays as it reads them
blocks     how a task is cut up to fit VMEM, or why it is refused
landing    which lanes the taps of a shift land on
grids      which block of each array a program has
programs   what a program computes
sides      the three sides

Never run on a TPU: it is tested in Pallas's TPU interpret mode and lowered.  What it should
reach there is reckoned in ``bench/TPU.md``.
"""

from jtconv.algorithms.pallas.tpu.blocks import refuse, tiles
from jtconv.algorithms.pallas.tpu.sides import dgrad, fprop, wgrad

__all__ = ["dgrad", "fprop", "refuse", "tiles", "wgrad"]
