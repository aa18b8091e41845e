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

from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike, DTypeLike

from jtconv import api
from jtconv.dispatch.choose import parse_method
from jtconv.problem import arguments, dtypes
from jtconv.problem.padding import Crops
from jtconv.problem.pieces import Carried
from jtconv.problem.stream import StreamCall, resized, state_of
from jtconv.typing import DimensionNumbers, Method, MethodName, Op, Padding, PerAxis, Precision

__all__ = ["Carried", "Stream", "conv", "conv_transpose"]


@arguments.suggests
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
    (4, 4, True, '1 input (2,048 bytes)')
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
    return _stream("conv_transpose", w, bias, axis, {**keywords, **extra}, *form)


@arguments.suggests
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
    return _stream("conv", w, bias, axis, keywords, *form)


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["w", "bias"],
    meta_fields=["call", "flip_kernel", "method", "precision"],
)
@dataclass(frozen=True, eq=False)
class Stream:
    """An operation fed piece by piece along one axis: pure functions, and the integers they obey.

    ``concat(pieces..., tail)[latency:]``, along that axis, is the whole result.  A pytree, whose
    leaves are the kernel and the bias.
    """

    w: jax.Array
    bias: jax.Array | None
    call: StreamCall
    flip_kernel: bool
    method: tuple[MethodName, ...]
    precision: Any

    @property
    def latency(self) -> int:
        """Output cells by which the pieces lag behind the whole result: 0 for "CAUSAL"."""
        return self.call.pieces.latency

    @property
    def tail(self) -> int:
        """Output cells that :meth:`finish` gives."""
        return self.call.pieces.tail

    @property
    def ratio(self) -> Fraction:
        """Output cells for each input cell: the stride, or one over that of a convolution."""
        return self.call.pieces.ratio

    @property
    def receptive_field(self) -> int:
        """Input cells along time, at most, that one output cell spans."""
        return self.call.pieces.receptive_field

    @property
    def carried(self) -> Carried:
        """What the state holds: inputs, or outputs that have begun, whichever are fewer bytes."""
        return self.call.carried

    def init(self, x: Any) -> jax.Array:
        """The state before the first piece: zeros.

        Args:
            x: a piece, a ``jax.ShapeDtypeStruct`` of one, or its shape; all pieces that follow have
                that shape, but for their length along time.

        Returns:
            One array, of as many cells along time as are carried: inputs in the dtype of ``w``, or
            sums in the dtype that these are held in (float32 of half floats, int32 of int8).

        Raises:
            ValueError, TypeError: if ``x`` is no piece of this stream.
        """
        if hasattr(x, "shape"):
            dtype = jax.dtypes.canonicalize_dtype(dtypes.dtype_of("x", x))
            dtypes.check_same_dtype(self.w, "x", jax.ShapeDtypeStruct((), dtype), "w")
            shape = tuple(x.shape)
        else:
            shape = arguments.shape("x", x, least=0)
        return jnp.zeros(*state_of(self.call, shape))

    def step(self, x: ArrayLike, state: ArrayLike) -> tuple[jax.Array, jax.Array]:
        """What comes out for a piece, and the state after it.

        Args:
            x: ``(batch, *spatial, C_in)``, or as ``dimension_numbers`` says, or without a batch; of
                any length along time, but of a convolution a multiple of its stride.
            state: that of :meth:`init`, or of the step before.

        Returns:
            ``ratio`` times as many cells as ``x`` has along time, and the next state.

        Raises:
            ValueError, TypeError: if ``x`` is no piece of the stream that ``state`` is of.
        """
        x = dtypes.array("x", x)
        dtypes.check_same_dtype(self.w, "x", x, "w")
        self.call.check_state(state, x.shape)
        self.call.check_length(x.shape)
        y: tuple[jax.Array, jax.Array] = _step(self, x, jnp.asarray(state))
        return y

    def finish(self, state: ArrayLike) -> jax.Array:
        """The last ``tail`` outputs. The state is not used up: pieces may follow another day.

        Raises:
            ValueError, TypeError: if ``state`` is not of this stream.
        """
        self.call.check_state(state)
        y: jax.Array = _finish(self, jnp.asarray(state))
        return y


