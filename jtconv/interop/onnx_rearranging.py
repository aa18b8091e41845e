"""ONNX's operators that exchange channels and pixels, on JAX arrays."""

from __future__ import annotations

import jax
from jax.typing import ArrayLike

from jtconv import upsampling
from jtconv.problem import arguments, dtypes

MODES = ("DCR", "CRD")


def depth_to_space(input: ArrayLike, *, blocksize: int, mode: str = "DCR") -> jax.Array:
    """ONNX's ``DepthToSpace``: channels become blocks of pixels.

    Args:
        input: ``(N, C * blocksize**2, H, W)``.
        blocksize: pixels on each side of a block.
        mode: "DCR", in which the channels of one pixel lie together, or "CRD", in which those of
            one block do.

    Returns:
        ``(N, C, H * blocksize, W * blocksize)``.

    Raises:
        ValueError, TypeError: naming the attribute.

    >>> import jax.numpy as jnp
    >>> print(depth_to_space(jnp.arange(4.).reshape(1, 4, 1, 1), blocksize=2)[0, 0])
    [[0. 1.]
     [2. 3.]]
    """
    x, block, order = _read(input, blocksize, mode)
    if x.shape[1] % block**2:
        raise ValueError(
            f"input must have a multiple of blocksize**2 = {block**2} channels, got {x.shape}."
        )
    return upsampling.pixel_shuffle(x, block, order=order, data_format="NCHW")


def space_to_depth(input: ArrayLike, *, blocksize: int, mode: str = "DCR") -> jax.Array:
    """ONNX's ``SpaceToDepth``: blocks of pixels become channels.

    Args:
        input: ``(N, C, H, W)``, H and W multiples of ``blocksize``.
        blocksize, mode: as in :func:`depth_to_space`. Only the newest operator sets have a mode;
            those before are "DCR".

    Returns:
        ``(N, C * blocksize**2, H // blocksize, W // blocksize)``.

    Raises:
        ValueError, TypeError: naming the attribute.

    >>> import jax.numpy as jnp
    >>> print(space_to_depth(jnp.arange(4.).reshape(1, 1, 2, 2), blocksize=2)[0, :, 0, 0])
    [0. 1. 2. 3.]
    """
    x, block, order = _read(input, blocksize, mode)
    for name, size in zip("HW", x.shape[2:], strict=True):
        if not (size % block == 0):
            raise ValueError(
                f"blocksize must divide the height and width of input, got {block} for {name} = "
                f"{size}."
            )
    return upsampling.pixel_unshuffle(x, block, order=order, data_format="NCHW")


def _read(given: ArrayLike, blocksize: int, mode: str) -> tuple[jax.Array, int, str]:
    x = dtypes.array("input", given)
    if x.ndim != 4:
        raise ValueError(f"input must have 4 axes, (N, C, H, W), got {x.shape}.")
    block = arguments.integer("blocksize", blocksize, least=1)
    return x, block, arguments.choice("mode", mode, MODES)
