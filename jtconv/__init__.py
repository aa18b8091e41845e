"""jtconv: transposed convolution for JAX, done right.

    y[s*i + d*t - lo] += x[i] * w[t]

One law, three sides, many methods: see :func:`conv_transpose`. The layers and all that needs
Flax are in packages of their own (``jtconv.nnx``, ``jtconv.linen``, ...), imported at first use.
"""

from importlib import import_module as _import_module

from jtconv.api import conv, conv_transpose, output_shape
from jtconv.dispatch.choose import methods
from jtconv.dispatch.tuning import Tuning, tune
from jtconv.matrices import conv_matrix
from jtconv.plan import Plan
from jtconv.plan.explain import explain
from jtconv.problem.task import Unsupported
from jtconv.rewrite.function import accelerate
from jtconv.unpool import max_pool_with_indices, max_unpool

__version__ = "0.2.0"

__all__ = [
    "Plan",
    "Tuning",
    "Unsupported",
    "accelerate",
    "conv",
    "conv_matrix",
    "conv_transpose",
    "explain",
    "max_pool_with_indices",
    "max_unpool",
    "methods",
    "output_shape",
    "tune",
]

_LAZY = ("draw", "initializers", "interop", "linen", "models", "nnx", "streaming", "upsampling")


def __getattr__(name: str) -> object:
    if name in _LAZY:
        return _import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})
