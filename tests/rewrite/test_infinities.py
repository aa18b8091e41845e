"""Infinities and NaN reach what the law says, and nothing more: never what is finite by XLA."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax
import numpy as np
import pytest

from jtconv import accelerate
from tests import forms
from tests.selection import rows

PLANE = (0, 1, 2, 3)
GROUPS = forms.Drawn(
    sizes=((6, 3, 6), (5, 3, 5)),
    lhs_dilation=(1, 1),
    rhs_dilation=(1, 1),
    strides=(1, 1),
    padding=((1, 1), (1, 1)),
    feature_groups=2,
    batch_groups=1,
    channels=(2, 3, 3),
    specs=(PLANE, PLANE, PLANE),
    method="faster",
    dtype="float32",
    twice=False,
)


def along(rank: int, **changes: Any) -> forms.Drawn:
    """As many axes like the first."""
    shape = {"sizes": ((4, 3, 4),) * rank, "padding": ((1, 1),) * rank}
    steps = dict.fromkeys(("lhs_dilation", "rhs_dilation", "strides"), (1,) * rank)
    specs = (tuple(range(rank + 2)),) * 3
    return replace(GROUPS, **{**shape, **steps, "specs": specs, **changes})


# Each is replaced, on all sides.
FORMS = {
    "groups": GROUPS,
    "depthwise": replace(GROUPS, channels=(2, 1, 1)),
    "strided": replace(GROUPS, strides=(2, 1), sizes=((6, 3, 3), (5, 3, 5))),
    "dilated": replace(GROUPS, rhs_dilation=(2, 1), sizes=((6, 3, 4), (5, 3, 5))),
    "transposed": replace(GROUPS, lhs_dilation=(2, 2), sizes=((6, 3, 11), (5, 3, 9))),
    "batch groups": replace(GROUPS, feature_groups=1, batch_groups=2),
    "one axis": along(1),
    "three axes": along(3, feature_groups=1),
    "four axes": along(4, sizes=((2, 3, 2),) * 4),
    "many taps": along(1, sizes=((80, 60, 81),), padding=((30, 30),)),
}


def sides(f: Any) -> Any:
    """The value and both gradients."""

    def every(lhs: Any, rhs: Any, c: Any) -> Any:
        value, pull = jax.vjp(f, lhs, rhs)
        return value, *pull(c)

    return jax.jit(every, compiler_options={"xla_backend_optimization_level": "0"})


@pytest.mark.parametrize("name", rows(list(FORMS), default=("groups",)))
def test_what_is_finite_stays_finite(name):
    drawn, rng = FORMS[name], np.random.default_rng(0)
    numbers = [rng.integers(1, 3, shape).astype("float32") for shape in drawn.shapes]
    pull = accelerate.report(lambda c, *ab: jax.vjp(drawn, *ab)[1](c), numbers[2], *numbers[:2])
    assert len(pull.replaced) == len(pull.rows) == 3
    plain, ours = sides(drawn), sides(accelerate(drawn))
    for spoiled in range(3):
        for place, value in ((0, np.nan), (-1, np.inf), (numbers[spoiled].size // 2, -np.inf)):
            lhs, rhs, c = (a.copy() for a in numbers)
            (lhs, rhs, c)[spoiled].flat[place] = value
            with np.errstate(invalid="ignore"):
                by_lhs, by_rhs, result = forms.by_loops(drawn, lhs, rhs, c)
            laws = (result, by_lhs, by_rhs)
            found = zip(laws, ours(lhs, rhs, c), plain(lhs, rhs, c), strict=True)
            for law, got, xla in found:
                np.testing.assert_array_equal(got, law)
                assert np.isfinite(got)[np.isfinite(xla)].all()
