"""The front door: parse, choose, run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike, DTypeLike

from jtconv import borders
from jtconv.dispatch import primitives
from jtconv.dispatch.choose import check_possible, parse_method
from jtconv.problem import arguments, dtypes
from jtconv.problem.call import Call
from jtconv.problem.task import SIDES, accumulator
from jtconv.typing import DimensionNumbers, Method, Op, Padding, PerAxis, Precision


@arguments.suggests
def conv_transpose(
    x: ArrayLike,
    w: ArrayLike,
    bias: ArrayLike | None = None,
    *,
    stride: PerAxis = 1,
    padding: Padding = 0,
    output_padding: PerAxis = 0,
    output_size: PerAxis | None = None,
    dilation: PerAxis = 1,
    groups: int = 1,
    dimension_numbers: DimensionNumbers = None,
    flip_kernel: bool = False,
    method: Method = "auto",
    precision: Precision = None,
    preferred_element_type: DTypeLike | None = None,
) -> jax.Array:
    """Transposed convolution: every input cell times the kernel, and overlaps add.

    Along each spatial axis, with input length n, kernel length k and crops (lo, hi)::

        y[s*i + d*t - lo, o] += x[i, c] * w[t, c, o]
        out = (n-1)*s + d*(k-1) + 1 - lo - hi

    The kernel is not flipped: this is the exact transpose (adjoint) of :func:`conv`, as
    in torch, and what ``jax.lax.conv_transpose`` computes with ``transpose_kernel=True``.

    Args:
        x: input, ``(batch, *spatial, C_in)`` with 1 to 4 spatial axes; one axis less is one
            example without a batch. A batch of 0 is fine.
        w: kernel, ``(*kernel, C_in // groups, C_out)``, of the dtype of ``x``.
        bias: ``(C_out,)``, of the dtype of ``x``, added to every output cell.
        stride: distance between the outputs of neighbouring input cells, in output cells; one
            int, or one per axis.
        padding: cells cropped from the full output: an int, one int per axis, one
            ``(lo, hi)`` pair per axis (negative extends with zeros), or a name: "SAME",
            "SAME_LOWER", "VALID", "FULL", "CAUSAL", in any letter case. With "CIRCULAR", "REFLECT"
            or "EDGE" the output has ``n * stride`` cells, and what leaves at one end is added where
            a convolution of that padding would have read it.
        output_padding: cells added to the end of what ``padding`` gives, in
            ``0 .. max(stride, dilation) - 1``.
        output_size: the spatial size wanted, one int or one per axis, among those that a
            convolution takes back to the input size; an error lists them. With "SAME",
            "SAME_LOWER" and "CAUSAL" these are ``(n-1)*s + 1 .. n*s``; with numbers, what
            ``padding`` gives and up to ``max(stride, dilation) - 1`` more.
        dilation: distance between neighbouring kernel cells, in output cells.
        groups: each group reads its own slice of the input channels and writes its own slice
            of the output channels.
        dimension_numbers: three strings, the order of the axes of input, kernel and output, such as
            ``("NCHW", "IOHW", "NCHW")``; channels last if None. A kernel whose O comes before
            its I may be the very array of the convolution this is the adjoint of.
        flip_kernel: flip every kernel axis first, as ``jax.lax.conv_transpose`` does
            unless told to transpose the kernel.
        method: "auto", the name of a method (see :func:`methods`), or several, of which the
            first that can do the problem runs.
        precision: as in ``jax.lax.conv_general_dilated``.
        preferred_element_type: dtype of the result; that of ``x`` if None, but int32 for int8
            and int16, whose sums would overflow.

    Returns:
        ``(batch, *out, C_out)``, or as ``dimension_numbers`` says.

    Raises:
        ValueError, TypeError: for a wrong argument, naming it, what it got and the fix.
        Unsupported: (a ValueError) where a named method cannot do the problem, on no platform or,
            once the program is lowered for one, on that.

    The arithmetic follows Dumoulin and Visin, "A guide to convolution arithmetic for deep
    learning" (arXiv:1603.07285).

    >>> import jax.numpy as jnp
    >>> x = jnp.array([[0., 1.], [2., 3.]])[..., None]  # one 2x2 picture, one channel
    >>> print(conv_transpose(x, x[..., None], stride=2)[..., 0])
    [[0. 0. 0. 1.]
     [0. 0. 2. 3.]
     [0. 2. 0. 3.]
     [4. 6. 6. 9.]]
    """
    keywords = {
        "stride": stride,
        "padding": padding,
        "output_padding": output_padding,
        "output_size": output_size,
        "dilation": dilation,
        "groups": groups,
        "dimension_numbers": dimension_numbers,
    }
    rest = flip_kernel, method, precision, preferred_element_type
    return _run("conv_transpose", x, w, bias, keywords, *rest)


@arguments.suggests
def conv(
    x: ArrayLike,
    w: ArrayLike,
    bias: ArrayLike | None = None,
    *,
    stride: PerAxis = 1,
    padding: Padding = 0,
    dilation: PerAxis = 1,
    groups: int = 1,
    dimension_numbers: DimensionNumbers = None,
    flip_kernel: bool = False,
    method: Method = "auto",
    precision: Precision = None,
    preferred_element_type: DTypeLike | None = None,
) -> jax.Array:
    """Convolution (cross-correlation, as deep learning has it): the adjoint of the other.

    Along each spatial axis, with zeros ``(lo, hi)`` around an input of length m::

        y[i, o] = sum over t, c of  x[s*i + d*t - lo, c] * w[t, c, o]
        out = (m + lo + hi - d*(k-1) - 1) // s + 1

    Args:
        x: input, ``(batch, *spatial, C_in)``; one axis less is one example without a batch.
        w: kernel, ``(*kernel, C_in // groups, C_out)``, of the dtype of ``x``. The array read
            as "HWIO" here is the kernel of the adjoint :func:`conv_transpose` as "HWOI".
        bias: ``(C_out,)``, of the dtype of ``x``.
        stride: distance between neighbouring windows, in input cells.
        padding: zeros put around the input: an int, one int per axis, one ``(lo, hi)`` pair
            per axis (negative cuts cells off), or "SAME", "SAME_LOWER", "VALID", "FULL",
            "CAUSAL", in any letter case; or where "SAME" has zeros, what ``numpy.pad`` puts there:
            "CIRCULAR" ("wrap", a period), "REFLECT" (a mirror) or "EDGE".
        dilation: distance between neighbouring kernel cells, in input cells.
        groups, dimension_numbers, method, precision, preferred_element_type: as in
            :func:`conv_transpose`.
        flip_kernel: flip every kernel axis first: convolution as signal processing has it.

    Returns:
        ``(batch, *out, C_out)``, or as ``dimension_numbers`` says.

    Raises:
        ValueError, TypeError: for a wrong argument, naming it, what it got and the fix.
        Unsupported: (a ValueError) where a named method cannot do the problem, on no platform or,
            once the program is lowered for one, on that.

    >>> import jax.numpy as jnp
    >>> x, w = jnp.arange(1., 5.)[:, None], jnp.array([1., 1., 0.])[:, None, None]
    >>> print(conv(x, w, padding="full", flip_kernel=True)[:, 0])  # numpy.convolve
    [1. 3. 5. 7. 4. 0.]
    """
    keywords = {
        "stride": stride,
        "padding": padding,
        "dilation": dilation,
        "groups": groups,
        "dimension_numbers": dimension_numbers,
    }
    return _run(
        "conv", x, w, bias, keywords, flip_kernel, method, precision, preferred_element_type
    )


@arguments.suggests
def output_shape(
    x_shape: Sequence[int],
    w_shape: Sequence[int],
    *,
    stride: PerAxis = 1,
    padding: Padding = 0,
    output_padding: PerAxis = 0,
    output_size: PerAxis | None = None,
    dilation: PerAxis = 1,
    groups: int = 1,
    dimension_numbers: DimensionNumbers = None,
    flip_kernel: bool = False,
    method: Method = "auto",
    precision: Precision = None,
    preferred_element_type: DTypeLike | None = None,
) -> tuple[int, ...]:
    """The shape :func:`conv_transpose` would return: integers in, integers out.

    Args:
        x_shape: shape of the input, with or without a batch.
        w_shape: shape of the kernel.
        stride, padding, output_padding, output_size, dilation, groups, dimension_numbers: as in
            :func:`conv_transpose`.
        flip_kernel, method, precision, preferred_element_type: checked; they change no shape.

    Raises:
        ValueError, TypeError: exactly as :func:`conv_transpose` would.

    >>> output_shape((1, 16, 16, 10), (5, 5, 10, 20), stride=3, padding=2)
    (1, 46, 46, 20)
    """
    dtypes.flag("flip_kernel", flip_kernel)
    parse_method(method)
    dtypes.precision(precision)
    if preferred_element_type is not None:
        dtypes.element_type(preferred_element_type)
    keywords = {
        "stride": stride,
        "padding": padding,
        "output_padding": output_padding,
        "output_size": output_size,
        "dilation": dilation,
        "groups": groups,
        "dimension_numbers": dimension_numbers,
    }
    return Call.of_shapes("conv_transpose", x_shape, w_shape, keywords).output_shape


def _run(
    op: Op,
    x: Any,
    w: Any,
    bias: Any,
    keywords: dict[str, Any],
    flip_kernel: Any,
    method: Any,
    precision: Any,
    preferred: Any,
) -> jax.Array:
    """What both operations share: check the arrays, look the call up, run it."""
    x, w = dtypes.array("x", x), dtypes.array("w", w)
    dtypes.check_same_dtype(x, "w", w)
    flip, methods = dtypes.flag("flip_kernel", flip_kernel), parse_method(method)
    result, precision = dtypes.result_dtype(x.dtype, preferred), dtypes.precision(precision)
    call = _parsed(op, x.shape, w.shape, **keywords)
    arrays = [x, w]
    if bias is not None:
        arrays.append(checked_bias(bias, call.out_channels, x))
    if "auto" not in methods:
        # What one platform lacks is refused when the program is lowered for it: eagerly, at once.
        check_possible(methods, call.task(x.dtype, result, precision=precision))
    return _compiled(call, flip, methods, precision, result)(*arrays)


def checked_bias(bias: Any, out_channels: int, x: jax.Array) -> jax.Array:
    """A bias as a user wrote it: one number per output channel, in the dtype of ``x``."""
    if isinstance(bias, int | str | tuple):
        raise TypeError(
            f"bias must be an array of shape ({out_channels},), got {bias!r}. If it was "
            f"meant for the stride or the padding: these go by name, stride={bias!r}."
        )
    array = dtypes.array("bias", bias)
    dtypes.check_bias(array, out_channels, x)
    return array


_parsed = arguments.parsed_once(Call.parse)


@lru_cache(maxsize=1024)
def _compiled(
    call: Call, flip: bool, methods: tuple[str, ...], precision: Any, result: str
) -> Callable[..., jax.Array]:
    """A checked call as one program, traced and compiled once for each dtype and context.

    From the user's layout to the canonical one, through a primitive, and back.
    """
    static = {
        "geometry": call.computed,
        "method": methods,
        "precision": precision,
        "result": result,
    }

    def operation(x: jax.Array, w: jax.Array, *bias: jax.Array) -> jax.Array:
        side = SIDES[call.op][0]
        bind = getattr(primitives, f"{side}_biased" if bias else side)
        x, w = call.layout.enter(x), call.canonical_kernel(w, flip)
        if call.border is not None and side == "fprop":
            x = borders.pad(x, call.border, call.pads)
        if call.border is not None and side == "dgrad":
            return call.layout.leave(_folded(call, x, w, *bias, **static))
        y: jax.Array = bind(x, w, *bias, **static)
        return call.layout.leave(y)

    operation.__name__ = operation.__qualname__ = call.op
    return jax.jit(operation, inline=True)


def _folded(
    call: Call, x: jax.Array, w: jax.Array, bias: Any = None, *, result: str, **static: Any
) -> jax.Array:
    """A transposed convolution, what is beyond the ends added inside: as wide as sums are."""
    wide = accumulator(x.dtype, jnp.dtype(result))
    y = primitives.dgrad(x, w, **static, result=wide.name)
    y = borders.fold(y, call.border or "", call.pads)
    return (y if bias is None else y + bias.astype(wide)).astype(result)
