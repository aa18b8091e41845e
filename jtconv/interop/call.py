"""From a framework's arguments to one call of ours, with errors that name those arguments."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax

from jtconv import api
from jtconv.problem import arguments, dtypes
from jtconv.problem.padding import Crops


class Names(NamedTuple):
    """What a framework calls its arrays and its number of groups."""

    x: str
    w: str
    bias: str = "bias"
    groups: str = "groups"


class Arrays(NamedTuple):
    """A call's arrays, of one dtype and of ranks that go together."""

    names: Names
    x: jax.Array
    w: jax.Array
    bias: jax.Array | None = None

    @property
    def rank(self) -> int:
        """Spatial axes."""
        return self.w.ndim - 2


def arrays(
    names: Names, x: Any, w: Any, bias: Any = None, *, rank: int | None = None, unbatched: bool
) -> Arrays:
    """The arrays, checked: ``rank`` spatial axes where a framework's function has so many."""
    x, w = dtypes.array(names.x, x), dtypes.array(names.w, w)
    dtypes.check_same_dtype(x, names.w, w, names.x)
    if bias is not None:
        bias = dtypes.array(names.bias, bias)
        dtypes.check_same_dtype(x, names.bias, bias, names.x)
    ranks = range(1, 5) if rank is None else (rank,)
    if w.ndim - 2 not in ranks:
        wanted = f"{rank}" if rank else "1 to 4"
        raise ValueError(
            f"{names.w} must have {wanted} spatial axes and two for channels, got {w.ndim} axes, "
            f"{w.shape}."
        )
    allowed = (w.ndim, w.ndim - 1) if unbatched else (w.ndim,)
    if x.ndim not in allowed:
        without = f", or {w.ndim - 1} without batch" if unbatched else ""
        raise ValueError(
            f"{names.x} must have {w.ndim} axes{without}, to go with {names.w} of {w.ndim} axes; "
            f"got {x.ndim}, {x.shape}."
        )
    return Arrays(names, x, w, bias)


def transposed(
    given: Arrays,
    specs: tuple[str, str, str],
    groups: Any,
    crops: tuple[Crops, ...],
    **rest: Any,
) -> jax.Array:
    """The transposed convolution of arrays laid out as the dimension numbers ``specs``.

    The kernel's channels are C_in and C_out // groups, in either order, and the result has the
    dtype of the operands unless told otherwise, as in every framework here.
    """
    names, (x, w, y) = given.names, specs
    groups = arguments.integer(names.groups, groups, least=1)
    offset = given.x.ndim - given.w.ndim  # -1 where there is no batch, which comes first
    _check_sizes(names.x, given.x.shape, x[-given.x.ndim :])
    _check_sizes(names.w, given.w.shape, w)
    _check_channels(given, given.x.shape[x.index("C") + offset], w, groups)
    rest.setdefault("preferred_element_type", given.x.dtype)
    kernel = given.w
    if groups > 1 and w.index("I") < w.index("O"):  # the adjoint's kernel has its O first
        kernel = kernel.swapaxes(w.index("I"), w.index("O"))
        w = w.translate(str.maketrans("IO", "OI"))
    return api.conv_transpose(
        given.x,
        kernel,
        given.bias,
        padding=crops,
        groups=groups,
        dimension_numbers=(x, w, y),
        **rest,
    )


def _check_channels(given: Arrays, channels: int, spec: str, groups: int) -> None:
    """``channels`` are those of x, and ``spec`` is the kernel's."""
    names = given.names
    if given.w.shape[spec.index("I")] != channels:
        raise ValueError(
            f"{names.w} must have the {channels} channels of {names.x} on axis {spec.index('I')}, "
            f"got {given.w.shape}."
        )
    if channels % groups:
        raise ValueError(
            f"{names.groups} must divide the {channels} channels of {names.x}, got {groups}."
        )
    features = given.w.shape[spec.index("O")] * groups
    if given.bias is not None and given.bias.shape != (features,):
        raise ValueError(
            f"{names.bias} must have shape (C_out,) = ({features},), got {given.bias.shape}."
        )


def _check_sizes(name: str, shape: tuple[int, ...], spec: str) -> None:
    if any(size == 0 for size, letter in zip(shape, spec, strict=True) if letter != "N"):
        raise ValueError(f"{name} must have no axis of size 0 but the batch, got {shape}.")
