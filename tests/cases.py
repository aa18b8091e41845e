"""Named problems, shared by the laws and the benchmark: small, asymmetric, one idea each."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np


class Case(NamedTuple):
    """One transposed convolution in the words of the law, channels last."""

    name: str
    x_size: tuple[int, ...]
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    crops: tuple[tuple[int, int], ...]
    channels: int = 2
    features: int = 3
    groups: int = 1
    batch: int = 2

    @property
    def x_shape(self) -> tuple[int, ...]:
        return (self.batch, *self.x_size, self.channels)

    @property
    def w_shape(self) -> tuple[int, ...]:
        return (*self.kernel, self.channels // self.groups, self.features)

    @property
    def y_size(self) -> tuple[int, ...]:
        columns = zip(self.x_size, self.kernel, self.stride, self.dilation, self.crops, strict=True)
        return tuple((n - 1) * s + d * (k - 1) + 1 - lo - hi for n, k, s, d, (lo, hi) in columns)

    @property
    def y_shape(self) -> tuple[int, ...]:
        return (self.batch, *self.y_size, self.features)

    @property
    def keywords(self) -> dict[str, Any]:
        """What ``conv_transpose`` and ``conv`` are called with."""
        return {
            "stride": self.stride,
            "dilation": self.dilation,
            "padding": self.crops,
            "groups": self.groups,
        }

    @property
    def adjoint_keywords(self) -> dict[str, Any]:
        """The same for the operation's adjoint, which reads the same kernel array."""
        space = "DHWT"[: len(self.x_size)]
        outside = f"N{space}C"
        return {**self.keywords, "dimension_numbers": (outside, f"{space}OI", outside)}

    def operands(
        self, rng: np.random.Generator, dtype: Any = np.float64
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Random ``x``, ``w`` and ``y``."""
        x, w, y = (
            random(rng, shape, dtype) for shape in (self.x_shape, self.w_shape, self.y_shape)
        )
        return x, w, y


def random(rng: np.random.Generator, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """Normal numbers, of both parts where the dtype has two; whole ones for integers."""
    dtype = np.dtype(dtype)
    if dtype.kind == "i":
        return rng.integers(-100, 100, shape).astype(dtype)
    values = rng.normal(size=shape)
    if dtype.kind == "c":
        return (values + 1j * rng.normal(size=shape)).astype(dtype)
    return values.astype(dtype)


def one_axis(
    name: str,
    x_size: int,
    kernel: int,
    stride: int = 1,
    dilation: int = 1,
    crops: tuple[int, int] = (0, 0),
    **rest: int,
) -> Case:
    """A case with one spatial axis."""
    return Case(name, (x_size,), (kernel,), (stride,), (dilation,), (crops,), **rest)


ONE_AXIS = (
    one_axis("pointwise", 4, 1),
    one_axis("pointwise_strided", 4, 1, 2),
    one_axis("k_below_s", 4, 2, 3),
    one_axis("k_is_s", 4, 2, 2, channels=3, features=2),
    one_axis("k_is_2s", 5, 4, 2, crops=(1, 1)),
    one_axis("k3_s2", 5, 3, 2, crops=(1, 0)),
    one_axis("full", 5, 4),
    one_axis("dilated", 6, 3, 1, 2, (2, 1)),
    one_axis("dilated_coprime", 5, 3, 3, 2, (1, 2)),
    one_axis("dilation_is_stride", 4, 3, 2, 2),
    one_axis("dilation_divides_stride", 3, 3, 4, 2, (0, 3)),
    one_axis("crops_beyond_kernel", 7, 2, 2, 1, (4, 5)),
    one_axis("extended", 3, 3, 2, 1, (-2, -3)),
    one_axis("front_grown_back_cut", 12, 2, 1, 1, (-1, 1), batch=1),
    one_axis("front_cut_back_grown", 5, 3, 2, 1, (3, -4)),
    one_axis("stride_beyond_input", 2, 3, 5, 1, (1, -2)),
    one_axis("output_of_one", 3, 3, 2, 1, (2, 4)),
    one_axis("input_of_one", 1, 4, 3),
    one_axis("depthwise_1d", 6, 5, 2, channels=3, features=3, groups=3),
)

TWO_AXES = (
    Case("gan", (3, 3), (4, 4), (2, 2), (1, 1), ((1, 1), (1, 1))),
    Case("lopsided", (2, 4), (3, 2), (2, 3), (2, 1), ((1, 0), (-1, 2))),
    Case("grouped", (3, 2), (3, 4), (2, 1), (1, 1), ((1, 0), (0, 1)), 4, 6, 2),
    Case("grouped_dilated", (3, 2), (2, 3), (2, 3), (3, 1), ((1, 1), (0, -1)), 4, 2, 2),
    Case("depthwise", (3, 2), (3, 4), (2, 2), (1, 1), ((1, 0), (1, 1)), 3, 3, 3),
    Case("multiplier", (2, 3), (4, 2), (2, 2), (1, 1), ((0, 1), (0, 0)), 2, 6, 2),
    Case("thin_axes", (1, 4), (1, 3), (2, 2), (1, 1), ((0, 0), (1, 1))),
    Case("no_batch", (2, 3), (3, 2), (2, 1), (1, 1), ((1, 0), (0, 0)), batch=0),
)

MORE_AXES = (
    Case("unet_3d", (2, 1, 3), (2, 2, 2), (2, 2, 2), (1, 1, 1), ((0, 0),) * 3),
    Case(
        "grouped_3d", (2, 1, 2), (3, 1, 2), (2, 1, 3), (1, 2, 1), ((1, 0), (0, 0), (0, -1)), 2, 4, 2
    ),
    Case("xla_aborts", (3, 2, 3), (4, 3, 4), (3, 3, 2), (1, 3, 1), ((3, 2), (0, 0), (3, 3))),
    Case(
        "four_axes",
        (2, 1, 2, 2),
        (2, 2, 1, 3),
        (2, 1, 1, 2),
        (1, 1, 1, 1),
        ((0, 0), (1, 0), (0, 0), (1, 0)),
    ),
)

CASES = ONE_AXIS + TWO_AXES + MORE_AXES
BY_NAME = {case.name: case for case in CASES}

# Few cases that between them hold every idea: the default run asks every method for these.
REPRESENTATIVE = tuple(
    BY_NAME[name] for name in ("k3_s2", "dilated_coprime", "grouped", "lopsided", "multiplier")
)
