"""The kernel for depthwise layers on GPUs: memory is the limit, so each number moves once.

A warpgroup has a column of the result to itself, some cells wide and as many channels as one line
of memory, and goes down it a few rows at a time.  TMA brings the rows with their halo, each of
their phases, and fills what lies outside with zeros; every cell is summed in registers in
float32, from shifted views of the same rows, and TMA takes each phase to the cells it owns.  The
kernel lies in shared memory all the while, repeated along the width, so that it has the shape of
what it multiplies, and the bias after its last tap.  No tensor core would help: there is one
channel a group.

columns   the work in integers
kernel    the warpgroup
gradient  the same for kernel gradients
sides     what it refuses, and arrays as it reads them

Never run on a GPU: it is lowered for CUDA, and interpreted on jax 0.11 and later.
"""

from jtconv.algorithms.pallas.depthwise.columns import tiles
from jtconv.algorithms.pallas.depthwise.sides import dgrad, fprop, refuse, wgrad

__all__ = ["dgrad", "fprop", "refuse", "tiles", "wgrad"]
