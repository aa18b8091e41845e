"""One ``conv_general_dilated``, read as a side of the trilinear form: integers only.

Along each spatial axis XLA's operation sums ``out[i] += lhs[j] * rhs[t]`` over all

    a*j = s*i + d*t - lo

where a is the dilation of lhs, s the window's stride, d the dilation of rhs and lo the padding in
front.  Where one of the three is 1 along every axis, solving for its index is the form

    y[stride*i + dilation*t - lo] += x[i] * w[t]

with that array as y, and the other two as x and w or as w and x.  Solved for ``i`` the kernel runs
backwards, solved for ``t`` the result does: flipped they run as the form has it.

A derivative of a convolution permutes a, s and d, so what can be read once can be read again at
any order of differentiation.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from jtconv.problem.geometry import Axis, Geometry

ARRAYS = ("lhs", "rhs", "out")
Shape = tuple[Any, ...]
Ints = tuple[int, ...]

# The two indices besides space, in the order that dimension_numbers give their axes in.
_INDICES = {"lhs": "bc", "rhs": "oc", "out": "bo"}
_SIDES: dict[str, Literal["dgrad", "fprop", "wgrad"]] = {"y": "dgrad", "x": "fprop", "w": "wgrad"}
_FLIPPED = {"lhs": None, "out": "rhs", "rhs": "out"}  # by the array that is y
# What lhs, rhs and out may be, likeliest first where nothing tells them apart.
_ROLES = ("ywx", "xwy", "yxw", "xyw", "wyx", "wxy")


@dataclass(frozen=True)
class Form:
    """A ``conv_general_dilated``: shapes and parameters, as lax has them.

    ``specs`` are the dimension numbers of lhs, rhs and out: where batch (of rhs: output channels),
    channels and each spatial axis lie.  A batch may be symbolic, space may not.
    """

    shapes: tuple[Shape, Shape, Shape]
    specs: tuple[Ints, Ints, Ints]
    strides: Ints
    lo: Ints
    lhs_dilation: Ints
    rhs_dilation: Ints
    feature_groups: int = 1
    batch_groups: int = 1

    @property
    def rank(self) -> int:
        """How many spatial axes there are."""
        return len(self.strides)

    @property
    def groups(self) -> int:
        """Groups of channels or of examples: XLA has no convolution with both."""
        return self.feature_groups * self.batch_groups

    @property
    def is_swapped(self) -> bool:
        """Whether batch and channels of lhs have changed places, as JAX has them in a wgrad."""
        batch, channels = self.specs[0][:2]
        return channels == 0 != batch

    @property
    def is_backwards(self) -> bool:
        """Whether input and output channels of rhs have changed places, as JAX has them in a dgrad.

        A kernel is written "HWIO" or "OIHW", with the output channels at an end.
        """
        out, into = self.specs[1][:2]
        return into in (0, self.rank + 1) and out not in (0, self.rank + 1)

    def size(self, array: int, axis: int) -> int:
        """Cells of an array (by number) along a spatial axis."""
        found: int = self.shapes[array][self.specs[array][2 + axis]]
        return found

    def step(self, array: int, axis: int) -> int:
        """What a step along an array moves by; 1 where there is no second cell to step to."""
        steps = (self.lhs_dilation, self.rhs_dilation, self.strides)[array]
        return steps[axis] if self.size(array, axis) > 1 else 1


@dataclass(frozen=True)
class Reading:
    """A form as a side of the law: which array is x, w and y, and which one is flipped."""

    form: Form
    roles: str  # of lhs, rhs and out
    geometry: Geometry

    @property
    def side(self) -> Literal["dgrad", "fprop", "wgrad"]:
        """The side that the result is of."""
        return _SIDES[self.roles[2]]

    @property
    def flipped(self) -> str | None:
        """The array to reverse along every spatial axis, "rhs" or "out"."""
        return _FLIPPED[ARRAYS[self.roles.index("y")]]

    def move(self, array: str) -> Move:
        """How an array becomes canonical, as x, w or y."""
        return _move(self, ARRAYS.index(array))


@dataclass(frozen=True)
class Move:
    """A reshape that splits the groups off, a transpose, and a reshape that joins them again.

    ``given`` and ``result`` are the shapes at either end, ``split`` and ``ordered`` those between.
    """

    given: Shape
    split: Shape
    order: Ints
    result: Shape

    @property
    def ordered(self) -> Shape:
        """The shape once transposed."""
        return tuple(self.split[axis] for axis in self.order)

    @property
    def inverse_order(self) -> Ints:
        """The transpose back."""
        return tuple(self.order.index(axis) for axis in range(len(self.order)))


def readings(form: Form) -> list[Reading]:
    """Every reading of a form, likeliest first; none where two of a, s and d are above 1.

    All give the same numbers, and only speed tells them apart, so which one was meant is guessed
    from how JAX writes gradients: a wgrad has batch and channels of lhs swapped, a dgrad the
    channels of rhs, whose kernel was reversed; and strides are likelier than dilations.

    >>> conv = Form(
    ...     shapes=((1, 9, 2), (3, 2, 5), (1, 4, 5)), specs=((0, 2, 1), (2, 1, 0), (0, 2, 1)),
    ...     strides=(2,), lo=(0,), lhs_dilation=(1,), rhs_dilation=(1,)
    ... )
    >>> found = readings(conv)
    >>> [(r.roles, r.side) for r in found]
    [('ywx', 'fprop'), ('wyx', 'fprop'), ('yxw', 'wgrad'), ('xyw', 'wgrad')]
    >>> found[0].geometry.axes
    (Axis(x_size=4, kernel=3, y_size=9, stride=2, dilation=1, lo=0),)
    """

    def unlikely(reading: Reading) -> tuple[bool, bool, bool, int]:
        is_wgrad = reading.side == "wgrad"
        return (
            is_wgrad != form.is_swapped,
            not is_wgrad and reading.roles[1] != "w",
            (reading.flipped == "rhs") != form.is_backwards or reading.flipped == "out",
            sum(axis.dilation > 1 for axis in reading.geometry),
        )

    return sorted(_all(form), key=unlikely)


def _all(form: Form) -> Iterator[Reading]:
    for roles in _ROLES:
        x, w, y = (roles.index(role) for role in "xwy")
        if all(form.step(y, axis) == 1 for axis in range(form.rank)):
            axes = (
                Axis(
                    form.size(x, axis),
                    form.size(w, axis),
                    form.size(y, axis),
                    form.step(x, axis),
                    form.step(w, axis),
                    _lo(form, y, axis),
                )
                for axis in range(form.rank)
            )
            yield Reading(form, roles, Geometry(tuple(axes), form.groups))


def _lo(form: Form, y: int, axis: int) -> int:
    """Where y starts, counted along the array that is flipped from its other end."""
    if y == 0:
        return form.lo[axis]
    flipped = 1 if y == 2 else 2
    return form.step(flipped, axis) * (form.size(flipped, axis) - 1) - form.lo[axis]


def _move(reading: Reading, array: int) -> Move:
    form, name = reading.form, ARRAYS[array]
    shape, spec, groups = form.shapes[array], form.specs[array], form.groups
    labels: list[Any] = [""] * len(shape)
    for label, axis in zip((*_INDICES[name], *range(form.rank)), spec, strict=True):
        labels[axis] = label
    split = list(shape)
    if groups > 1:
        at = labels.index("o" if array else "b" if form.batch_groups > 1 else "c")
        labels.insert(at, "g")
        split[at : at + 1] = groups, shape[at] // groups
    own, space = reading.roles[array], list(range(form.rank))
    first, last = (_shared(reading, own, other) for other in _OTHERS[own])
    group = ["g"] * (groups > 1)
    order = [*space, first, *group, last] if own == "w" else [first, *space, *group, last]
    axes = tuple(labels.index(label) for label in order)
    result = [split[axis] for axis in axes]
    if groups > 1:
        result[-2:] = [groups * result[-1]]
    return Move(tuple(shape), tuple(split), axes, tuple(result))


# The two arrays that an array shares its indices with, in the order these lie in canonically:
# N and C of x, C and O of w, N and O of y.
_OTHERS = {"x": "yw", "w": "xy", "y": "xw"}


def _shared(reading: Reading, one: str, other: str) -> str:
    """The index that two arrays share, by their roles."""
    a, b = (set(_INDICES[ARRAYS[reading.roles.index(role)]]) for role in (one, other))
    (index,) = a & b
    return index
