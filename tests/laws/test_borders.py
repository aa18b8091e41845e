"""CIRCULAR, REFLECT and EDGE: numpy.pad's cells in ``conv``, and their adjoint."""

from __future__ import annotations

import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jtconv
from jtconv import draw, streaming
from tests.cases import random
from tests.compare import assert_close
from tests.selection import exhaustive, rows

MODES = {"CIRCULAR": "wrap", "REFLECT": "reflect", "EDGE": "edge"}
every = pytest.mark.parametrize("border", MODES)
each = pytest.mark.parametrize("border", rows(list(MODES), ["REFLECT"]))


def zeros_of_same(m, k, s, d):
    """The cells that SAME has zeros in: those of the least total, the odd one behind."""
    total = max((-(-m // s) - 1) * s + d * (k - 1) + 1 - m, 0)
    return total // 2, total - total // 2


# Input of the convolution, kernel, stride and dilation, per axis; groups.
NUMBERS: dict[str, tuple[Any, ...]] = {
    "k3": ((6,), (3,), (1,), (1,), 1),
    "even": ((7,), (4,), (1,), (1,), 1),
    "strided": ((9,), (5,), (2,), (1,), 1),
    "dilated": ((8,), (3,), (2,), (3,), 1),
    "stride_beyond": ((9,), (2,), (3,), (1,), 1),
    "more_than_there_is": ((3,), (6,), (1,), (3,), 1),
    "one_cell": ((1,), (3,), (1,), (1,), 1),
    "two_axes": ((6, 4), (3, 4), (2, 1), (1, 2), 1),
    "groups": ((6, 4), (3, 4), (2, 2), (1, 1), 2),
    "depthwise": ((6, 5, 4), (3, 1, 5), (2, 1, 2), (1, 1, 1), 4),
}
DEFAULT = ["more_than_there_is", "groups"]


def operands(size, kernel, groups, rng, dtype="float64"):
    w = random(rng, (*kernel, 4 // groups, 8), np.dtype("float64")).astype(dtype)
    return random(rng, (2, *size, 4), np.dtype("float64")).astype(dtype), w


@every
@pytest.mark.parametrize(("size", "kernel", "stride", "dilation", "groups"), rows(NUMBERS, DEFAULT))
def test_conv_is_that_of_what_numpy_pads(border, size, kernel, stride, dilation, groups, rng):
    y, w = operands(size, kernel, groups, rng)
    numbers = {"stride": stride, "dilation": dilation, "groups": groups}
    pads = [zeros_of_same(*column) for column in zip(size, kernel, stride, dilation, strict=True)]
    padded = np.pad(y, [(0, 0), *pads, (0, 0)], mode=MODES[border])  # type: ignore[call-overload]
    want = jtconv.conv(padded, w, **numbers)
    got = jtconv.conv(y, w, padding=border.lower(), **numbers)
    assert_close(got, want)
    assert got.shape == jtconv.conv(y, w, padding="SAME", **numbers).shape


@every
@pytest.mark.parametrize(("size", "kernel", "stride", "dilation", "groups"), rows(NUMBERS, DEFAULT))
def test_conv_transpose_is_the_adjoint(border, size, kernel, stride, dilation, groups, rng):
    """For every x and y, of which conv makes one of each stride."""
    space = "HWD"[: len(size)]
    numbers: dict[str, Any] = {"stride": stride, "dilation": dilation, "groups": groups}
    numbers |= {"padding": border}
    w = random(rng, (*kernel, 4 // groups, 8), np.float64)
    x = random(rng, (2, *size, 8), np.float64)
    y = random(rng, (2, *(n * s for n, s in zip(size, stride, strict=True)), 4), np.float64)
    spec = (f"N{space}C", f"{space}OI", f"N{space}C")
    up = jtconv.conv_transpose(x, w, **numbers, dimension_numbers=spec)
    assert (
        up.shape
        == y.shape
        == jtconv.output_shape(x.shape, w.shape, **numbers, dimension_numbers=spec)
    )
    down = jtconv.conv(y, w, **numbers)
    assert_close(jnp.vdot(up, y), jnp.vdot(x, down), slack=8)
    (want,) = jax.vjp(lambda y: jtconv.conv(y, w, **numbers), y)[1](jnp.asarray(x))
    assert_close(up, want)


SMALL = {f"{n}": n for n in itertools.product((1, 4, 7), (3, 5), (1, 2))}


@each
@pytest.mark.parametrize(("size", "kernel", "stride"), rows(SMALL, ["(4, 5, 1)"]))
def test_the_matrix(border, size, kernel, stride, rng):
    x, w = random(rng, (size, 2), np.float64), random(rng, (kernel, 2, 3), np.float64)
    numbers: dict[str, Any] = {"stride": stride, "padding": border}
    matrix = jtconv.conv_matrix(w, x.shape, **numbers)
    want = jtconv.conv(x, w, **numbers)
    assert_close((matrix @ x.ravel()).reshape(want.shape), want)
    sparse = jtconv.conv_matrix(w, x.shape, **numbers, sparse=True)
    assert_close(sparse.todense(), matrix)


@each
@pytest.mark.parametrize("dtype", ["bfloat16", pytest.param("int8", marks=exhaustive)])
def test_bias_and_dtypes(border, dtype, rng):
    x, w = operands((6,), (5,), 1, rng, jnp.dtype(dtype))
    bias = random(rng, (8,), np.float64).astype(dtype)
    numbers: dict[str, Any] = {"stride": 2, "padding": border}
    wide = "int32" if dtype == "int8" else "float32"
    for run in (jtconv.conv, jtconv.conv_transpose):
        got = run(x, w, bias, **numbers)
        want = run(x.astype(wide), w.astype(wide), **numbers) + bias.astype(wide)
        assert got.dtype == ("int32" if dtype == "int8" else dtype)
        assert_close(got, want)


@exhaustive
@every
def test_derivatives(border, rng):
    """Of the second order, in both modes, of both operands."""
    x, w = operands((5,), (3,), 1, rng)

    def loss(x, w):
        y = jtconv.conv_transpose(x, w, stride=2, padding=border)
        y = jtconv.conv(y, jnp.flip(w, 0).swapaxes(1, 2), padding=border, dilation=2)
        return jnp.sum(y**2) / 100

    from jax.test_util import check_grads

    check_grads(loss, (x, w), order=2, modes=["fwd", "rev"])


@exhaustive
@every
def test_vmap_and_layout(border, rng):
    x, w = operands((6, 4), (3, 2), 1, rng)
    numbers = ("NCHW", "OIHW", "NCHW")
    for run in (jtconv.conv, jtconv.conv_transpose):
        want = run(x, w, stride=2, padding=border)
        got = jax.vmap(lambda x, run=run: run(x, w, stride=2, padding=border))(x)
        assert_close(got, want)
        first = np.moveaxis(x, -1, 1), np.transpose(w, (3, 2, 0, 1))
        laid = run(*first, stride=2, padding=border, dimension_numbers=numbers)
        assert_close(jnp.moveaxis(laid, 1, -1), want)


KERNELS = {"3": (3, 1), "4": (4, 1), "3 dilated": (3, 2)}
STRIDES = {"3": (3, 1), "4 by 2": (4, 2), "3 by 2": (3, 2), "2 by 3": (2, 3)}


@pytest.mark.parametrize("border", rows(["CIRCULAR", "REFLECT"], ["CIRCULAR"]))
@pytest.mark.parametrize(("kernel", "dilation"), rows(KERNELS, ["4"]))
def test_flax_convolutions(border, kernel, dilation, rng):
    from flax import nnx

    settings: dict[str, Any] = {"kernel_dilation": dilation, "use_bias": False}
    layer = nnx.Conv(4, 8, (kernel,), padding=border, **settings, rngs=nnx.Rngs(0))
    x = jnp.asarray(random(rng, (2, 9, 4), np.float64), "float32")
    got = jtconv.conv(x, layer.kernel[...], padding=border, dilation=dilation)
    assert_close(got, layer(x))


@pytest.mark.parametrize(("kernel", "stride"), rows(STRIDES, ["3 by 2"]))
def test_flax_circular_transposed(kernel, stride, rng):
    from flax import nnx

    layer = nnx.ConvTranspose(
        4, 8, (kernel,), stride, padding="CIRCULAR", use_bias=False, rngs=nnx.Rngs(0)
    )
    x = jnp.asarray(random(rng, (2, 9, 4), np.float64), "float32")
    numbers: dict[str, Any] = {"stride": stride, "padding": "CIRCULAR", "flip_kernel": True}
    assert_close(jtconv.conv_transpose(x, layer.kernel[...], **numbers), layer(x))


@exhaustive
@every
@pytest.mark.peer("torch")
def test_torch_padding_mode(border, rng):
    import torch

    mode = {"CIRCULAR": "circular", "REFLECT": "reflect", "EDGE": "replicate"}[border]
    for kernel, dilation in ((3, 1), (5, 1), (3, 2)):
        pads = dilation * (kernel - 1) // 2
        module = torch.nn.Conv1d(
            4, 8, kernel, 1, pads, dilation, bias=False, padding_mode=mode, dtype=torch.float64
        )
        x = random(rng, (2, 4, 9), np.float64)
        weight = module.weight.detach().numpy()
        spec = ("NCW", "OIW", "NCW")
        numbers: dict[str, Any] = {"dilation": dilation, "dimension_numbers": spec}
        got = jtconv.conv(x, weight, padding=border, **numbers)
        assert_close(got, module(torch.from_numpy(x)).detach().numpy())
        told = jtconv.explain(x, weight, op="conv", padding=border, **numbers)
        text = {line.framework: line for line in told.conventions}["torch"].call or ""
        made = eval(text, {"torch": torch}).to(torch.float64)  # what explain says is the module
        made.weight.data = module.weight.data
        assert_close(got, made(torch.from_numpy(x)).detach().numpy())


@each
def test_layers_take_it(border, rng):
    from flax import linen, nnx

    from jtconv import linen as ours_of_linen
    from jtconv import nnx as ours

    x = jnp.asarray(random(rng, (2, 5, 4), np.float64), "float32")
    settings: dict[str, Any] = {"padding": border, "transpose_kernel": True}
    layer = ours.ConvTranspose(4, 3, (4,), 2, **settings, rngs=nnx.Rngs(0))
    y = layer(x)
    numbers = ("NWC", "WOI", "NWC")
    want = jtconv.conv_transpose(
        x, layer.kernel[...], stride=2, padding=border, dimension_numbers=numbers
    )
    assert_close(y, want)
    there = ours_of_linen.ConvTranspose(3, (4,), (2,), **settings)
    variables = {"params": {"kernel": layer.kernel[...], "bias": layer.bias[...]}}
    assert isinstance(there, linen.Module)
    assert_close(there.apply(variables, x), y)


@every
def test_explain_and_what_is_wrong(border):
    x, w = jnp.ones((6, 1)), jnp.ones((4, 1, 1))
    plan = jtconv.explain(x, w, stride=2, padding=border, verbose=True)
    assert plan.output_shape == (12, 1) and plan.axes[0].reachable == range(12, 13)
    assert f'padding="{border}"' in str(plan) and f"a convolution with {border}" in str(plan)
    down = jtconv.explain(x, w, op="conv", stride=2, padding=border, verbose=True)
    assert down.output_shape == (3, 1) and f"what {border} says" in str(down)
    wrong: tuple[tuple[dict[str, Any], str], ...] = (
        ({"output_padding": 1}, "output_padding must be 0 with padding="),
        ({"output_size": 11}, r"output_size\[0\] must be one of 12 to 12 for"),
    )
    for more, message in wrong:
        with pytest.raises(ValueError, match=message):
            jtconv.conv_transpose(x, w, stride=2, padding=border, **more)
    assert jtconv.conv_transpose(x, w, stride=2, padding=border, output_size=12).shape == (12, 1)
    with pytest.raises(ValueError, match="no latency that is enough"):
        streaming.conv_transpose(w, padding=border)
    with pytest.raises(ValueError, match="padding must be one of SAME"):
        jtconv.max_pool_with_indices(x[None], 2, padding=border)
    with pytest.raises(ValueError, match="cannot be drawn"):
        draw.draw(np.ones(3), np.ones(3), padding=border)
