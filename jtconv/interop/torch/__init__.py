"""torch's words: functions on JAX arrays, and modules with their weights, both ways."""

from jtconv.interop.torch.functional import (
    conv_transpose1d,
    conv_transpose2d,
    conv_transpose3d,
    crops,
)

__all__ = [
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "crops",
]
