"""explain: check the call, and gather its plan."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import jax.numpy as jnp
from jax.typing import DTypeLike

from jtconv import conventions, devices
from jtconv.algorithms import ALGORITHMS
from jtconv.dispatch.choose import (
    choose,
    cost,
    keeps_infinities,
    note,
    parse_method,
    refusal,
    spreads,
)
from jtconv.dispatch.tuning import timings
from jtconv.plan import subject
from jtconv.plan.axes import axis_plans
from jtconv.plan.plan import Memory, MethodRow, Plan, SidePlan, StreamPlan
from jtconv.problem import arguments, dtypes, symbolic
from jtconv.problem.call import Call
from jtconv.problem.stream import StreamCall
from jtconv.problem.task import SIDES, Task
from jtconv.typing import DimensionNumbers, Method, Op, Padding, PerAxis, Platform, Precision

_ROLES = ("forward", "gradient by x", "gradient by w")


@arguments.suggests
def explain(
    x: Any,
    w: Any,
    bias: Any = None,
    *,
    op: Op = "conv_transpose",
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
    time: bool = False,
    streaming: bool = False,
    axis: int = 0,
    platform: Platform | None = None,
    verbose: bool = False,
) -> Plan:
    """What a call would do: law, sizes, costs, the layer in other frameworks, and the methods.

    Args:
        x, w, bias: arrays, ``jax.ShapeDtypeStruct``, or shapes, of which ``x`` is float32 and the
            others as ``x``; only shape and dtype are looked at. In place of ``w`` a layer, as text
            of torch, Keras or Flax, or an object of torch or Flax: it says all but ``x``, whose
            channels are last.
        op: "conv_transpose" or "conv".
        stride, padding, output_padding, output_size, dilation, groups, dimension_numbers,
            flip_kernel, method, precision, preferred_element_type: as in the operation.
        time: measure every method on every side, too: some seconds, on numbers made up here.
        streaming: say, too, what :mod:`jtconv.streaming` of it carries along the spatial axis
            ``axis`` from piece to piece, and by how much pieces lag.
        platform: "cpu", "cuda", "rocm" or "tpu", for which methods are chosen and refused; it need
            not be here. The one that computations run on if None.
        verbose: whether printing it shows every method and the layer in other frameworks, too, as
            it does with ``time``.

    Returns:
        A :class:`Plan`; print it.

    Raises:
        ValueError, TypeError: exactly as the operation would; for an unknown ``platform``, and for
            one to be timed that is not the one here.
        RuntimeError: where no ``platform`` is given and JAX finds no device.

    The receptive field and the sizes are those of Dumoulin and Visin (arXiv:1603.07285), uneven
    overlap is what Odena et al. call a checkerboard (Distill, 2016).

    >>> import jax.numpy as jnp
    >>> plan = explain(jnp.zeros((1, 2, 2, 1)), jnp.zeros((4, 4, 1, 1)), stride=3)
    >>> plan.output_shape, plan.multiply_adds, plan.receptive_field
    ((1, 7, 7, 1), 64, (2, 2))
    >>> plan.axes[0].law, plan.axes[0].reachable
    ('y[3*i + t] += x[i] * w[t]', range(7, 10))
    >>> layer = explain((1, 5, 5, 16), "ConvTranspose2d(16, 33, 3, stride=2, padding=1)")
    >>> layer.axes[0].size_formula
    '(in - 1)*stride - 2*padding + dilation*(kernel_size - 1) + output_padding + 1'
    >>> layer.axes[0].size_law
    '(5 - 1)*2 - 2*1 + 1*(3 - 1) + 0 + 1 = 9'

    :attr:`Plan.memory` is in bytes. Where there is too little, ``method="dilated"`` is one
    convolution of XLA, which holds little besides the arrays; ``auto`` may trade memory for time.
    """
    if not isinstance(op, str) or op not in SIDES:
        raise ValueError(f"op must be 'conv_transpose' or 'conv', got {op!r}.")
    x = subject.array("x", x)
    framework = "jtconv"
    found = subject.layer_of(w)
    if found is not None:
        _check_layer_alone(
            bias, op, stride, padding, output_padding, dilation, groups, flip_kernel,
            dimension_numbers,
        )  # fmt: skip
        w, bias = subject.arrays_of(found, x)
        op, framework, known = found.op, found.framework, found.keywords
        stride, padding, dilation = known["stride"], known["padding"], known["dilation"]
        groups, flip_kernel = known["groups"], known.get("flip_kernel", False)
        output_padding = known.get("output_padding", 0)
    w = subject.array("w", w, x.dtype)
    dtypes.check_same_dtype(x, "w", w)
    wanted = parse_method(method)
    precision = dtypes.precision(precision)
    result = dtypes.result_dtype(x.dtype, preferred_element_type)
    flip = dtypes.flag("flip_kernel", flip_kernel)
    timed = dtypes.flag("time", time)
    in_pieces = dtypes.flag("streaming", streaming)
    keywords: dict[str, Any] = {
        "stride": stride,
        "padding": padding,
        "dilation": dilation,
        "groups": groups,
        "dimension_numbers": dimension_numbers,
    }
    if op == "conv_transpose" or output_size is not None:
        keywords["output_size"] = output_size
    if op == "conv_transpose" or output_padding != 0:
        keywords["output_padding"] = output_padding
    call = Call.of_shapes(op, x.shape, w.shape, keywords, names=("x", "w"))
    if timed:
        symbolic.check_numbers("x", call.geometry.x_size, "time measures one size")
    if bias is not None:
        bias = subject.array("bias", bias, x.dtype)
        dtypes.check_bias(bias, call.out_channels, x)
    layer = conventions.Layer(call, bias is not None, flip)
    task = call.task(x.dtype, result, _platform(platform, timed), precision)
    sides = tuple(_side_plan(op, role, wanted, task, timed) for role in range(3))
    return Plan(
        call=call,
        platform=task.platform,
        input_shape=tuple(x.shape),
        output_shape=call.output_shape,
        parameters=math.prod(w.shape) + (call.out_channels if bias is not None else 0),
        multiply_adds=task.multiply_adds,
        dense_multiply_adds=_dense(call, task),
        axes=axis_plans(layer, padding, framework),
        conventions=conventions.to_text(layer),
        sides=sides,
        memory=_memory(x, w, bias, call, result, sides[0]),
        dtype=x.dtype.name,
        verbose=dtypes.flag("verbose", verbose) or timed,
        streaming=_stream_plan(call, task, w.shape, keywords, axis) if in_pieces else None,
    )


def _stream_plan(
    call: Call, task: Task, w_shape: Any, given: dict[str, Any], axis: Any
) -> StreamPlan:
    types = task.dtype, task.result_dtype
    stream = StreamCall.parse(call.op, axis, tuple(w_shape), types, **given)
    name = call.layout.spatial[stream.axis]
    return StreamPlan(name, stream.pieces, *stream.candidates)


def _platform(given: str | None, timed: bool) -> str:
    """What methods are chosen for; without a device only where nothing is to be measured."""
    if given is not None:
        if given == "gpu":
            raise ValueError("platform must say whose GPU: 'cuda' (NVIDIA) or 'rocm' (AMD).")
        arguments.choice("platform", given, devices.PLATFORMS)
        if not timed:
            return given
    try:
        here = devices.platform()
    except devices.NoDevice as error:
        known = ", ".join(devices.PLATFORMS)
        raise devices.NoDevice(f"{error} Or explain it for a platform, of {known}.") from None
    if given not in (None, here):
        raise ValueError(
            f"time measures on the platform here, {here}, not on {given}: leave out one of both."
        )
    return here


def _check_layer_alone(bias: Any, op: Any, *others: Any) -> None:
    """A layer says everything itself."""
    names = ("stride", "padding", "output_padding", "dilation", "groups", "flip_kernel")
    defaults = (1, 0, 0, 1, 1, False, None)
    columns = zip((*names, "dimension_numbers"), others, defaults, strict=True)
    said = [name for name, value, default in columns if value is not default]
    said += ["bias"] if bias is not None else []
    said += ["op"] if op != "conv_transpose" else []
    if said:
        raise ValueError(f"w is a whole layer, which says its own {said[0]}: leave that out.")


def _memory(x: Any, w: Any, bias: Any, call: Call, result: Any, forward: SidePlan) -> Memory:
    """Bytes of the arrays, and of the chosen method's temporaries."""
    operands = sum(math.prod(a.shape) * a.dtype.itemsize for a in (x, w, bias) if a is not None)
    cost = forward.chosen.cost
    return Memory(
        operands,
        math.prod(call.output_shape) * jnp.dtype(result).itemsize,
        cost.temporary_bytes if cost else 0,
    )


