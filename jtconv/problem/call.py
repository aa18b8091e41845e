"""A call of `conv_transpose` or `conv`, checked: shapes and keywords to a layout and a geometry.

Only shapes are looked at: calls, ``output_shape`` and ``explain`` all come through here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp

from jtconv.problem import arguments, layout, symbolic
from jtconv.problem.geometry import Geometry
from jtconv.problem.layout import Layout
from jtconv.problem.output_size import conv_axes, conv_transpose_axes
from jtconv.problem.padding import BORDERS, Crops
from jtconv.problem.task import SIDES, Side, Task
from jtconv.typing import Op

Shape = tuple[Any, ...]  # of ints; batch and space may be symbolic dimensions


@dataclass(frozen=True)
class Call:
    """A checked call, without the arrays."""

    op: Op
    layout: Layout
    geometry: Geometry
    batch: Any
    in_channels: int
    out_channels: int
    kernel_is_adjoint: bool
    border: str | None = None  # what lies beyond the ends of y, where that is not zeros

    @classmethod
    def parse(
        cls,
        op: Op,
        x_shape: Shape,
        w_shape: Shape,
        *,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        output_size: Any = None,
        dilation: Any = 1,
        groups: Any = 1,
        dimension_numbers: Any = None,
    ) -> Call:
        """Check every argument of a call against the shapes."""
        lay = layout.parse(dimension_numbers, len(x_shape), len(w_shape))
        batch, *space, in_channels = lay.canonical_shape(tuple(x_shape))
        *kernel, w_in, w_out = lay.canonical_shape(tuple(w_shape), operand=1)
        sizes = _spatial(lay, "x", space), _spatial(lay, "w", kernel)
        groups = arguments.integer("groups", groups, least=1)
        out_channels, adjoint = _channels(lay, in_channels, w_in, w_out, groups)
        strides = arguments.per_axis("stride", stride, lay.rank, least=1)
        dilations = arguments.per_axis("dilation", dilation, lay.rank, least=1)
        columns = tuple(zip(*sizes, strides, dilations, strict=True))
        if op == "conv":
            axes = conv_axes(columns, padding)
        else:
            axes = conv_transpose_axes(columns, padding, output_padding, output_size)
        name = padding.upper() if isinstance(padding, str) else None
        border = name if name in BORDERS else None
        geometry = Geometry(axes, groups)
        return cls(op, lay, geometry, batch, in_channels, out_channels, adjoint, border)

    @classmethod
    def of_shapes(
        cls,
        op: Op,
        x_shape: Any,
        w_shape: Any,
        keywords: dict[str, Any],
        names: tuple[str, str] = ("x_shape", "w_shape"),
    ) -> Call:
        """:meth:`parse` for shapes and keywords that a user wrote out."""
        known = _KEYWORDS if op == "conv_transpose" else _KEYWORDS - _TRANSPOSED_ONLY
        for name in keywords:
            if name not in known:
                raise TypeError(
                    f"{op} has no argument {name!r}; it has {', '.join(sorted(known))}."
                )
        shapes = (_shape(name, s) for name, s in zip(names, (x_shape, w_shape), strict=True))
        return cls.parse(op, *shapes, **keywords)

    @property
    def x_channels(self) -> int:
        """C of the law."""
        return self.in_channels if self.op == "conv_transpose" else self.out_channels

    @property
    def y_channels(self) -> int:
        """O of the law."""
        return self.out_channels if self.op == "conv_transpose" else self.in_channels

    @property
    def pads(self) -> tuple[Crops, ...]:
        """Cells that a border makes around y, per axis."""
        return tuple((a.lo, symbolic.larger(a.hi, 0)) for a in self.geometry)

    @property
    def computed(self) -> Geometry:
        """The geometry that a primitive computes: y with the cells that a border puts around."""
        if self.border is None:
            return self.geometry
        columns = zip(self.geometry, self.pads, strict=True)
        axes = (replace(a, y_size=a.y_size + lo + hi, lo=0) for a, (lo, hi) in columns)
        return Geometry(tuple(axes), self.geometry.groups)

    @property
    def output_shape(self) -> Shape:
        """The result's shape, in the user's layout."""
        g = self.geometry
        space = g.y_size if self.op == "conv_transpose" else g.x_size
        return self.layout.user_shape((self.batch, *space, self.out_channels))

    def task(
        self,
        dtype: Any,
        result: Any,
        platform: str = "cpu",
        precision: Any = None,
        side: Side | None = None,
    ) -> Task:
        """The operation itself as a task, or one of its gradients."""
        shapes = {
            "x": (self.batch, *self.computed.x_size, self.x_channels),
            "y": (self.batch, *self.computed.y_size, self.y_channels),
        }
        side = side or SIDES[self.op][0]
        return Task.of(side, self.computed, shapes, dtype, result, platform, precision)

    def canonical_kernel(self, w: jax.Array, flip: bool = False) -> jax.Array:
        """The user's kernel as ``(*kernel, C // groups, O)``, flipped where asked."""
        w, groups = self.layout.enter_kernel(w), self.geometry.groups
        if flip:
            w = jnp.flip(w, range(self.layout.rank))
        if self.op == "conv_transpose":
            return layout.regroup_kernel(w, groups) if self.kernel_is_adjoint else w
        if self.kernel_is_adjoint:
            return jnp.swapaxes(w, -1, -2)
        return layout.adjoint_kernel(w, groups)