def _stream(
    op: Op,
    w: Any,
    bias: Any,
    axis: Any,
    keywords: dict[str, Any],
    flip_kernel: Any,
    method: Any,
    precision: Any,
    preferred: Any,
) -> Stream:
    """A stream, from what a user wrote."""
    w = dtypes.array("w", w)
    types = w.dtype, jnp.dtype(dtypes.result_dtype(w.dtype, preferred))
    call = StreamCall.parse(op, axis, w.shape, types, **keywords)
    if bias is not None:
        known = [outputs for _, outputs in call.channels]
        wanted = known[-1] if getattr(bias, "shape", None) == (known[-1],) else known[0]
        bias = api.checked_bias(bias, wanted, w)
    flip, methods = dtypes.flag("flip_kernel", flip_kernel), parse_method(method)
    return Stream(w, bias, call, flip, methods, dtypes.precision(precision))


def _local(stream: Stream, x: jax.Array, bias: Any, along: Crops, result: Any) -> jax.Array:
    """The operation itself on cells of the stream, under these crops along time."""
    run = api.conv_transpose if stream.call.transposed else api.conv
    return run(
        x,
        stream.w,
        bias,
        **stream.call.keywords(x.shape, along),
        flip_kernel=stream.flip_kernel,
        method=stream.method,
        precision=stream.precision,
        preferred_element_type=result,
    )


@partial(jax.jit, inline=True)
def _step(stream: Stream, x: jax.Array, state: jax.Array) -> tuple[jax.Array, jax.Array]:
    """One program for each length of a piece."""
    call, held, pieces = stream.call, stream.carried.cells, stream.call.pieces
    at_x, at_y = call.time(x.ndim)
    if stream.carried.what == "inputs":
        fed = lax.concatenate([state, x], at_x) if held else x
        y = _local(stream, fed, stream.bias, pieces.crops_after_inputs, call.result)
        return y, _last(fed, held, at_x)
    sums = _local(stream, x, None, pieces.crops_before_outputs, state.dtype)
    sums = sums + _lengthened(state, sums.shape[at_y] - held, at_y)
    y = lax.slice_in_dim(sums, 0, sums.shape[at_y] - held, axis=at_y)
    return _leave(stream, y), _last(sums, held, at_y)


@partial(jax.jit, inline=True)
def _finish(stream: Stream, state: jax.Array) -> jax.Array:
    call, held, tail = stream.call, stream.carried.cells, stream.tail
    at_x, at_y = call.time(state.ndim)
    if stream.carried.what == "outputs":
        left = lax.slice_in_dim(state, 0, min(tail, held), axis=at_y)
        return _leave(stream, _lengthened(left, max(tail - held, 0), at_y))
    if tail and held:
        return _local(stream, state, stream.bias, call.pieces.crops_of_tail, call.result)
    shape = call.output_shape(resized(state.shape, at_x, call.unit), tail)
    return _leave(stream, jnp.zeros(shape, call.accumulator))


def _leave(stream: Stream, sums: jax.Array) -> jax.Array:
    """Sums as outputs: the bias is added here, once."""
    if stream.bias is not None:
        at = stream.call.layout(sums.ndim == stream.w.ndim).position("C", 2)
        bias = stream.bias.astype(sums.dtype)
        sums = sums + lax.broadcast_in_dim(bias, sums.shape, [at])
    return sums.astype(stream.call.result)


def _last(a: jax.Array, cells: int, axis: int) -> jax.Array:
    return lax.slice_in_dim(a, a.shape[axis] - cells, a.shape[axis], axis=axis)


def _lengthened(a: jax.Array, cells: Any, axis: int) -> jax.Array:
    """More zeros at the end."""
    widths = [(0, cells if index == axis else 0, 0) for index in range(a.ndim)]
    return lax.pad(a, jnp.zeros((), a.dtype), widths)
