"""The Hopper kernel gradient: every tap is a product of what it takes from y with x.

A block sums boxes of cells: the cells of x, some channels wide, and for each of its warpgroups
the cells of y that lie under them for one tap.  Rows of the product are channels of y, its columns
channels of x, and what is summed over, the cells, is the slow axis of both; tensor cores turn
halves round as they read, so nothing is turned in memory.  Of float32 they would not: it comes as
three products of bfloat16, its large part and what that leaves.

Where the result has fewer tiles than there are multiprocessors, the sum is cut into parts, each
written by itself, and XLA adds them: always in the same order.

plan      the work in integers
multiply  what is fetched, multiplied and stored
sides     arrays as it reads them
"""

from jtconv.algorithms.pallas.hopper.gradient.plan import tiles
from jtconv.algorithms.pallas.hopper.gradient.sides import wgrad

__all__ = ["tiles", "wgrad"]
