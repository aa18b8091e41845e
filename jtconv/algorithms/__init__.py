"""The algorithms: one file each, whole, none importing another.

``ALGORITHMS`` is the single list of them: its keys are the names that users give as ``method=``,
the axis of the tests and of the benchmarks, and the rows that ``explain`` prints. What an
algorithm has to bring is in `algorithm`; what several are written with is in `common`.
"""

from __future__ import annotations

from jtconv.algorithms import (
    dense,
    dilated,
    fft,
    fold,
    gemm,
    matrix,
    pallas,
    phases,
    scatter,
    taps,
    vjp,
)
from jtconv.algorithms.algorithm import Algorithm

ALGORITHMS: dict[str, Algorithm] = {
    "dilated": dilated,
    "vjp": vjp,
    "scatter": scatter,
    "gemm": gemm,
    "phases": phases,
    "taps": taps,
    "dense": dense,
    "fold": fold,
    "fft": fft,
    "matrix": matrix,
    "pallas": pallas,
}

__all__ = ["ALGORITHMS", "Algorithm"]
