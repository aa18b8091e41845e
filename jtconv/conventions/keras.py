"""Keras: ``keras.layers.Conv2DTranspose`` and its kin, whose padding has names and no numbers.

``output_padding`` None is not 0: "same" then crops to ``n * stride`` cells and "valid" only adds;
with a number "same" makes ``(n - 1) * stride + D % 2`` cells and so many more, ``D`` being the
effective kernel.  All as its JAX backend decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Literal

from jtconv.conventions import text
from jtconv.conventions.layer import (
    EXAMPLE_KERNEL,
    EXAMPLE_STRIDE,
    Inexpressible,
    Layer,
    LayerSpec,
    LayerText,
    PaddingRow,
    PerAxis,
)
from jtconv.problem import arguments
from jtconv.problem import padding as ours
from jtconv.problem.geometry import Axis
from jtconv.problem.padding import Crops

EXAMPLE = "Conv2DTranspose(33, 3, padding='same')"
_LAST = (
    "activation=None, use_bias=True, kernel_initializer=None, bias_initializer=None, "
    "kernel_regularizer=None, bias_regularizer=None, activity_regularizer=None, "
    "kernel_constraint=None, bias_constraint=None, name=None, dtype=None, trainable=None, "
    "input_shape=None"
)
_TRANSPOSED = text.signature(
    "filters, kernel_size, strides=1, padding='valid', output_padding=None, data_format=None, "
    f"dilation_rate=1, {_LAST}"
)
_PLAIN = text.signature(
    "filters, kernel_size, strides=1, padding='valid', data_format=None, dilation_rate=1, "
    f"groups=1, {_LAST}"
)
SIGNATURES = {f"Conv{n}DTranspose": _TRANSPOSED for n in (1, 2, 3)} | {
    f"Conv{n}D": _PLAIN for n in (1, 2, 3)
}

PaddingName = Literal["valid", "same", "VALID", "SAME"]


def crops(
    kernel_size: Sequence[int],
    strides: int | Sequence[int] = 1,
    padding: PaddingName = "valid",
    output_padding: int | Sequence[int] | None = None,
    dilation_rate: int | Sequence[int] = 1,
) -> tuple[Crops, ...]:
    """What Keras's arguments crop from the full output.

    >>> crops((3,), 2, "same"), crops((3,), 2, "same", 0), crops((3,), 2, "valid", 1)
    (((0, 1),), ((1, 1),), ((0, -1),))
    """
    rank = len(kernel_size)
    name = arguments.choice("padding", padding, ("VALID", "SAME"), any_case=True)
    stride = arguments.per_axis("strides", strides, rank, least=1)
    dilation = arguments.per_axis("dilation_rate", dilation_rate, rank, least=1)
    extra: Sequence[int | None] = (None,) * rank
    if output_padding is not None:
        extra = arguments.per_axis("output_padding", output_padding, rank, least=0)
    columns = zip(extra, ours.effective_kernels(kernel_size, dilation), stride, strict=True)
    return tuple(_cropped(name, *column) for column in columns)


def _cropped(name: str, output_padding: int | None, effective: int, stride: int) -> Crops:
    """The crops of one axis by "VALID" or "SAME"."""
    if output_padding is None:
        return ours.from_name(name, effective, stride)
    if name == "VALID":
        return 0, -output_padding
    total = effective - effective % 2 - output_padding
    lo = max(total // 2, 0)
    return lo, total - lo


def from_crops(
    crops: Sequence[Crops],
    kernel: PerAxis,
    stride: PerAxis,
    dilation: PerAxis,
    names: Sequence[str] = ("valid", "same"),
) -> dict[str, Any]:
    """The ``padding`` and ``output_padding`` that make these crops, by the first of ``names``.

    >>> from_crops([(0, 1)], (3,), (2,), (1,)), from_crops([(1, 1)], (3,), (2,), (1,))
    ({'padding': 'same'}, {'padding': 'same', 'output_padding': (0,)})
    """
    columns = list(zip(crops, ours.effective_kernels(kernel, dilation), stride, strict=True))
    for name in names:
        if all(_cropped(name.upper(), None, d, s) == pair for pair, d, s in columns):
            return {"padding": name}
        extra = [_output_padding(name.upper(), *column) for column in columns]
        if None not in extra:
            return {"padding": name, "output_padding": tuple(extra)}
    raise Inexpressible(f"no padding name of Keras crops {', '.join(map(str, crops))}")


def _output_padding(name: str, pair: Crops, effective: int, stride: int) -> int | None:
    """The number, below the stride, that makes these crops of one axis."""
    numbers = (n for n in range(stride) if _cropped(name, n, effective, stride) == pair)
    return next(numbers, None)


def _from_zeros(layer: Layer) -> dict[str, Any]:
    """The name that puts these zeros around the input of a convolution."""
    for name in ("valid", "same", *(("causal",) if layer.rank == 1 else ())):
        if all(_pads(name, axis) for axis in layer.axes):
            return {"padding": name, "groups": layer.groups}
    raise Inexpressible(f"no padding name of Keras has zeros {', '.join(map(str, layer.crops))}")


def _pads(name: str, axis: Axis) -> bool:
    """Whether the named zeros are those of the axis, but for some at the end that nothing reads."""
    size = axis.y_size, axis.effective_kernel, axis.stride
    lo, hi = ours.of_convolution(name.upper(), *size)
    return lo == axis.lo and axis.hi <= hi < axis.hi + axis.stride


def to_text(layer: Layer) -> LayerText:
    """The layer, where its crops are those of a name."""
    try:
        _check(layer)
        more = from_crops(*layer.columns) if layer.transposed else _from_zeros(layer)
    except Inexpressible as why_not:
        return LayerText("keras", None, why_not=str(why_not))
    written = text.call(
        f"keras.layers.Conv{layer.rank}D{'Transpose' if layer.transposed else ''}",
        layer.call.out_channels,
        layer.each("kernel"),
        defaults=text.defaults(_TRANSPOSED if layer.transposed else _PLAIN),
        strides=layer.each("stride"),
        **more,
        dilation_rate=layer.each("dilation"),
        use_bias=layer.bias,
    )
    axes = "*k, O, I" if layer.transposed else "*k, I // groups, O"
    return LayerText("keras", written, text.kernel(layer, axes, flipped=layer.flip))


def _check(layer: Layer) -> None:
    if layer.rank > 3:
        raise Inexpressible("Keras's layers have 1 to 3 spatial axes")
    if layer.transposed and layer.groups > 1:
        raise Inexpressible("Keras's transposed convolutions have no groups")
    if max(layer.each("stride")) > 1 and max(layer.each("dilation")) > 1:
        raise Inexpressible("Keras takes strides or dilation_rate, not both")


def from_text(source: str) -> LayerSpec:
    """``Conv2DTranspose(33, 3, strides=2, padding='same')``, or ``Conv2D`` and its kin."""
    name, given = text.parse(source, SIGNATURES)
    rank, transposed = int(name[4]), name.endswith("Transpose")
    kernel = arguments.per_axis("kernel_size", given["kernel_size"], rank, least=1)
    strides = arguments.per_axis("strides", given["strides"], rank, least=1)
    rates = arguments.per_axis("dilation_rate", given["dilation_rate"], rank, least=1)
    if max(strides) > 1 and max(rates) > 1:
        raise ValueError(f"{name}: Keras takes strides or dilation_rate, not both.")
    names = ("VALID", "SAME", *(("CAUSAL",) if not transposed and rank == 1 else ()))
    padding: Any = arguments.choice("padding", given["padding"], names, any_case=True)
    if transposed and given["output_padding"] is not None:
        extra = arguments.per_axis("output_padding", given["output_padding"], rank, least=0)
        if any(e >= s for e, s in zip(extra, strides, strict=True)):
            raise ValueError(
                f"{name}: output_padding must be smaller than strides {strides}, got {extra}."
            )
        padding = crops(kernel, strides, padding, extra, rates)
    return LayerSpec(
        "conv_transpose" if transposed else "conv",
        None,
        arguments.integer("filters", given["filters"], least=1),
        kernel,
        bool(given["use_bias"]),
        {
            "stride": strides,
            "padding": padding,
            "dilation": rates,
            "groups": 1 if transposed else given["groups"],
        },
    )


_example = partial(crops, (EXAMPLE_KERNEL,), EXAMPLE_STRIDE)
PADDING = (
    PaddingRow(
        "Keras", "same", "max(D - D % 2 - a, 0) // 2", "D - D % 2 - a - lo",
        _example, {"padding": "same", "output_padding": 0},
    ),
    PaddingRow(
        "Keras", "valid", "0", "-a", _example, {"padding": "valid", "output_padding": 1}
    ),
)  # fmt: skip
