"""What accelerate does to a function, found by tracing it: a value that prints as a table."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.extend.core import jaxprs_in_params

from jtconv import devices
from jtconv.dispatch import tag
from jtconv.dispatch.choose import Choice, choose
from jtconv.dispatch.replacement import XLA
from jtconv.problem import arguments
from jtconv.problem.task import ROLES, Task
from jtconv.rewrite.equation import Decision, decide


@dataclass(frozen=True)
class Row:
    """One convolution: where it stands, what it is, what computes it and why.

    ``path`` leads through JAX's functions to it (``"jit/scan"``) and through the model's own
    names. ``side`` is the side of the law that it was read as, "" where it cannot be read.
    ``gain`` is XLA's time over ours, the least and the most that were measured in other layers of
    the kind; under a tuning, of this one. It is None where nothing was measured or replaced.
    """

    path: str
    source: str
    shapes: str
    side: str
    method: str
    reason: str
    gain: tuple[float, float] | None = None

    @property
    def is_left(self) -> bool:
        """Whether it stays XLA's own."""
        return self.method == XLA


MEASURED_ON = {"cpu": "two cores of a CPU", "cuda": "an H200"}


def _times(gain: tuple[float, float] | None) -> str:
    if gain is None:
        return ""
    return "-".join(dict.fromkeys(f"{ratio:.{0 if ratio >= 10 else 1}f}" for ratio in gain))


@dataclass(frozen=True)
class Report:
    """The convolutions of a function, in the order they are traced in; print it."""

    platform: str
    rows: tuple[Row, ...]

    @property
    def replaced(self) -> tuple[Row, ...]:
        """Those that jtconv computes."""
        return tuple(row for row in self.rows if not row.is_left)

    def __str__(self) -> str:
        title = (
            f"{len(self.replaced)} of {len(self.rows)} convolutions computed by jtconv "
            f"on {self.platform}"
        )
        head = ("where", "source", "shapes", "side", "by", "gain", "why")
        cells = [
            (r.path, r.source, r.shapes, r.side, r.method, _times(r.gain), r.reason)
            for r in self.rows
        ]
        if not cells:
            return title
        widths = [max(map(len, column)) for column in zip(head, *cells, strict=True)]
        lines = (
            "  ".join(map(str.ljust, row, widths)).rstrip()  # a column each
            for row in (head, *cells)
        )
        return "\n".join((title, *lines, *self._about_gains()))

    def _about_gains(self) -> Iterator[str]:
        if any(row.gain for row in self.rows):
            yield (
                "gain: XLA's time over ours, from least to most, as measured in some layers of the "
                f"kind on {MEASURED_ON[self.platform]}; under a tuning, in this one"
            )


def report_of(
    f: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    static_argnums: tuple[int, ...],
    static_argnames: tuple[str, ...],
    platform: str | None,
) -> Report:
    """The report on an accelerated function called with these arguments."""
    named = (
        devices.platform()
        if platform is None
        else arguments.choice("platform", platform, devices.PLATFORMS)
    )
    given: dict[str, Any] = {**{str(n): a for n, a in enumerate(args)}, **kwargs}
    fixed = {str(n % len(args)) for n in static_argnums if -len(args) <= n < len(args)}
    traced = {name: a for name, a in given.items() if name not in fixed.union(static_argnames)}
    leaves, tree = jax.tree.flatten(traced)
    arrays = {i: leaf for i, leaf in enumerate(leaves) if _is_array(leaf)}

    def call(arrays: dict[int, Any]) -> list[Any]:
        filled = jax.tree.unflatten(tree, [arrays.get(i, leaf) for i, leaf in enumerate(leaves)])
        every = {**given, **filled}
        out = f(
            *(every[str(n)] for n in range(len(args))), **{name: every[name] for name in kwargs}
        )
        return [leaf for leaf in jax.tree.leaves(out) if isinstance(leaf, jax.Array)]

    jaxpr = jax.make_jaxpr(call)(arrays)
    return Report(named, tuple(_rows(jaxpr.jaxpr, "", named)))


def _is_array(leaf: Any) -> bool:
    return isinstance(leaf, jax.Array | np.ndarray | jax.ShapeDtypeStruct)


def _rows(jaxpr: Any, path: str, platform: str) -> Iterator[Row]:
    for eqn in jaxpr.eqns:
        name = eqn.primitive.name
        here = "/".join(part for part in (path, str(eqn.source_info.name_stack)) if part)
        if name == "conv_general_dilated":
            yield _convolution(eqn, here, platform)
        elif name.startswith("jtconv_"):
            yield _ours(eqn, here, platform)
        else:
            inside = "/".join(part for part in (here, name) if part)
            for inner in jaxprs_in_params(eqn.params):
                yield from _rows(inner, inside, platform)


def _convolution(eqn: Any, path: str, platform: str) -> Row:
    lhs, rhs = (var.aval for var in eqn.invars)
    out, value = eqn.outvars[0].aval, tag.of(eqn.ctx)
    equation = tag.Equation(lhs, rhs, out, eqn.params)
    if value is None:
        decision = Decision(Choice(XLA, "traced outside of accelerate"))
    else:
        decision = decide(equation, platform, value)
    task = decision.task
    return Row(
        path,
        _source(eqn),
        _shapes(lhs, rhs, out),
        _side(task) if task else "",
        decision.choice.method,
        decision.choice.reason,
        decision.gain,
    )


def _ours(eqn: Any, path: str, platform: str) -> Row:
    """A primitive of jtconv, called as such."""
    (a, b), out = (var.aval for var in eqn.invars[:2]), eqn.outvars[0].aval
    side = eqn.primitive.name.removeprefix("jtconv_").removesuffix("_biased")
    params = eqn.params
    task = Task.of(
        side,
        params["geometry"],
        dict(zip(ROLES[side][:2], (a.shape, b.shape), strict=True)),
        a.dtype,
        params["result"],
        platform,
        params["precision"],
    )
    choice = choose(params["method"], task)
    reason = f"a call of jtconv: {choice.reason}"
    return Row(path, _source(eqn), _shapes(a, b, out), _side(task), choice.method, reason)


def _shapes(lhs: Any, rhs: Any, out: Any) -> str:
    texts = ("x".join(map(str, aval.shape)) for aval in (lhs, rhs, out))
    return "{} * {} -> {} {}".format(*texts, out.dtype.name)


def _side(task: Task) -> str:
    """The side, and what of stride, dilation and groups is not 1."""
    g, parts = task.geometry, [str(task.side)]
    for letter, values in (("s", g.stride), ("d", g.dilation)):
        if set(values) != {1}:
            parts.append(letter + ",".join(map(str, values)))
    if g.groups > 1:
        parts.append(f"g{g.groups}")
    return " ".join(parts)


def _source(eqn: Any) -> str:
    """The line that asks for a convolution: the innermost one outside of JAX and Flax."""
    traceback = eqn.source_info.traceback
    frames = traceback.frames if traceback is not None else ()
    for frame in frames:
        if not any(part in _LIBRARIES for part in Path(frame.file_name).parts):
            return f"{Path(frame.file_name).name}:{frame.line_num}"
    return ""


_LIBRARIES = ("jax", "flax", "jtconv")
