"""Padding: our names and numbers, and those of every framework there and back as crops."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import jtconv
from jtconv.conventions import (
    Inexpressible,
    equinox,
    flax,
    haiku,
    keras,
    lax,
    onnx,
    torch,
)
from jtconv.problem import padding

sizes = st.integers(1, 7)
strides = st.integers(1, 5)
spans = kernels = st.integers(1, 9)  # spans are effective kernels
dilations = st.integers(1, 4)
crops = st.integers(-6, 9)
pairs = st.tuples(crops, crops)


def out(n: int, k: int, **keywords) -> int:
    """Output length of one axis."""
    return jtconv.output_shape((1, n, 1), (k, 1, 1), **keywords)[1]


@given(sizes, spans, strides, pairs)
def test_crops_are_cut_from_the_full_output(n, k, s, pair):
    size = (n - 1) * s + k - sum(pair)
    if size < 1:
        with pytest.raises(ValueError, match="leaves no output"):
            out(n, k, stride=s, padding=[pair])
    else:
        assert out(n, k, stride=s, padding=[pair]) == size


@given(sizes, spans, strides)
def test_sizes_that_the_names_promise(n, k, s):
    for name in ("SAME", "SAME_LOWER", "CAUSAL"):
        assert out(n, k, stride=s, padding=name) == n * s
    assert out(n, k, stride=s, padding="VALID") == n * s + max(k - s, 0)
    assert out(n, k, stride=s, padding="FULL") == (n - 1) * s + k


@given(spans, strides)
def test_names_as_the_table_of_the_contract_has_them(span, s):
    lo = max(span - s, 0) // 2
    assert padding.from_name("SAME", span, s) == (lo, span - lo - s)
    assert padding.from_name("SAME_LOWER", span, s) == (span - s - lo, lo)
    assert padding.from_name("VALID", span, s) == (0, min(span - s, 0))
    assert padding.from_name("FULL", span, s) == (0, 0)
    assert padding.from_name("CAUSAL", span, s) == (0, span - s)


@given(spans, strides)
def test_names_come_back(span, s):
    for name in padding.NAMES:
        assert name in padding.names_of(padding.from_name(name, span, s), span, s)
    beyond = (-50, 77)
    assert padding.names_of(beyond, span, s) == ()


@given(st.integers(0, 6), strides, dilations, st.data())
def test_torch_there_and_back(p, s, d, data):
    extra = data.draw(st.integers(0, max(s, d) - 1))
    crops = torch.crops(1, s, p, extra, d)
    assert crops == ((p, p - extra),)
    back = torch.from_crops(crops, (3,), (s,), (d,))
    assert back == {"padding": (p,), "output_padding": (extra,)}


@given(pairs, strides, dilations)
def test_what_torch_cannot_express(pair, s, d):
    if pair[0] >= 0 and 0 <= pair[0] - pair[1] < max(s, d):
        back = torch.from_crops([pair], (3,), (s,), (d,))
        assert torch.crops(1, s, dilation=d, **back) == (pair,)
    else:
        with pytest.raises(Inexpressible, match=r"torch crops .* axis 0 crops \("):
            torch.from_crops([pair], (3,), (s,), (d,))


@given(pairs)
def test_zeros_of_a_convolution_in_torch(pair):
    if 0 <= pair[0] == pair[1]:
        assert torch.from_zeros([pair]) == {"padding": pair[:1]}
    else:
        with pytest.raises(Inexpressible, match="pads both ends alike; axis 0 has"):
            torch.from_zeros([pair])


@given(pairs, strides, dilations)
def test_onnx_there_and_back(pair, s, d):
    back: dict[str, Any]
    try:
        back = onnx.from_crops([pair], (3,), (s,), (d,))
    except Inexpressible:
        assert pair[0] < 0 or pair[1] <= -max(s, d)
    else:
        assert min(back["pads"]) >= 0 and 0 <= back["output_padding"][0] < max(s, d)
        assert onnx.crops(None, [3], strides=[s], dilations=[d], **back) == (pair,)


@given(pairs, kernels, dilations)
def test_lax_pads_the_dilated_input(pair, k, d):
    """The output of lax is what a kernel of this span leaves of n' + a + b padded cells."""
    span, dilated = d * (k - 1) + 1, 11
    (((a, b),),) = lax.from_crops([pair], (k,), (1,), (d,)).values()
    assert dilated + a + b - span + 1 == dilated + span - 1 - sum(pair)
    assert lax.crops((k,), (1,), [(a, b)], d) == haiku.crops((span,), 1, [(a, b)]) == (pair,)
    assert lax.crops((k,), (1,), [(1, 2)], d) == ((span - 2, span - 3),)


