"""torch's functions on JAX arrays, and its modules with their weights, both ways."""

from jtconv.conventions.torch import crops
from jtconv.interop.torch.functional import conv_transpose1d, conv_transpose2d, conv_transpose3d
from jtconv.interop.torch.modules import from_nnx, to_nnx
from jtconv.interop.torch.state_dict import from_state_dict

__all__ = [
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "crops",
    "from_nnx",
    "from_state_dict",
    "to_nnx",
]
