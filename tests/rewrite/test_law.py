"""Random forms of conv_general_dilated, computed by ours: ``python -m tests.forms`` runs more."""

from __future__ import annotations

import dataclasses
import random

import pytest

from tests import forms
from tests.selection import exhaustive


@exhaustive
@pytest.mark.parametrize("seed", range(8))
def test_random_forms(seed):
    assert list(forms.failures(seed, 250)) == []


SMALL = forms.Drawn(
    sizes=((3, 2, 2),),
    lhs_dilation=(1,),
    rhs_dilation=(1,),
    strides=(1,),
    padding=((0, 0),),
    feature_groups=1,
    batch_groups=2,
    channels=(1, 2, 1),
    specs=((0, 1, 2), (0, 1, 2), (0, 1, 2)),
    method="scatter",
    dtype="float32",
    twice=False,
)


def test_a_wrong_number_is_noticed(monkeypatch):
    assert forms.trouble(SMALL) is None
    loops = forms.by_loops
    monkeypatch.setattr(
        forms, "by_loops", lambda *a: (loops(*a)[0], loops(*a)[1] + 1, loops(*a)[2])
    )
    assert forms.trouble(SMALL) == "accelerate first: wrong gradient by rhs"


def test_a_form_outside_the_law_is_lowered_as_jax_does():
    outside = dataclasses.replace(
        SMALL,
        sizes=((3, 2, 3),),
        padding=((2, 2),),
        lhs_dilation=(2,),
        rhs_dilation=(2,),
        strides=(2,),
    )
    assert not outside.is_inside and forms.trouble(outside) is None


def test_what_is_drawn_has_every_combination():
    chance = random.Random(0)
    drawn = [forms.draw(chance) for _ in range(2000)]
    seen = {
        (
            len(d.sizes),
            d.feature_groups > 1,
            d.batch_groups > 1,
            *(max(steps) > 1 for steps in (d.lhs_dilation, d.rhs_dilation, d.strides)),
            any(lo * hi < 0 for lo, hi in d.padding),
        )
        for d in drawn
        if d.is_inside
    }
    assert len(seen) >= 3 * 3 * (2**3 - 1) * 2  # two axes may differ in which step is above 1
    assert {d.dtype for d in drawn} == set(forms.DTYPES)
    assert 1500 < sum(d.is_inside for d in drawn) < 1990
