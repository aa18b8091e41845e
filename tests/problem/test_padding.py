"""Conventions: each as it is written in its own framework's manual, there and back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import jtconv
from jtconv.problem import padding

sizes = st.integers(1, 7)
strides = st.integers(1, 5)
spans = st.integers(1, 9)  # effective kernels
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


@given(st.integers(0, 6), strides, st.integers(1, 4), st.data())
def test_torch_there_and_back(p, s, d, data):
    extra = data.draw(st.integers(0, max(s, d) - 1))
    assert padding.from_torch(p, extra) == (p, p - extra)
    assert padding.to_torch(padding.from_torch(p, extra), s, d) == (p, extra)


@given(pairs, strides, st.integers(1, 4))
def test_what_torch_cannot_say(pair, s, d):
    said = padding.to_torch(pair, s, d)
    sayable = pair[0] >= 0 and 0 <= pair[0] - pair[1] < max(s, d)
    assert (said is not None) == sayable
    if said is not None:
        assert padding.from_torch(*said) == pair


@given(pairs, strides, st.integers(1, 4))
def test_onnx_there_and_back(pair, s, d):
    said = padding.to_onnx(pair, s, d)
    if said is None:
        assert pair[0] < 0 or pair[1] <= -max(s, d)
    else:
        (begin, end), extra = said
        assert begin >= 0 and end >= 0 and 0 <= extra < max(s, d)
        assert padding.from_onnx((begin, end), extra) == pair


@given(pairs, spans)
def test_lax_pads_the_dilated_input(pair, span):
    """The output of lax is what a kernel of this span leaves of n' + a + b padded cells."""
    a, b = padding.to_lax(pair, span)
    dilated = 11
    assert dilated + a + b - span + 1 == dilated + span - 1 - sum(pair)
    assert padding.from_lax((a, b), span) == pair
    assert padding.from_lax((1, 2), span) == (span - 2, span - 3)


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
