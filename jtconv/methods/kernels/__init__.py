"""Kernels of our own for accelerators, which ``method="pallas"`` runs.

tpu         rows with their halo, phases in the lanes; ``cells`` lays the arrays for it
hopper      matrix products that stay in registers; ``walk`` says what adds to what
interpret   where kernels are simulated instead of run
"""
