"""jax.lax: the signature of the JAX that is installed, and its numbers by chance."""

from __future__ import annotations

import inspect
from typing import Any

import jax
import jax.numpy as jnp
import pytest
from jax import lax

from jtconv.interop import lax as interop
from tests.compare import assert_close
from tests.interop.chance import Call, Chance, rows, table
from tests.interop.compiled import compiled
from tests.programs import convolutions

LAYOUTS = {
    1: (None, ("NCH", "OIH", "NCH"), ("HNC", "IHO", "NHC")),
    2: (None, ("NCHW", "OIHW", "NCHW"), ("NHWC", "HWOI", "NCHW")),
    3: (None, ("NCDHW", "OIDHW", "NCDHW"), ("NHWDC", "HWDIO", "NHWDC")),
}


def drawn(chance: Chance) -> Call:
    rank, each = chance.axes(), chance.each
    channels, features = chance.randint(1, 3), chance.randint(1, 3)
    transposed = chance.random() < 0.5
    pairs = tuple((chance.randint(0, 4), chance.randint(0, 4)) for _ in range(rank))
    keywords = {
        "strides": each(3) if chance.random() < 0.8 else (1,) * rank,
        "padding": chance.choice(("SAME", "VALID", pairs, pairs, "same", "SAME_LOWER", "valid")),
        "rhs_dilation": chance.choice((None, each(3))),
        "dimension_numbers": chance.choice(LAYOUTS[rank]),
        "transpose_kernel": transposed,
        "use_consistent_padding": chance.random() < 0.4,
    }
    kernel = (features, channels) if transposed else (channels, features)
    return Call((2, *each(), channels), (*each(), *kernel), keywords)


def laid(call: Call, rng) -> tuple[Any, Any]:
    """Random operands in the layout that the call asks for."""
    x, w = rng.normal(size=call.x), rng.normal(size=call.w)
    specs = call.keywords["dimension_numbers"]
    if specs is None:
        return x, w
    space = [letter for letter in specs[1] if letter not in "IO"]
    x = x.transpose([["N", *space, "C"].index(letter) for letter in specs[0]])
    return x, w.transpose([[*space, "I", "O"].index(letter) for letter in specs[1]])


@pytest.mark.parametrize("name", ["conv_transpose", "conv_general_dilated"])
def test_the_signature_is_that_of_the_installed_jax(name):
    ours = inspect.signature(getattr(interop, name)).parameters.values()
    theirs = inspect.signature(getattr(lax, name)).parameters.values()
    assert [(p.name, p.kind, p.default) for p in ours] == [
        (p.name, p.kind, p.default) for p in theirs
    ]


@pytest.mark.usefixtures("in_numpy")
@pytest.mark.parametrize("call", table(drawn, few=25, many=250))
def test_sweep(call: Call, rng):
    """The same values, or an error where lax gives one or an array without cells."""
    x, w = laid(call, rng)
    try:
        want = compiled(lax.conv_transpose, x, w, **call.keywords)
    except (ValueError, TypeError, RuntimeError):
        want = None
    if want is None or want.size == 0:
        with pytest.raises(ValueError, match="padding"):
            interop.conv_transpose(x, w, **call.keywords)
    else:
        assert_close(interop.conv_transpose(x, w, **call.keywords), want)


def test_the_sweep_has_every_argument():
    """And it is not errors alone that it compares."""
    found = [param.values[0].keywords for param in rows(drawn, 25, "few")]
    for name in found[0]:
        assert len({str(keywords[name]) for keywords in found}) > 1, name


def test_numbered_dimension_numbers(rng):
    x, w = rng.normal(size=(2, 3, 5)), rng.normal(size=(4, 3, 2))
    numbers = lax.conv_dimension_numbers(x.shape, (4, 3, 2), ("NCH", "HIO", "NCH"))
    rest: dict[str, Any] = {"dimension_numbers": numbers, "transpose_kernel": False}
    want = lax.conv_transpose(x, w, (2,), "SAME", **rest)
    assert_close(interop.conv_transpose(x, w, (2,), "SAME", **rest), want)