@given(kernels, strides, dilations, st.data())
def test_keras_there_and_back(k, s, d, data):
    name = data.draw(st.sampled_from(("valid", "same")))
    extra = data.draw(st.one_of(st.none(), st.integers(0, s - 1)))
    crops = keras.crops((k,), s, name, extra, d)
    for names in (("valid", "same"), ("same", "valid")):
        back = keras.from_crops(crops, (k,), (s,), (d,), names)
        assert keras.crops((k,), s, dilation_rate=d, **back) == crops


@given(pairs, kernels, strides)
def test_what_keras_cannot_express(pair, k, s):
    ways: Any = itertools.product(("valid", "same"), (None, *range(s)))
    found = [way for way in ways if keras.crops((k,), s, *way) == (pair,)]
    try:
        back = keras.from_crops([pair], (k,), (s,), (1,))
    except Inexpressible:
        assert not found
    else:
        (extra,) = back.get("output_padding", (None,))
        assert (back["padding"], extra) in found


@given(pairs, kernels, strides, dilations)
def test_flax_by_name_or_numbers_and_equinox_by_numbers(pair, k, s, d):
    columns = [pair], (k,), (s,), (d,)
    back = flax.from_crops(*columns)["padding"]
    found = flax.keywords(False, (k,), s, back, d)["padding"]
    if isinstance(found, str):
        found = [padding.from_name(found, d * (k - 1) + 1, s)]
    assert list(found) == [pair]
    assert equinox.crops((k,), s, [pair]) == (pair,)  # whose numbers are crops


@given(st.integers(1, 12), spans, strides)
def test_names_for_a_plain_convolution(m, span, s):
    """As every framework has them, on the side where the name comes from."""
    total = max((-(-m // s) - 1) * s + span - m, 0)
    same, lower = (padding.of_convolution(name, m, span, s) for name in ("SAME", "SAME_LOWER"))
    assert sum(same) == total and same[1] - same[0] in (0, 1)
    assert lower == same[::-1]
    assert padding.of_convolution("VALID", m, span, s) == (0, 0)
    assert padding.of_convolution("FULL", m, span, s) == (span - 1, span - 1)
    assert padding.of_convolution("CAUSAL", m, span, s) == (span - 1, 0)


@pytest.mark.parametrize("name", ["same", "Same_Lower", "vAlId", "FULL", "causal"])
def test_names_in_any_letter_case(name):
    assert out(5, 4, stride=3, padding=name) == out(5, 4, stride=3, padding=name.upper())


@given(st.integers(1, 5), spans, strides, st.integers(1, 3), st.integers(0, 4))
def test_legal_output_sizes(n, k, s, d, p):
    """Exactly those the contract lists; the convolution of nearly all leads back to n."""
    full = (n - 1) * s + d * (k - 1) + 1
    base = full - 2 * p
    legal = set(range(max(base, 1), base + max(s, d)))
    for size in range(max(base - 3, 0), base + max(s, d) + 4):
        keywords = {"stride": s, "dilation": d, "padding": p, "output_size": size}
        if size in legal:
            assert out(n, k, **keywords) == size
        else:
            with pytest.raises(ValueError, match=r"output_size|leaves no output"):
                out(n, k, **keywords)


@pytest.mark.parametrize("name", ["SAME", "SAME_LOWER"])
@given(st.integers(1, 5), spans, strides)
def test_legal_output_sizes_under_same(name, n, k, s):
    legal = range((n - 1) * s + 1, n * s + 1)
    for size in range(max(legal[0] - 2, 0), legal[-1] + 3):
        keywords = {"stride": s, "padding": name, "output_size": size}
        if size in legal:
            assert out(n, k, **keywords) == size
            assert -(-size // s) == n  # a SAME convolution leads back
        else:
            with pytest.raises(ValueError, match=f"output_size.*{legal[0]} to {legal[-1]}"):
                out(n, k, **keywords)


@pytest.mark.parametrize(
    ("written", "means"),
    [
        (1, ((1, 1), (1, 1))),
        ((2, 0), ((2, 2), (0, 0))),
        ([(1, 2), (0, -1)], ((1, 2), (0, -1))),
        (((1, 2), 3), ((1, 2), (3, 3))),
    ],
)
def test_ways_to_write_crops(written, means):
    assert padding.parse(written, 2) == means