def _shape(name: str, shape: Any) -> Shape:
    """A shape that a user wrote; what is symbolic in it stays so."""
    if hasattr(shape, "shape"):
        raise TypeError(f"{name} must be a tuple of ints, got an array: pass its .shape.")
    items = arguments.sequence(shape)
    if items is None:
        raise TypeError(f"{name} must be a tuple of ints, got {shape!r}.")
    return tuple(
        size if symbolic.is_symbolic(size) else arguments.integer(f"{name}[{axis}]", size, least=0)
        for axis, size in enumerate(items)
    )


_TRANSPOSED_ONLY = {"output_padding", "output_size"}
_KEYWORDS = _TRANSPOSED_ONLY | {"stride", "padding", "dilation", "groups", "dimension_numbers"}


def _spatial(lay: Layout, name: str, sizes: list[Any]) -> tuple[Any, ...]:
    """Spatial sizes, none of which may be 0 (a batch may); those of a kernel are ints."""
    for letter, size in zip(lay.spatial, sizes, strict=True):
        if name == "w" and symbolic.is_symbolic(size):
            raise TypeError(
                f"w: spatial axis {letter!r} has the symbolic size {size}; the taps of a kernel "
                "are counted when a program is traced: give a number."
            )
        if not symbolic.at_least(size, 1):
            hint = symbolic.constraint(size, 1)
            raise ValueError(
                f"{name}: spatial axis {letter!r} has size {size}, must be >= 1{hint}."
            )
    return tuple(sizes)


def _channels(lay: Layout, channels: int, w_in: int, w_out: int, groups: int) -> tuple[int, bool]:
    """Output channels, and whether the kernel is laid out as its adjoint's kernel is.

    A kernel whose O comes before its I may be the very array of the adjoint operation,
    (O // groups, C_in) where ours is (O, C_in // groups).  The sizes tell which.
    """
    for where, size in (("x", channels), ("w", w_in), ("w", w_out)):
        if not isinstance(size, int):
            raise TypeError(f"{where}: a channel axis has the symbolic size {size}; give a number.")
    if channels < 1 or w_out < 1:
        raise ValueError(f"channels must be >= 1, got {channels} in x and {w_out} out of w.")
    if channels % groups:
        raise ValueError(f"groups must divide the {channels} channels of x, got {groups}.")
    spec = lay.specs[1]
    if groups > 1 and spec.index("O") < spec.index("I") and w_in == channels:
        return w_out * groups, True
    if w_in != channels // groups:
        raise ValueError(_kernel_channels_message(lay, channels, w_in, w_out, groups))
    if w_out % groups:
        raise ValueError(f"groups must divide the {w_out} output channels of w, got {groups}.")
    return w_out, False


def _kernel_channels_message(lay: Layout, channels: int, w_in: int, w_out: int, groups: int) -> str:
    message = (
        f"w must have C_in // groups = {channels} // {groups} = {channels // groups} input "
        f"channels on axis 'I' of {lay.specs[1]!r}, got {w_in}"
    )
    if w_in == channels and groups > 1:
        return f"{message}: each group reads only its own slice of the input channels."
    if w_out == channels // groups:
        swapped = lay.specs[1].translate(str.maketrans("IO", "OI"))
        return f"{message}. If the two channel axes are swapped, say {swapped!r} for w."
    return f"{message}."
