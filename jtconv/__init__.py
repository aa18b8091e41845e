"""jtconv: transposed convolution for JAX, done right.

    y[s*i + d*t - lo] += x[i] * w[t]

One law, three sides, many methods: see :func:`conv_transpose`. The layers and all that needs
Flax are in packages of their own (``jtconv.nnx``, ``jtconv.linen``, ...), imported at first use.
"""

from importlib import import_module as _import_module
from typing import TYPE_CHECKING as _TYPE_CHECKING

from jtconv.api import conv, conv_transpose, output_shape
from jtconv.dispatch.choose import methods
from jtconv.dispatch.tuning import Tuning, tune
from jtconv.matrices import conv_matrix
from jtconv.plan import Plan
from jtconv.plan.explain import explain
from jtconv.problem.task import Unsupported
from jtconv.rewrite.function import accelerate
from jtconv.unpool import max_pool_with_indices, max_unpool

if _TYPE_CHECKING:
    from jtconv import draw as draw
    from jtconv import initializers as initializers
    from jtconv import interop as interop
    from jtconv import linen as linen
    from jtconv import models as models
    from jtconv import nnx as nnx
    from jtconv import streaming as streaming
    from jtconv import typing as typing
    from jtconv import upsampling as upsampling

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

# The public modules; all but the first are imported when they are asked for.
_MODULES = (
    "typing",
    "draw",
    "initializers",
    "interop",
    "linen",
    "models",
    "nnx",
    "streaming",
    "upsampling",
)

if not _TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        if name in _MODULES:
            return _import_module(f"{__name__}.{name}")
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*__all__, *_MODULES, "__version__"})
