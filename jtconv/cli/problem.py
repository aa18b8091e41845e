"""One convolution in words of the command line: what explain, tune and draw are call about."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from inspect import Parameter, Signature, signature
from typing import Annotated, Any

import jax
import typer

from jtconv import conventions
from jtconv.cli.console import Refusal, refusals_shown
from jtconv.cli.sizes import channels as in_and_out
from jtconv.cli.sizes import on_every_axis, paddings, sizes
from jtconv.conventions import LayerSpec
from jtconv.problem.task import Op

Text = str | None


def _option(*names: str, help: str, **more: Any) -> Any:
    return typer.Option(*names, help=help, rich_help_panel="The layer", **more)


@dataclass(frozen=True)
class Problem:
    """A layer and its input, as `jtconv.explain` takes them."""

    layer: LayerSpec
    input: tuple[int, ...]
    in_channels: int
    batch: int
    dtype: str

    @property
    def keywords(self) -> dict[str, Any]:
        """Stride, padding and the like."""
        return self.layer.keywords

    @property
    def x(self) -> jax.ShapeDtypeStruct:
        """The input, without numbers."""
        return self._array(self.batch, *self.input, self.in_channels)

    @property
    def w(self) -> jax.ShapeDtypeStruct:
        """The kernel, without numbers."""
        depth = self.in_channels // self.keywords["groups"]
        return self._array(*self.layer.kernel, depth, self.layer.out_channels)

    @property
    def bias(self) -> jax.ShapeDtypeStruct | None:
        """The bias, without numbers, if there is one."""
        return self._array(self.layer.out_channels) if self.layer.bias else None

    def _array(self, *shape: int) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(shape, jax.numpy.dtype(self.dtype))


def problem(
    input: Annotated[
        str, _option("--input", "-i", help="Spatial size, one number for all axes.")
    ] = "8",
    kernel: Annotated[Text, _option("--kernel", "-k", help="Kernel size, as 3 or 3x5.")] = None,
    stride: Annotated[str, _option("--stride", "-s", help="As 2 or 2x1.")] = "1",
    padding: Annotated[
        str, _option("--padding", "-p", help="As 1, 1x2, pairs 0:1x1:0, or a name such as same.")
    ] = "0",
    output_padding: Annotated[str, _option("--output-padding", help="As torch has it.")] = "0",
    output_size: Annotated[Text, _option("--output-size", help="A legal one, as 15x15.")] = None,
    dilation: Annotated[str, _option("--dilation", "-d", help="As 2 or 2x1.")] = "1",
    groups: Annotated[int, _option("--groups", "-g", min=1, help="Channel groups.")] = 1,
    channels: Annotated[str, _option("--channels", "-c", help="In and out, as 16:33.")] = "1:1",
    conv: Annotated[bool, _option("--conv", help="The plain convolution instead.")] = False,
    bias: Annotated[bool, _option("--bias", help="With a bias.")] = False,
    torch: Annotated[
        Text, _option("--torch", help='Instead: "ConvTranspose2d(16, 33, 3, stride=2)".')
    ] = None,
    keras: Annotated[
        Text, _option("--keras", help="Instead: \"Conv2DTranspose(33, 3, padding='same')\".")
    ] = None,
    flax: Annotated[
        Text, _option("--flax", help='Instead: "ConvTranspose(16, 33, (3, 3))".')
    ] = None,
    batch: Annotated[int, _option("--batch", "-n", min=0, help="Examples at once.")] = 1,
    dtype: Annotated[str, _option("--dtype", help="Of every array.")] = "float32",
) -> Problem:
    """The problem that these options say, or that a framework's constructor call says."""
    given = {
        "stride": sizes("stride", stride),
        "padding": paddings(padding),
        "output_padding": sizes("output-padding", output_padding),
        "dilation": sizes("dilation", dilation),
    }
    pair = in_and_out(channels)
    layers = {"torch": torch, "keras": keras, "flax": flax}
    said = {name: text for name, text in layers.items() if text is not None}
    if said:
        untouched = {"stride": (1,), "padding": (0,), "output_padding": (0,), "dilation": (1,)}
        _keep_alone(said, kernel or groups > 1 or conv or bias or given != untouched)
        layer = conventions.FROM_TEXT[next(iter(said))](*said.values())
    else:
        layer = _spoken(kernel, given, sizes("input", input), conv, (*pair, groups), bias)
    rank = len(layer.kernel)
    if output_size is not None:
        layer.keywords["output_size"] = on_every_axis(
            "output-size", sizes("output-size", output_size), rank
        )
    space = on_every_axis("input", sizes("input", input), rank)
    return Problem(layer, space, layer.in_channels or pair[0], batch, _known(dtype))


def _keep_alone(said: dict[str, str], others: Any) -> None:
    names = " and ".join(f"--{name}" for name in said)
    if len(said) > 1:
        raise Refusal(f"say one layer at a time, not {names}.")
    if others:
        raise Refusal(f"{names} says the whole layer; of it leave out what else you said.")


def _spoken(
    kernel: Text,
    given: dict[str, Any],
    space: tuple[int, ...],
    conv: bool,
    counts: tuple[int, int, int],
    bias: bool,
) -> LayerSpec:
    """The layer that single options say; as many axes as the longest of them has."""
    if kernel is None:
        raise Refusal("say the --kernel, as in --kernel 3x3, or a layer, as in --torch.")
    window = sizes("kernel", kernel)
    several = [space, window, *(value for value in given.values() if isinstance(value, tuple))]
    rank = max(map(len, several))
    keywords = {
        name: on_every_axis(name.replace("_", "-"), value, rank)
        if isinstance(value, tuple)
        else value
        for name, value in given.items()
    }
    if conv and any(keywords.pop("output_padding")):
        raise Refusal("--output-padding belongs to a transposed convolution, not to --conv.")
    op: Op = "conv" if conv else "conv_transpose"
    window = on_every_axis("kernel", window, rank)
    c_in, c_out, groups = counts
    return LayerSpec(op, c_in, c_out, window, bias, {**keywords, "groups": groups})


def _known(dtype: str) -> str:
    try:
        return str(jax.numpy.dtype(dtype))
    except TypeError:
        raise Refusal(f"--dtype must be a dtype such as float32, got {dtype!r}.") from None


def about_a_problem(**defaults: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Makes a command of a function of a :class:`Problem`: adds the options that say one.

    What jtconv does not take is told as it would be to a program, without a traceback.
    """
    call = [
        parameter.replace(default=defaults.get(name, parameter.default))
        for name, parameter in signature(problem, eval_str=True).parameters.items()
    ]

    def wrap(command: Callable[..., None]) -> Callable[..., None]:
        own = list(signature(command, eval_str=True).parameters.values())[1:]

        def run(**given: Any) -> None:
            said = {parameter.name: given.pop(parameter.name) for parameter in call}
            with refusals_shown(), _as_refusals():
                command(problem(**said), **given)

        parameters = [p.replace(kind=Parameter.KEYWORD_ONLY) for p in (*call, *own)]
        run.__doc__ = command.__doc__
        run.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {p.name: p.annotation for p in parameters}
        return run

    return wrap


@contextmanager
def _as_refusals() -> Iterator[None]:
    try:
        yield
    except Refusal:
        raise
    except (ValueError, TypeError) as error:
        raise Refusal(str(error)) from None
