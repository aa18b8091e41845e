"""flax.nnx.ConvTranspose computed by jtconv."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from flax.nnx.nn import dtypes, linear

from jtconv import layers
from jtconv.conventions import flax
from jtconv.problem import arguments
from jtconv.typing import Method, Padding, PerAxis

_NONE: Mapping[str, Any] = MappingProxyType({})


class ConvTranspose(nnx.ConvTranspose):
    """``flax.nnx.ConvTranspose``: the same parameters and numbers, and what it lacks.

    Args:
        in_features, out_features: channels in and out.
        kernel_size: kernel cells per axis; a bare int means one spatial axis. Up to four axes.
        strides, kernel_dilation: distance between the outputs of neighbouring input cells, and
            between neighbouring kernel cells, in output cells; an int, one per axis, or None for 1.
        padding: "SAME", "VALID", "CIRCULAR" (periodic boundaries), "REFLECT", "EDGE",
            "SAME_LOWER", "CAUSAL", "FULL", or numbers as in Flax: an int, or an int or
            ``(low, high)`` pair per axis, cells put around the dilated input (*not* cropped from
            the output, as in torch).
        use_bias, mask, dtype, param_dtype, precision, kernel_init, bias_init, promote_dtype,
            preferred_element_type, rngs, kernel_metadata, bias_metadata: as in Flax.
        transpose_kernel: keep the kernel as that of the convolution this is the transpose of:
            not flipped, shape ``(*kernel, out_features // groups, in_features)``.
        feature_group_count: groups of channels; each reads and writes its own slice.
        output_padding: cells added to the end of the output, below stride or dilation.
        method: as in :func:`jtconv.conv_transpose`.

    Raises:
        ValueError, TypeError: for a wrong argument, naming it.

    >>> import jax.numpy as jnp
    >>> from flax import nnx
    >>> up = ConvTranspose(8, 4, (3, 3), strides=2, feature_group_count=2, rngs=nnx.Rngs(0))
    >>> up.kernel.shape, up(jnp.ones((1, 5, 5, 8)), output_size=(9, 10)).shape
    ((3, 3, 4, 4), (1, 9, 10, 4))
    """

    # For a layer that was made by Flax, and accelerated.
    feature_group_count: int = 1
    output_padding: PerAxis = 0
    method: Method = "auto"

    @arguments.suggests
    def __init__(
        self,
        in_features: int,
        out_features: int,
        kernel_size: PerAxis,
        strides: PerAxis | None = None,
        *,
        padding: Padding = "SAME",
        kernel_dilation: PerAxis | None = None,
        use_bias: bool = True,
        mask: jax.Array | None = None,
        dtype: Any = None,
        param_dtype: Any = jnp.float32,
        precision: Any = None,
        kernel_init: Callable[..., Any] = linear.default_kernel_init,
        bias_init: Callable[..., Any] = linear.default_bias_init,
        transpose_kernel: bool = False,
        promote_dtype: Callable[..., Any] = dtypes.promote_dtype,
        preferred_element_type: Any = None,
        rngs: nnx.Rngs,
        kernel_metadata: Mapping[str, Any] = _NONE,
        bias_metadata: Mapping[str, Any] = _NONE,
        feature_group_count: int = 1,
        output_padding: PerAxis = 0,
        method: Method = "auto",
    ):
        shape = flax.kernel_shape(
            kernel_size, in_features, out_features, feature_group_count, transpose_kernel
        )
        super().__init__(
            in_features,
            out_features,
            kernel_size,
            strides,
            padding=padding,
            kernel_dilation=kernel_dilation,
            use_bias=use_bias,
            mask=mask,
            dtype=dtype,
            param_dtype=param_dtype,
            precision=precision,
            # Flax knows of no groups: it would make the kernel of one group.
            kernel_init=lambda key, _, dtype: kernel_init(key, shape, dtype),
            bias_init=bias_init,
            transpose_kernel=transpose_kernel,
            promote_dtype=promote_dtype,
            preferred_element_type=preferred_element_type,
            rngs=rngs,
            kernel_metadata=kernel_metadata,
            bias_metadata=bias_metadata,
        )
        self.kernel_shape = shape
        self.feature_group_count = feature_group_count
        self.output_padding = output_padding
        self.method = method
        layers.keywords(self)  # a wrong argument is an error here, not at the first call

    def __call__(
        self, inputs: jax.Array | np.ndarray, *, output_size: PerAxis | None = None
    ) -> jax.Array:
        """The transposed convolution of ``inputs``.

        Args:
            inputs: ``(*batch, *spatial, in_features)``, with any number of batch axes or none.
            output_size: the spatial size wanted, among those that a convolution takes back to
                that of ``inputs``; an error lists them.

        Returns:
            ``(*batch, *out, out_features)``.
        """
        kernel = layers.masked(self.kernel[...], self.mask)
        bias = None if self.bias is None else self.bias[...]
        inputs, kernel, bias = self.promote_dtype((inputs, kernel, bias), dtype=self.dtype)
        return layers.conv_transpose(self, inputs, kernel, bias, output_size)