def _dense(call: Call, task: Task) -> int:
    """Multiply-adds of a plain convolution of the input with all its zeros."""
    g, per_tap = call.geometry, task.batch * task.x_channels_per_group * task.y_channels
    size = g.y_size if call.op == "conv_transpose" else g.x_size
    return math.prod(size) * math.prod(g.kernel) * per_tap


def _side_plan(op: Op, number: int, wanted: tuple[str, ...], forward: Task, time: bool) -> SidePlan:
    """The plan of the operation (0), or of its gradient by x or by w."""
    side = SIDES[op][number]
    task = replace(forward, side=side)
    if number:  # a cotangent has the dtype of the result, its gradient that of the operand
        common = dtypes.common(forward.dtype, forward.result_dtype)
        task = replace(task, dtype=common, result_dtype=forward.dtype)
    fastest: dict[str, float] = {}
    for t in timings(task) if time else ():
        if t.seconds is not None:
            fastest[t.method] = min(t.seconds, fastest.get(t.method, t.seconds))
    rows = tuple(_row(name, task, fastest.get(name)) for name in ALGORITHMS)
    choice = choose(wanted, task)
    kept = keeps_infinities(wanted, choice, task) or not spreads(choice.method, task)
    return SidePlan(_ROLES[number], side, choice, rows, kept)


def _row(name: str, task: Task, seconds: float | None) -> MethodRow:
    why_not = refusal(name, task)
    if why_not:
        return MethodRow(name, why_not, None, seconds)
    return MethodRow(name, None, cost(name, task), seconds, note(name, task), spreads(name, task))