@pytest.mark.parametrize("preferred", [None, "float32"])
def test_result_dtypes(preferred, rng):
    x = jnp.asarray(rng.normal(size=(1, 4, 2)), "bfloat16")
    w = jnp.asarray(rng.normal(size=(3, 2, 2)), "bfloat16")
    want = lax.conv_transpose(x, w, (2,), "SAME", preferred_element_type=preferred)
    got = interop.conv_transpose(x, w, (2,), "SAME", preferred_element_type=preferred)
    assert got.dtype == want.dtype
    assert_close(got, want, slack=2)


def test_small_integers_wrap_as_in_lax(rng):
    x, w = rng.integers(-99, 99, (1, 4, 2), "int8"), rng.integers(-99, 99, (3, 2, 2), "int8")
    want = lax.conv_transpose(x, w, (2,), "SAME")
    got = interop.conv_transpose(x, w, (2,), "SAME")
    assert got.dtype == want.dtype == "int8"
    assert_close(got, want)


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"padding": 1}, r"padding must be 'SAME', 'VALID' or one \(low, high\) pair per spatial"),
        ({"padding": [(1, 1), (1, 1)]}, "1 in all, got"),
        (
            {"padding": "CAUSAL"},
            "padding must be 'SAME', 'VALID' or a .* got 'CAUSAL'; jtconv",
        ),
        ({"strides": (2, 2)}, "strides must be one int or 1 ints"),
        ({"rhs_dilation": (0,)}, r"rhs_dilation\[0\] must be an int >= 1"),
        ({"rhs": jnp.ones((3, 4, 2))}, "rhs must have the 3 channels of lhs on axis 1"),
        ({"lhs": jnp.ones((5, 3))}, "lhs must have 3 axes, to go with rhs of 3 axes; got 2"),
        (
            {"dimension_numbers": ("NWC", "WIX", "NWC")},
            r"dimension_numbers\[1\] must hold 'I', 'O'",
        ),
    ],
)
def test_errors_name_the_arguments_of_lax(keywords, message):
    given = {
        "lhs": jnp.ones((1, 5, 3)),
        "rhs": jnp.ones((3, 3, 2)),
        "strides": (2,),
        "padding": "SAME",
    }
    with pytest.raises((ValueError, TypeError), match=message):
        interop.conv_transpose(**{**given, **keywords})


def test_conv_general_dilated_passes_everything_on(rng):
    """Each argument arrives, and gradients are of the same kind."""
    x, w = (jnp.asarray(rng.normal(size=shape), "float32") for shape in ((2, 8, 7), (3, 2, 8)))
    given = {
        "window_strides": (1,),
        "padding": [(2, -1)],
        "lhs_dilation": (2,),
        "rhs_dilation": (3,),
        "dimension_numbers": ("NCH", "HIO", "NHC"),
        "feature_group_count": 4,
        "batch_group_count": 1,
        "precision": lax.Precision.HIGHEST,
        "preferred_element_type": "float64",
        "out_sharding": None,
    }

    def both(f: Any) -> Any:
        return jax.jit(lambda x, w: (f(x, w, *given.values()), f(x, w, **given)))

    got, want = both(interop.conv_general_dilated)(x, w), both(lax.conv_general_dilated)(x, w)
    for mine, theirs in zip(got, want, strict=True):
        assert_close(mine, theirs, jnp.float32)
    lowered = both(interop.conv_general_dilated).lower(x, w).as_text()
    assert convolutions(lowered) == 0


@pytest.mark.parametrize("bad", [None, [[[1.0]]], "text", 3])
def test_what_is_no_array(bad):
    a = jnp.ones((1, 1, 1))
    with pytest.raises(TypeError, match=r"lhs must be an array.*jnp.asarray\(lhs\)"):
        interop.conv_general_dilated(bad, a, (1,), "SAME")
    with pytest.raises(TypeError, match=r"rhs must be an array.*jnp.asarray\(rhs\)"):
        interop.conv_general_dilated(a, bad, (1,), "SAME")


def test_batch_groups_of_conv_general_dilated(rng):
    x, w = (jnp.asarray(rng.normal(size=shape), "float32") for shape in ((4, 3, 7), (6, 3, 3)))
    got, want = (
        f(x, w, (1,), "SAME", batch_group_count=2)
        for f in (interop.conv_general_dilated, lax.conv_general_dilated)
    )
    assert_close(got, want)
