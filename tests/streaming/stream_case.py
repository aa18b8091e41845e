"""Random streams: an operation, its numbers, and how its input is cut into pieces."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jtconv
from jtconv import streaming
from jtconv.problem.padding import NAMES
from tests.cases import random


@dataclass(frozen=True)
class StreamCase:
    """One stream, of which ``keywords`` are those of the operation."""

    op: str
    axis: int
    x_shape: tuple[int, ...]
    w_shape: tuple[int, ...]
    dtype: str
    with_bias: bool
    cuts: tuple[int, ...]
    keywords: dict[str, Any]

    @property
    def time(self) -> int:
        """Where time lies in the input."""
        spec = self.keywords["dimension_numbers"]
        batched = len(self.x_shape) == len(self.w_shape)
        if spec is None:
            return self.axis + (1 if batched else 0)
        letters = [letter for letter in spec[1] if letter not in "IO"]
        return (spec[0] if batched else spec[0].replace("N", "")).index(letters[self.axis])

    def operands(self, rng: np.random.Generator) -> list[np.ndarray]:
        x, w = random(rng, self.x_shape, np.float64), random(rng, self.w_shape, np.float64)
        arrays = [x, w, *([random(rng, (self.features,), np.float64)] if self.with_bias else ())]
        if self.dtype == "int8":
            return [(9 * a).astype(np.int8) for a in arrays]
        return [a.astype(jnp.dtype(self.dtype)) for a in arrays]

    @property
    def features(self) -> int:
        spec = self.keywords["dimension_numbers"]
        return self.w_shape[-1 if spec is None else spec[1].index("O")]

    def whole(self, x: Any, w: Any, bias: Any = None) -> jax.Array:
        bias = None if bias is None else bias.astype(x.dtype)
        y: jax.Array = getattr(jtconv, self.op)(x, w, bias, **self.keywords)
        return y

    def stream(self, w: Any, bias: Any = None) -> streaming.Stream:
        make = getattr(streaming, self.op)
        stream: streaming.Stream = make(w, bias, axis=self.axis, **self.keywords)
        return stream

    def in_pieces(self, x: Any, w: Any, bias: Any = None) -> jax.Array:
        """What comes out of all pieces and the tail, without what lags."""
        stream = self.stream(w, bias)
        state, out = stream.init(x.shape), []
        at = stream.call.time(x.ndim)[1]
        for piece in jnp.split(x, self.cuts, self.time):
            y, after = stream.step(piece, state)
            assert (after.shape, after.dtype) == (state.shape, state.dtype)
            assert y.shape[at] == piece.shape[self.time] * stream.ratio
            out.append(y)
            state = after
        out.append(stream.finish(state))
        assert out[-1].shape[at] == stream.tail
        y = jnp.concatenate(out, at)
        return jax.lax.slice_in_dim(y, stream.latency, y.shape[at], axis=at)


def draw(rng: np.random.Generator) -> StreamCase:
    """A random one, whose whole result is not empty."""
    while True:
        case = _draw(rng)
        try:
            x, w = (jax.ShapeDtypeStruct(s, case.dtype) for s in (case.x_shape, case.w_shape))
            jax.eval_shape(case.whole, x, w)
        except ValueError:
            continue  # nothing is left of it
        return case


def _draw(rng: np.random.Generator) -> StreamCase:
    def pick(*choices: Any) -> Any:
        return choices[rng.integers(len(choices))]

    op, rank = pick("conv_transpose", "conv"), pick(1, 1, 1, 1, 2, 3)
    axis = int(rng.integers(rank))
    kernel = [int(rng.integers(1, 8 if a == axis else 4)) for a in range(rank)]
    stride = [int(rng.integers(1, 10 if a == axis else 3)) for a in range(rank)]
    dilation = [int(rng.integers(1, 5 if a == axis else 3)) for a in range(rank)]
    spans = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    groups = pick(1, 1, 2, 3)
    # Outputs are carried where there are far fewer of their channels.
    most = (1, 2, 20, 40) if op == "conv_transpose" else (1, 2, 4)
    channels, features = groups * pick(*most), groups * pick(1, 2, 4)
    n = int(rng.integers(1, pick(4, 12)))
    sizes = [int(rng.integers(3, 6)) for _ in range(rank)]
    unit = 1 if op == "conv_transpose" else stride[axis]
    sizes[axis] = unit * n
    crops = [tuple(int(c) for c in rng.integers(-4, span + 4, 2)) for span in spans]
    numbers: dict[str, Any] = {"padding": crops}
    if op == "conv_transpose":
        below = [max(pair) for pair in zip(stride, dilation, strict=True)]
        numbers["output_padding"] = pick(0, tuple(int(rng.integers(m)) for m in below))
    space = "HWT"[:rank]
    spec = pick(
        None, (f"NC{space}", f"IO{space}", f"NC{space}"), (f"{space}NC", f"{space}IO", f"C{space}N")
    )
    w_canonical = {"I": channels // groups, "O": features, **dict(zip(space, kernel, strict=True))}
    x_canonical = {"N": 2, "C": channels, **dict(zip(space, sizes, strict=True))}
    specs = spec or (f"N{space}C", f"{space}IO", f"N{space}C")
    x_letters = specs[0] if rng.integers(4) else specs[0].replace("N", "")
    return StreamCase(
        op,
        axis,
        tuple(x_canonical[letter] for letter in x_letters),
        tuple(w_canonical[letter] for letter in specs[1]),
        pick("float32", "float32", "bfloat16", "int8"),
        bool(rng.integers(2)),
        tuple(unit * int(c) for c in sorted({*rng.integers(1, n, pick(0, 1, 3))} if n > 1 else ())),
        {
            **pick(numbers, {"padding": pick(*NAMES)}),
            "stride": tuple(stride),
            "dilation": tuple(dilation),
            "groups": groups,
            "dimension_numbers": spec,
            "flip_kernel": bool(rng.integers(2)),
        },
    )
