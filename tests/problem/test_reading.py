"""Every reading of a convolution is the law, and the one taken first is the one that was meant."""

from __future__ import annotations

import itertools

import jax
import jax.numpy as jnp
import pytest
from jax import lax

from jtconv.problem.geometry import Axis
from jtconv.problem.reading import Form, readings
from jtconv.rewrite.function import accelerate, forced
from tests.selection import rows

# One axis: cells of lhs and rhs.
SIZES = ((1, 1), (4, 3), (3, 5), (1, 3), (5, 1))


def products(m: int, k: int, a: int, d: int, s: int, lo: int, n: int) -> set[tuple[int, int, int]]:
    """``(j, t, i)`` of every product: XLA's own law."""
    cells = itertools.product(range(m), range(k), range(n))
    return {(j, t, i) for j, t, i in cells if a * j == s * i + d * t - lo}


def by_law(axis: Axis) -> set[tuple[int, int, int]]:
    """``(x, w, y)`` of every product."""
    return {(i, t, cell) for cell in range(axis.y_size) for i, t in axis.taps(cell)}


@pytest.mark.parametrize(("m", "k"), SIZES)
def test_every_reading_has_the_products_of_the_convolution(m, k):
    for a, d, s in itertools.product((1, 2, 3), repeat=3):
        for lo, hi in ((0, 0), (2, -1), (-1, 3), (4, 4)):
            n = (a * (m - 1) + lo + hi - d * (k - 1)) // s + 1
            if n >= 1:
                check_readings(m, k, n, a, d, s, lo)


def check_readings(m: int, k: int, n: int, a: int, d: int, s: int, lo: int) -> None:
    form = Form(((1, 1, m), (1, 1, k), (1, 1, n)), ((0, 1, 2),) * 3, (s,), (lo,), (a,), (d,))
    want, found = products(m, k, a, d, s, lo, n), readings(form)
    assert len(found) == 2 * sum((m == 1 or a == 1, n == 1 or s == 1, k == 1 or d == 1))
    for reading in found:
        at = [reading.roles.index(role) for role in "xwy"]
        got = set()
        for triple in by_law(reading.geometry.axes[0]):
            cells = dict(zip(at, triple, strict=True))
            if reading.flipped == "rhs":
                cells[1] = k - 1 - cells[1]
            if reading.flipped == "out":
                cells[2] = n - 1 - cells[2]
            got.add((cells[0], cells[1], cells[2]))
        assert got == want, reading


GEOMETRIES = {
    # name: kernel, stride, dilation, padding, groups, input size; channels are 4 -> 8
    "3x3": (3, 1, 1, "SAME", 1, 14),
    "1x1": (1, 1, 1, "SAME", 1, 14),
    "1x1 s2": (1, 2, 1, "SAME", 1, 14),
    "stem": (7, 2, 1, "SAME", 1, 28),
    "grouped": (3, 1, 1, "SAME", 2, 14),
    "depthwise": (3, 1, 1, "SAME", 4, 14),
    "depthwise s2": (5, 2, 1, "SAME", 4, 14),
    "strided": (3, 2, 1, "SAME", 1, 15),
    "dilated": (3, 1, 2, "SAME", 1, 14),
    "patchify": (16, 16, 1, "VALID", 1, 224),
    "large kernel": (13, 1, 1, "SAME", 1, 14),
}
LAYOUTS = {
    "last": ("NHWC", "HWIO", "NHWC"),
    "first": ("NCHW", "OIHW", "NCHW"),
    "mixed": ("NHWC", "OIHW", "NCHW"),
}


WRITTEN = {
    f"{name}, {layout}{', vmap' * batched}": (name, layout, batched)
    for name in GEOMETRIES
    for layout in LAYOUTS
    for batched in (False, True)
}
DEFAULT = ("3x3, last", "stem, first", "depthwise s2, last, vmap", "patchify, mixed")


@pytest.mark.parametrize(("name", "layout", "batched"), rows(WRITTEN, default=DEFAULT))
def test_gradients_that_jax_wrote_are_read_as_meant(name, layout, batched):
    k, s, d, padding, groups, size = GEOMETRIES[name]
    numbers = LAYOUTS[layout]
    shape = {"N": 2, "C": 4, "H": size, "W": size, "I": 4 // groups, "O": 8}
    kernel = {**shape, "H": k, "W": k}
    x = jax.ShapeDtypeStruct(tuple(shape[c] for c in numbers[0]), jnp.float32)
    w = jax.ShapeDtypeStruct(tuple(kernel[c] for c in numbers[1]), jnp.float32)

    def conv(x, w):
        return lax.conv_general_dilated(
            x, w, (s, s), padding, rhs_dilation=(d, d), dimension_numbers=numbers,
            feature_group_count=groups,
        )  # fmt: skip

    def gradients(x, w):
        return jax.grad(lambda x, w: jnp.sum(jnp.sin(conv(x, w))), (0, 1))(x, w)

    f = forced(jax.vmap(gradients, (0, None)) if batched else gradients, "auto")
    if batched:
        x = jax.ShapeDtypeStruct((3, *x.shape), x.dtype)
    sides = [row.side.split()[0] for row in accelerate.report(f, x, w).rows]
    assert sides == ["fprop", "wgrad", "dgrad"]
