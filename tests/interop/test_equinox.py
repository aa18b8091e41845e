"""Equinox: its layers there and back, by chance, periodic ones too."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jtconv
from jtconv.interop import equinox as interop
from tests.compare import assert_close
from tests.interop.chance import Chance, table
from tests.interop.compiled import parameters

pytestmark = pytest.mark.peer("equinox")


def drawn(chance: Chance) -> dict[str, Any]:
    """The arguments of one layer, and the ``size`` of its input."""
    rank, each = chance.axes(), chance.each
    stride, groups = each(3), chance.choice((1, 1, 2))
    pairs = tuple((chance.randint(0, 1), chance.randint(0, 1)) for _ in range(rank))
    arguments: dict[str, Any] = {
        "num_spatial_dims": rank,
        "in_channels": groups * chance.randint(1, 2),
        "out_channels": groups * chance.randint(1, 2),
        "kernel_size": each(least=2),
        "stride": stride,
        "padding": chance.choice(("SAME", "SAME_LOWER", "VALID", 1, pairs)),
        "output_padding": tuple(chance.randint(0, s - 1) for s in stride),
        "dilation": chance.choice((1, each(2))),
        "groups": groups,
        "use_bias": chance.random() < 0.5,
        "size": each(least=2),
    }
    if chance.random() < 0.3:
        padding = chance.choice(("SAME", "SAME_LOWER"))
        arguments |= {"padding_mode": "CIRCULAR", "padding": padding, "output_padding": 0}
    return arguments


@pytest.mark.usefixtures("in_numpy")
@pytest.mark.parametrize("arguments", table(drawn, few=8, many=75))
def test_a_layer_there_and_back(arguments, rng):
    import equinox

    arguments = dict(arguments)
    x = rng.normal(size=(arguments["in_channels"], *arguments.pop("size")))
    layer = equinox.nn.ConvTranspose(**arguments, key=jax.random.key(1))
    want = equinox.filter_jit(layer)(x)
    ours = interop.to_nnx(layer)
    y = np.asarray(ours(np.moveaxis(x, 0, -1)))
    assert_close(np.moveaxis(y, -1, 0), want)
    back = interop.from_nnx(ours)
    for name in ("weight", "bias"):
        mine, theirs = getattr(back, name), getattr(layer, name)
        if theirs is None:
            assert mine is None
        else:
            assert mine.dtype == theirs.dtype
            np.testing.assert_array_equal(mine, theirs)
    assert_close(equinox.filter_jit(back)(x), want)


@pytest.mark.usefixtures("in_numpy")
def test_same_lower_where_the_stride_outruns_the_kernel(rng):
    """Equinox adds the missing cells behind, our SAME_LOWER in front: numbers say which."""
    import equinox

    layer = equinox.nn.ConvTranspose1d(2, 2, 2, 3, padding="SAME_LOWER", key=jax.random.key(1))
    x = rng.normal(size=(2, 4))
    ours = interop.to_nnx(layer)
    assert_close(ours(x.T).T, layer(x))
    ours.padding = "SAME_LOWER"
    assert_close(interop.from_nnx(ours)(x), ours(x.T).T)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "complex64"])
def test_dtypes_are_kept(dtype):
    import equinox

    layer = equinox.nn.ConvTranspose1d(2, 3, 4, dtype=dtype, key=jax.random.key(1))
    ours = interop.to_nnx(layer)
    assert ours.kernel[...].dtype == dtype
    np.testing.assert_array_equal(interop.from_nnx(ours).weight, layer.weight)


def test_a_mismatch_says_which_parameter():
    import equinox

    layer = equinox.nn.ConvTranspose1d(2, 3, 4, key=jax.random.key(1))
    wrong = equinox.tree_at(lambda m: m.weight, layer, jnp.ones((3, 2, 5)))
    with pytest.raises(ValueError, match=r"weight must have shape \(3, 2, 4\), got \(3, 2, 5\)"):
        interop.to_nnx(wrong)
    wrong = equinox.tree_at(lambda m: m.bias, layer, jnp.ones(3))
    with pytest.raises(ValueError, match=r"bias must have shape \(3, 1\), got \(3,\)"):
        interop.to_nnx(wrong)
    with pytest.raises(TypeError, match=r"must be an equinox\.nn\.ConvTranspose, got Conv1d"):
        interop.to_nnx(equinox.nn.Conv1d(2, 3, 4, key=jax.random.key(1)))


def test_a_class_that_computes_in_a_way_of_its_own():
    import equinox

    class Twice(equinox.nn.ConvTranspose):
        def __call__(self, x, *, key=None):
            return 2 * super().__call__(x)

    with pytest.raises(TypeError, match="Twice is a ConvTranspose with a __call__ of its own"):
        interop.to_nnx(Twice(1, 2, 3, 4, key=jax.random.key(1)))


@pytest.mark.usefixtures("in_numpy")
def test_masked_weights_go_as_zeros(rng):
    mask = rng.integers(0, 2, (3, 2, 2))
    layer = jtconv.nnx.ConvTranspose(2, 2, 3, 2, mask=jnp.asarray(mask), **parameters(rng))
    x = rng.normal(size=(4, 2)).astype("float32")
    assert_close(interop.from_nnx(layer)(x.T).T, layer(x))


@pytest.mark.usefixtures("in_numpy")
def test_output_padding_goes_as_numbers(rng):
    layer = jtconv.nnx.ConvTranspose(2, 3, (4,), (2,), output_padding=1, **parameters(rng))
    x = rng.normal(size=(5, 2)).astype("float32")
    assert_close(interop.from_nnx(layer)(x.T).T, layer(x))
