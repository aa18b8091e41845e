"""flax.linen.ConvTranspose computed by jtconv: a layer, and those of a whole model."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import jax
import numpy as np
from flax import linen as nn

from jtconv import layers
from jtconv.conventions import flax
from jtconv.problem import arguments
from jtconv.rewrite.function import accelerating
from jtconv.typing import Method, Padding, PerAxis


class ConvTranspose(nn.ConvTranspose):
    """``flax.linen.ConvTranspose``: the same parameters and numbers, and what it lacks.

    Attributes:
        features: channels out.
        kernel_size, strides, padding, kernel_dilation, use_bias, mask, dtype, param_dtype,
            precision, kernel_init, bias_init, transpose_kernel, promote_dtype,
            preferred_element_type: as in Flax; ``padding`` may also be "SAME_LOWER",
            "CAUSAL", "FULL", "REFLECT" or "EDGE", and the kernel may have up to four axes.
        feature_group_count: groups of channels; each reads and writes its own slice.
        output_padding: cells added to the end of the output, below stride or dilation.
        method: as in :func:`jtconv.conv_transpose`.

    Raises:
        ValueError, TypeError: for a wrong argument, naming it.

    >>> import jax, jax.numpy as jnp
    >>> up = ConvTranspose(4, (3, 3), strides=(2, 2), feature_group_count=2)
    >>> x = jnp.ones((1, 5, 5, 8))
    >>> y, variables = up.init_with_output(jax.random.key(0), x, output_size=(9, 10))
    >>> jax.tree.map(jnp.shape, variables["params"]["kernel"]), y.shape
    ((3, 3, 4, 4), (1, 9, 10, 4))
    """

    # Flax's fields, whose annotations there say less than is taken.
    strides: PerAxis | None = None
    padding: Padding = "SAME"
    kernel_dilation: PerAxis | None = None
    # And ours.
    feature_group_count: int = 1
    output_padding: PerAxis = 0
    method: Method = "auto"

    @nn.compact
    def __call__(
        self, inputs: jax.Array | np.ndarray, *, output_size: PerAxis | None = None
    ) -> jax.Array:
        """The transposed convolution of ``inputs``.

        Args:
            inputs: ``(*batch, *spatial, channels)``, with any number of batch axes or none.
            output_size: the spatial size wanted, among those that a convolution takes back to
                that of ``inputs``; an error lists them.

        Returns:
            ``(*batch, *out, features)``.
        """
        return _call(self, inputs, output_size)


# The arguments are fields, for which Flax writes the constructor.
ConvTranspose.__init__ = arguments.suggests(ConvTranspose.__init__)  # type: ignore[method-assign]


def _call(layer: Any, inputs: Any, output_size: PerAxis | None = None) -> jax.Array:
    """What a Linen layer, Flax's or ours, computes."""
    return layers.conv_transpose(layer, *promoted(layer, inputs), output_size)


def promoted(layer: Any, inputs: Any) -> tuple[jax.Array, jax.Array, jax.Array | None]:
    """Inputs, kernel and bias of one dtype; the parameters are declared as Flax's layer does."""
    shape = flax.kernel_shape(
        layer.kernel_size,
        inputs.shape[-1],
        layer.features,
        getattr(layer, "feature_group_count", 1),
        layer.transpose_kernel,
    )
    kernel = layer.param("kernel", layer.kernel_init, shape, layer.param_dtype)
    bias = None
    if layer.use_bias:
        bias = layer.param("bias", layer.bias_init, (layer.features,), layer.param_dtype)
    kernel = layers.masked(kernel, layer.mask)
    return layer.promote_dtype(inputs, kernel, bias, dtype=layer.dtype)


_CONV_TRANSPOSE = inspect.unwrap(nn.ConvTranspose.__call__)
_CONV = inspect.unwrap(nn.Conv.__call__)


@contextmanager
def accelerate() -> Iterator[None]:
    """Let jtconv compute every ``flax.linen`` ``ConvTranspose`` and ``Conv`` that is called inside.

    The layers keep the parameters they always had. Of ``Conv`` the convolution alone is ours, where
    that is faster (:func:`jtconv.accelerate`). A transposed layer whose padding has a name that
    Flax does not know but lets pass ("same" for "SAME") is left to Flax. What ``jax.jit`` has
    compiled outside is not looked at again: enter this first.

    >>> import jax, jax.numpy as jnp
    >>> from flax import linen
    >>> layer = linen.ConvTranspose(4, (3, 3), strides=(2, 2))
    >>> with accelerate():
    ...     y, variables = layer.init_with_output(jax.random.key(0), jnp.ones((1, 5, 5, 8)))
    >>> y.shape
    (1, 10, 10, 4)
    """
    with nn.intercept_methods(_ours):
        yield


def _ours(next_method: Callable[..., Any], args: Any, kwargs: Any, context: Any) -> Any:
    """Our call where the method about to run is Flax's own, reached by ``super()`` or not."""
    method = getattr(context.orig_method, "func", None)
    if method is _CONV_TRANSPOSE and not flax.is_unknown_name(context.module.padding):
        return _call(context.module, *args, **kwargs)
    if method is _CONV and isinstance(context.module, nn.Conv):
        with accelerating():
            return next_method(*args, **kwargs)
    return next_method(*args, **kwargs)
