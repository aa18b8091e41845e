"""Piece by piece: the two operations while their input still arrives along one axis.

A convolution over sound or video needs as many cells of the past as its kernel spans.  Carried from
piece to piece, these make the pieces equal to the whole, however it is cut: what all pieces and the
tail give, without its first ``latency`` cells, *is* the result of :func:`jtconv.conv_transpose` or
:func:`jtconv.conv`, for every padding.  The integers are derived in ``jtconv.problem.pieces``; a
step is the operation itself on one piece, so methods, dtypes, groups, layouts and derivatives are
those of the whole.

>>> import jax.numpy as jnp
>>> from jtconv import streaming
>>> x, w = jnp.arange(1., 6.)[:, None], jnp.ones((3, 1, 1))
>>> up = streaming.conv_transpose(w, stride=2)  # causal
>>> first, state = up.step(x[:3], up.init(x.shape))
>>> second, state = up.step(x[3:], state)
>>> print(jnp.concatenate([first, second, up.finish(state)])[up.latency:, 0])
[1. 1. 3. 2. 5. 3. 7. 4. 9. 5.]
"""

from __future__ import annotations

from jax.typing import ArrayLike, DTypeLike

from jtconv.api import DimensionNumbers, Method, Padding, PerAxis, Precision
from jtconv.problem.pieces import Carried
from jtconv.streaming.stream import Stream, stream

__all__ = ["Carried", "Stream", "conv", "conv_transpose"]


def conv_transpose(
    w: ArrayLike,
    bias: ArrayLike | None = None,
    *,
    stride: PerAxis = 1,
    padding: Padding = "CAUSAL",
    output_padding: PerAxis = 0,
    output_size: None = None,
    dilation: PerAxis = 1,
    groups: int = 1,
    axis: int = 0,
    dimension_numbers: DimensionNumbers = None,
    flip_kernel: bool = False,
    method: Method = "auto",
    precision: Precision = None,
    preferred_element_type: DTypeLike | None = None,
) -> Stream:
    """:func:`jtconv.conv_transpose` piece by piece: ``n`` cells in, ``n * stride`` out.

    Args:
        w, bias: kernel ``(*kernel, C_in // groups, C_out)`` and ``(C_out,)``.
        axis: the spatial axis that arrives piece by piece, time, as the kernel counts them.
        padding: as there; "CAUSAL" has no latency, and what every other adds is ``latency``.
        output_size: an error, for a stream does not know how long it will be.
        stride, output_padding, dilation, groups, dimension_numbers, flip_kernel, method, precision,
            preferred_element_type: as there.

    Returns:
        A :class:`Stream`.

    Raises:
        ValueError, TypeError: for a wrong argument, naming it, what it got and the fix.

    Streaming with carried overlaps is the overlap-add method of signal processing; causal decoders
    that need it are those of SoundStream (arXiv:2107.03312) and EnCodec (arXiv:2210.13438).

    >>> import jax.numpy as jnp
    >>> up = conv_transpose(jnp.ones((16, 512, 256)), stride=8, padding=4)
    >>> up.latency, up.tail, up.ratio == 8, str(up.carried)
    (4, 4, True, '1 inputs (2,048 bytes)')
    """
    keywords = {
        "stride": stride,
        "padding": padding,
        "dilation": dilation,
        "groups": groups,
        "dimension_numbers": dimension_numbers,
    }
    form = flip_kernel, method, precision, preferred_element_type
    extra = {"output_padding": output_padding, "output_size": output_size}
    return stream("conv_transpose", w, bias, axis, {**keywords, **extra}, *form)


def conv(
    w: ArrayLike,
    bias: ArrayLike | None = None,
    *,
    stride: PerAxis = 1,
    padding: Padding = "CAUSAL",
    dilation: PerAxis = 1,
    groups: int = 1,
    axis: int = 0,
    dimension_numbers: DimensionNumbers = None,
    flip_kernel: bool = False,
    method: Method = "auto",
    precision: Precision = None,
    preferred_element_type: DTypeLike | None = None,
) -> Stream:
    """:func:`jtconv.conv` piece by piece: ``n * stride`` cells in, ``n`` out.

    Args:
        w, bias: kernel ``(*kernel, C_in // groups, C_out)`` and ``(C_out,)``.
        axis: the spatial axis that arrives piece by piece, time, as the kernel counts them.
        padding: as there; "CAUSAL" has no latency, and what every other adds is ``latency``.
        stride, dilation, groups, dimension_numbers, flip_kernel, method, precision,
            preferred_element_type: as there.

    Returns:
        A :class:`Stream`.

    Raises:
        ValueError, TypeError: for a wrong argument, naming it, what it got and the fix.

    >>> import jax.numpy as jnp
    >>> down = conv(jnp.ones((4, 1, 1)), stride=2, padding="SAME")
    >>> y, state = down.step(jnp.ones((6, 1)), down.init((6, 1)))
    >>> print(y[down.latency:, 0], down.finish(state)[:, 0])
    [3. 4.] [3.]
    """
    keywords = {
        "stride": stride,
        "padding": padding,
        "dilation": dilation,
        "groups": groups,
        "dimension_numbers": dimension_numbers,
    }
    form = flip_kernel, method, precision, preferred_element_type
    return stream("conv", w, bias, axis, keywords, *form)
