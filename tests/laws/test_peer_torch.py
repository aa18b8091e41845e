"""torch: the same values and gradients over a seeded sweep of all of its arguments.

Shapes are drawn by chance, so every problem compiles anew: about sixty in the default run,
hundreds with ``-m exhaustive``.  The method changes from one problem to the next.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import jtconv
from jtconv.typing import MethodName
from tests.axes import METHODS
from tests.compare import assert_close
from tests.peers import Problem, problems
from tests.selection import exhaustive

pytestmark = pytest.mark.peer("torch")

SPACE = {1: "W", 2: "HW", 3: "DHW"}
DEFAULT = {1: 12, 2: 12, 3: 6}
MANY = {1: 240, 2: 240, 3: 120}
# Compiling takes nearly all of the time: one program a problem, which LLVM does not optimize.
UNOPTIMIZED: dict[str, Any] = {"xla_backend_optimization_level": "0"}


def swept(counts: dict[int, int], seed: int, *marks) -> list:
    return [
        pytest.param(problem, METHODS[number % len(METHODS)], id=f"{rank}d-{number}", marks=marks)
        for rank, count in counts.items()
        for number, problem in enumerate(problems(count, seed, rank))
    ]


def operands(p: Problem, rng) -> tuple[Any, Any, Any]:
    """Input, torch's kernel ``(C_in, C_out // groups, *k)``, and a bias or None."""
    x = rng.normal(size=(p.batch, p.depth * p.groups, *p.input))
    w = rng.normal(size=(p.depth * p.groups, p.width, *p.kernel))
    return x, w, rng.normal(size=p.width * p.groups) if p.bias else None


def by_torch(p: Problem, x, w, bias, weights):
    """torch's output, and its gradients of the inner product with what ``weights`` makes."""
    import torch

    x, w, b = (None if a is None else torch.tensor(a, requires_grad=True) for a in (x, w, bias))
    call = getattr(torch.nn.functional, f"conv_transpose{len(p.input)}d")
    y = call(x, w, b, p.stride, p.padding, p.output_padding, p.groups, p.dilation)
    against = weights(tuple(y.shape))
    y.backward(torch.tensor(against))
    leaves = [x, w] if b is None else [x, w, b]
    return y.detach().numpy(), [leaf.grad.numpy() for leaf in leaves], against


def by_us(p: Problem, method: MethodName, x, w, bias, against):
    """Ours, with torch's own kernel array regrouped into this package's."""
    letters = SPACE[len(p.input)]
    words = (f"NC{letters}", f"IO{letters}", f"NC{letters}")

    def call(x, w, *bias):
        parts = jnp.split(w, p.groups, axis=0)
        return jtconv.conv_transpose(
            x,
            jnp.concatenate(parts, axis=1),
            *bias,
            stride=p.stride,
            padding=p.padding,
            output_padding=p.output_padding,
            dilation=p.dilation,
            groups=p.groups,
            dimension_numbers=words,
            method=method,
        )

    def value_and_gradients(against, *leaves):
        y, pull = jax.vjp(call, *leaves)
        return y, pull(against)

    leaves = (x, w) if bias is None else (x, w, bias)
    return jax.jit(value_and_gradients, compiler_options=UNOPTIMIZED)(against, *leaves)


def assert_same_as_torch(p: Problem, method: MethodName, rng) -> None:
    arrays = operands(p, rng)
    want, gradients, against = by_torch(p, *arrays, lambda shape: rng.normal(size=shape))
    got, ours = by_us(p, method, *arrays, against)
    assert_close(got, want)
    for mine, theirs in zip(ours, gradients, strict=True):
        assert_close(mine, theirs, slack=16)  # that of a bias sums a whole output, which may cancel


@pytest.mark.parametrize(("problem", "method"), swept(DEFAULT, 1))
def test_sweep(problem, method, rng):
    assert_same_as_torch(problem, method, rng)


@pytest.mark.parametrize(("problem", "method"), swept(MANY, 2, exhaustive))
def test_long_sweep(problem, method, rng):
    assert_same_as_torch(problem, method, rng)


@st.composite
def drawn(draw) -> Problem:
    """The same problems as hypothesis draws them, so that a failure shrinks to a small one."""
    return draw(st.sampled_from(problems(200, draw(st.integers(0, 50)), draw(st.integers(1, 3)))))


@exhaustive
@settings(max_examples=100)
@given(drawn(), st.sampled_from(METHODS), st.integers(0, 2**32 - 1))
def test_hypothesis(problem, method, seed):
    assert_same_as_torch(problem, method, np.random.default_rng(seed))


@pytest.mark.parametrize("size", [15, 16])
def test_output_size_is_torchs(size, rng):
    import torch

    x, w = rng.normal(size=(1, 2, 8)), rng.normal(size=(2, 3, 3))
    layer = torch.nn.ConvTranspose1d(2, 3, 3, stride=2, padding=1, bias=False).double()
    layer.weight.data = torch.tensor(w)
    want = layer(torch.tensor(x), output_size=[size]).detach().numpy()
    words = ("NCW", "IOW", "NCW")
    got = jtconv.conv_transpose(
        x, w, stride=2, padding=1, output_size=size, dimension_numbers=words
    )
    assert_close(got, want)


def test_legal_output_sizes_are_torchs():
    import torch

    layer = torch.nn.ConvTranspose1d(2, 3, 3, stride=2, padding=1)
    for size in range(12, 20):
        try:
            legal = tuple(layer(torch.zeros(1, 2, 8), output_size=[size]).shape) == (1, 3, size)
        except ValueError:
            legal = False
        keywords: dict[str, Any] = {"stride": 2, "padding": 1, "output_size": size}
        if legal:
            assert jtconv.output_shape((1, 8, 2), (3, 2, 3), **keywords) == (1, size, 3)
        else:
            with pytest.raises(ValueError, match="15 to 16"):
                jtconv.output_shape((1, 8, 2), (3, 2, 3), **keywords)


@pytest.mark.parametrize("groups", [1, 2])
def test_conv(groups, rng):
    """And the plain convolution, with torch's own kernel array."""
    import torch

    x, w = rng.normal(size=(2, 4, 7, 6)), rng.normal(size=(6, 4 // groups, 3, 2))
    bias = rng.normal(size=6)
    want = torch.nn.functional.conv2d(
        *map(torch.tensor, (x, w, bias)), (2, 1), (1, 0), (1, 2), groups
    )
    got = jtconv.conv(
        x, w, bias, stride=(2, 1), padding=(1, 0), dilation=(1, 2), groups=groups,
        dimension_numbers=("NCHW", "OIHW", "NCHW"),
    )  # fmt: skip
    assert_close(got, want.numpy())
