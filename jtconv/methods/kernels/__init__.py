"""Kernels of our own for accelerators, which ``method="pallas"`` runs.

tpu         rows with their halo, phases in the lanes
hopper      matrix products on NVIDIA's Hopper whose sums stay in registers
depthwise   one channel a group on NVIDIA's GPUs: a pass over memory
meeting     cells that meet nothing, hidden from kernel gradients
walk        which source cells, kernel cells and phases meet, for the two of GPUs; ``tiling``
            says how what they compute is cut up
interpret   where kernels are simulated instead of run

A kernel is a package with ``refuse(task)``, a function for every side, ``dgrad(x, w, task, bias)``,
``fprop(y, w, task, bias)`` and ``wgrad(x, y, task)``, and ``tiles(task)``: the lines of its table
of tiles that suit a task, by name, the one it takes unasked first.  A bias, one
number per channel of the result, is added before the one time that sums are rounded and written.
"""
