"""The law in integers, against counting: every product of an axis is written out and looked at."""

from __future__ import annotations

from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jtconv.problem.geometry import Axis, Geometry
from tests.axes import every_case


@st.composite
def axes(draw) -> Axis:
    """Any small axis with an output, crops of either sign and of any size included."""
    n, k, s, d = (draw(st.integers(1, most)) for most in (6, 5, 5, 4))
    full = (n - 1) * s + d * (k - 1) + 1
    lo = draw(st.integers(-4, full + 2))
    hi = draw(st.integers(-6, full - lo - 1))
    return Axis.cropped(n, k, s, d, lo, hi)


def products(a: Axis) -> list[tuple[int, int, int]]:
    """Every ``(i, t, m)`` that meets, from the law and from nothing else."""
    landed = [
        (i, t, a.stride * i + a.dilation * t - a.lo)
        for i in range(a.x_size)
        for t in range(a.kernel)
    ]
    return [(i, t, m) for i, t, m in landed if 0 <= m < a.y_size]


@given(axes())
def test_sizes(a):
    last = a.stride * (a.x_size - 1) + a.dilation * (a.kernel - 1)
    taps = [a.dilation * t for t in range(a.kernel)]
    assert a.effective_kernel == taps[-1] - taps[0] + 1
    assert a.full == last + 1
    assert a.y_size == a.full - a.lo - a.hi
    assert a.crops == (a.lo, a.hi)


@given(axes())
def test_taps_of_a_cell(a):
    met = defaultdict(list)
    for i, t, m in products(a):
        met[m].append((i, t))
    for cell in range(-1, a.y_size + 1):
        if 0 <= cell < a.y_size:
            assert list(a.taps(cell)) == sorted(met[cell])


@given(axes())
def test_multiply_adds_and_inputs_of_a_tap(a):
    every = products(a)
    assert a.multiply_adds == len(every) == sum(len(a.taps(m)) for m in range(a.y_size))
    for t in range(a.kernel):
        assert list(a.inputs_of_tap(t)) == [i for i, tap, _ in every if tap == t]


@given(axes())
def test_phases_are_axes_of_stride_one(a):
    """Together the phases make every product once, and each is an axis that makes its own."""
    made = []
    for phase in a.phases:
        cells = range(phase.residue, a.y_size, a.stride)
        if phase.taps and cells:
            own = phase.axis(a.x_size, len(cells))
            assert own.stride == 1 and own.kernel == len(phase.taps)
            made += [(i, phase.taps[j], cells[q]) for i, j, q in products(own)]
    assert sorted(made) == sorted(products(a))
    assert [phase.residue for phase in a.phases] == list(range(a.stride))


@given(axes())
def test_blocks_cover_every_tap_once(a):
    """Each block lies within one cell of the output, where the law says its taps land."""
    covered = []
    for block in a.blocks:
        for within in range(block.count):
            covered.append(block.tap + within)
            place = a.stride * block.shift + block.residue + within
            assert place == a.dilation * (block.tap + within)
        assert block.residue >= 0 and block.residue + block.count <= a.stride
    assert covered == list(range(a.kernel))


@given(axes(), st.data())
def test_halo_is_what_the_cells_read(a, data):
    """Nothing needed is left out, and both ends of the range are within reach of a kernel."""
    start = data.draw(st.integers(0, a.y_size - 1))
    stop = data.draw(st.integers(start + 1, a.y_size))
    halo = a.halo(start, stop)
    assert {i for i, _, m in products(a) if start <= m < stop} <= set(halo)
    for i in halo:
        first = a.stride * i - a.lo
        assert first < stop and first + a.effective_kernel > start


@given(axes())
def test_receptive_field_and_overlap(a):
    """Measured on an input long enough for a cell in its middle to see all it can."""
    n = 4 * (a.effective_kernel + a.stride)
    long = Axis.cropped(n, a.kernel, a.stride, a.dilation)
    middle = range(long.full // 2, long.full // 2 + a.stride)
    seen = [[i for i, _ in long.taps(m)] for m in middle]
    assert a.receptive_field == max(max(i) - min(i) + 1 for i in seen if i)
    assert a.overlap == (min(map(len, seen)), max(map(len, seen)))


@given(axes(), axes())
def test_overlap_is_what_ones_draw(a, b):
    """A kernel of ones on a picture of ones, where no border is near, over one period."""
    counts = []
    for axis in (a, b):
        n = 2 * axis.effective_kernel + 1
        drawn = [0] * ((n - 1) * axis.stride + axis.effective_kernel)
        for i in range(n):
            for t in range(axis.kernel):
                drawn[i * axis.stride + t * axis.dilation] += 1
        middle = len(drawn) // 2
        counts.append(drawn[middle : middle + axis.stride])
        assert sum(axis.tap_counts) == axis.kernel
        assert sorted(axis.tap_counts) == sorted(counts[-1])
    cells = [p * q for p in counts[0] for q in counts[1]]
    g = Geometry((a, b))
    assert g.overlap == (min(cells), max(cells))
    assert g.overlap_uniformity == min(cells) / max(cells)


@every_case
def test_a_geometry_is_its_axes(case):
    g = Geometry.of(case.x_size, case.kernel, case.stride, case.dilation, case.crops, case.groups)
    for name in ("x_size", "kernel", "stride", "dilation", "crops", "y_size"):
        assert getattr(g, name) == getattr(case, name)
    counted = 1
    for axis in g:
        counted *= len(products(axis))
    assert g.multiply_adds == counted
    assert len(g) == len(case.x_size) and g.full == tuple(a.full for a in g.axes)


def test_geometries_are_values():
    """They key caches, so equal ones must hash alike and none may change."""
    one, same = (Geometry.of((3, 4), (2, 2), (2, 1)) for _ in range(2))
    assert one == same and hash(one) == hash(same)
    assert one != Geometry.of((3, 4), (2, 2), (1, 2))
    with pytest.raises(AttributeError):
        one.groups = 2  # type: ignore[misc]
