"""dimension_numbers to the canonical order and back: the only file that knows of them.

Inside, arrays are always ``x (batch, *input, C)``, ``w (*kernel, C // groups, O)`` and
``y (batch, *output, O)``.  A :class:`Layout` remembers how a user's arrays lie and takes
them there and back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from jtconv.problem import arguments

Permutation = tuple[int, ...]

_DEFAULTS = {
    1: ("NWC", "WIO", "NWC"),
    2: ("NHWC", "HWIO", "NHWC"),
    3: ("NDHWC", "DHWIO", "NDHWC"),
    4: ("NTDHWC", "TDHWIO", "NTDHWC"),
}


@dataclass(frozen=True)
class Layout:
    """Where batch, space and channels lie in the user's input, kernel and output."""

    specs: tuple[str, str, str]
    batched: bool = True

    @property
    def rank(self) -> int:
        """How many spatial axes there are."""
        return len(self.specs[1]) - 2

    @property
    def spatial(self) -> str:
        """The spatial letters, in the order the kernel has them (as in lax)."""
        return "".join(letter for letter in self.specs[1] if letter not in "IO")

    def order(self, operand: int) -> str:
        """The axes of the user's array in order, without a batch that was not given."""
        return self.specs[operand] if self.batched else self.specs[operand].replace("N", "")

    def position(self, letter: str, operand: int) -> int:
        """Where an axis lies in the user's array."""
        return self.order(operand).index(letter)

    def _order(self, operand: int) -> str:
        return self.spatial + "IO" if operand == 1 else "N" + self.spatial + "C"

    def _to_canonical(self, operand: int) -> Permutation:
        return tuple(self.specs[operand].index(letter) for letter in self._order(operand))

    def _from_canonical(self, operand: int) -> Permutation:
        return tuple(self._order(operand).index(letter) for letter in self.specs[operand])

    def canonical_shape(self, shape: tuple[int, ...], operand: int = 0) -> tuple[int, ...]:
        """An input (0) or kernel (1) shape in canonical order; a missing batch becomes 1."""
        if operand == 0 and not self.batched:
            at = self.specs[0].index("N")
            shape = (*shape[:at], 1, *shape[at:])
        return tuple(shape[axis] for axis in self._to_canonical(operand))

    def user_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """A canonical output shape in the user's order, without a batch that was not given."""
        laid = tuple(shape[axis] for axis in self._from_canonical(2))
        at = self.specs[2].index("N")
        return laid if self.batched else laid[:at] + laid[at + 1 :]

    def enter(self, x: jax.Array) -> jax.Array:
        """The user's input in canonical order."""
        if not self.batched:
            x = jnp.expand_dims(x, self.specs[0].index("N"))
        return jnp.transpose(x, self._to_canonical(0))

    def enter_kernel(self, w: jax.Array) -> jax.Array:
        """The user's kernel as ``(*kernel, I, O)``."""
        return jnp.transpose(w, self._to_canonical(1))

    def leave(self, y: jax.Array) -> jax.Array:
        """A canonical output in the user's order."""
        y = jnp.transpose(y, self._from_canonical(2))
        return y if self.batched else jnp.squeeze(y, self.specs[2].index("N"))


def regroup_kernel(w: jax.Array, groups: int) -> jax.Array:
    """``(*kernel, g*a, b)`` to ``(*kernel, a, g*b)``: the group index changes sides."""
    if groups == 1:
        return w
    *kernel, wide, narrow = w.shape
    w = w.reshape(*kernel, groups, wide // groups, narrow)
    return jnp.swapaxes(w, -3, -2).reshape(*kernel, wide // groups, groups * narrow)


def adjoint_kernel(w: jax.Array, groups: int) -> jax.Array:
    """``(*kernel, C // g, O)`` to ``(*kernel, O // g, C)``: the kernel seen from the other side."""
    return regroup_kernel(jnp.swapaxes(w, -1, -2), groups)


def parse(dimension_numbers: Any, x_ndim: int, w_ndim: int) -> Layout:
    """The layout a user asked for, checked against the ranks of the arrays."""
    rank = w_ndim - 2
    if rank not in _DEFAULTS:
        raise ValueError(
            f"w must have 1 to 4 spatial axes and two for channels, (*kernel, C_in // groups, "
            f"C_out), got {w_ndim} axes."
        )
    if x_ndim not in (w_ndim, w_ndim - 1):
        raise ValueError(
            f"x must have {w_ndim} axes (batch, {rank} spatial, channels), or {w_ndim - 1} for one "
            f"example without batch, to go with a w of {w_ndim} axes; got {x_ndim}."
        )
    specs = _specs(dimension_numbers, rank)
    return Layout(specs, batched=x_ndim == w_ndim)


def _specs(dimension_numbers: Any, rank: int) -> tuple[str, str, str]:
    if dimension_numbers is None:
        return _DEFAULTS[rank]
    if isinstance(dimension_numbers, jax.lax.ConvDimensionNumbers):
        return _lettered(dimension_numbers, rank)
    items = arguments.sequence(dimension_numbers)
    example = ("NCHW", "IOHW", "NCHW") if rank == 2 else _DEFAULTS[rank]
    if items is None or len(items) != 3 or not all(isinstance(item, str) for item in items):
        raise TypeError(
            f"dimension_numbers must be three strings such as {example}, got {dimension_numbers!r}."
        )
    for operand, channels in ((1, "IO"), (0, "NC"), (2, "NC")):  # the kernel names the letters
        _check_spec(operand, items[operand], channels, items[1], rank)
    return (items[0], items[1], items[2])


def _check_spec(operand: int, spec: str, channels: str, kernel_spec: str, rank: int) -> None:
    spatial = {letter for letter in kernel_spec if letter not in "IO"}
    wanted = spatial | set(channels)
    if len(spec) != rank + 2 or len(set(spec)) != len(spec) or set(spec) != wanted:
        raise ValueError(
            f"dimension_numbers[{operand}] must hold {channels[0]!r}, {channels[1]!r} and the "
            f"same {rank} spatial letters as the kernel's {kernel_spec!r}, each once; "
            f"got {spec!r}."
        )


def _lettered(numbers: jax.lax.ConvDimensionNumbers, rank: int) -> tuple[str, str, str]:
    """lax's numeric form, which lists positions, as three strings."""
    space = _DEFAULTS[rank][1][:rank]
    specs = []
    for positions, letters in zip(numbers, ("NC", "OI", "NC"), strict=True):
        if sorted(positions or ()) != list(range(rank + 2)):
            raise ValueError(
                f"dimension_numbers must hold three orders of the axes 0 to {rank + 1}, "
                f"got {tuple(numbers)}."
            )
        order = dict(zip(positions, letters + space, strict=True))
        specs.append("".join(order[axis] for axis in range(rank + 2)))
    return (specs[0], specs[1], specs[2])
