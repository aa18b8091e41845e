"""jtconv: transposed convolution for JAX, done right.

    y[s*i + d*t - lo] += x[i] * w[t]

One law, three sides, many methods: see :func:`conv_transpose`.
"""

from jtconv.api import conv, conv_transpose, output_shape
from jtconv.choose import methods
from jtconv.matrices import conv_matrix
from jtconv.methods import Unsupported
from jtconv.plan import Plan, explain
from jtconv.tuning import Tuning, tune

__version__ = "0.1.0"

__all__ = [
    "Plan",
    "Tuning",
    "Unsupported",
    "conv",
    "conv_matrix",
    "conv_transpose",
    "explain",
    "methods",
    "output_shape",
    "tune",
]
