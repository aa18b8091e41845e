"""One layer and its input as options of the command line: what explain, tune and draw are about.

Whatever is said counts: an option that contradicts another one, or the layer, is an error.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from inspect import Parameter, Signature, signature
from typing import Annotated, Any

import jax
import typer

from jtconv import conventions
from jtconv.cli.console import WrongUsage, errors_are_wrong_usage, refusals_shown
from jtconv.conventions import LayerSpec
from jtconv.problem.padding import BORDERS, NAMES
from jtconv.typing import Op

Text = str | None
Pairs = tuple[int | tuple[int, int], ...]
LARGEST = 2**31 - 1  # what XLA counts cells with


# What is meant where nothing is said.
UNSAID = {
    "input": "8",
    "stride": "1",
    "padding": "0",
    "output_padding": "0",
    "dilation": "1",
    "groups": "1",
    "channels": "1:1",
    "batch": "1",
    "dtype": "float32",
}
SHORT_DTYPES = {"bf16": "bfloat16", **{f"f{bits}": f"float{bits}" for bits in (16, 32, 64)}}


def _option(*names: str, help: str, **more: Any) -> Any:
    """An option that is None where it is not said; help shows what is meant then."""
    default = UNSAID.get(names[0].removeprefix("--").replace("-", "_"), False)
    panel = "The layer"
    return typer.Option(*names, help=help, rich_help_panel=panel, show_default=default, **more)


@dataclass(frozen=True)
class Problem:
    """A layer and its input, as `jtconv.explain` takes them; ``said`` are its options given."""

    layer: LayerSpec
    input: tuple[int, ...]
    in_channels: int
    batch: int
    dtype: str
    said: frozenset[str] = frozenset()

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
        channels = self.in_channels // self.keywords["groups"]
        return self._array(*self.layer.kernel, channels, self.layer.out_channels)

    @property
    def bias(self) -> jax.ShapeDtypeStruct | None:
        """The bias, without numbers, if there is one."""
        return self._array(self.layer.out_channels) if self.layer.bias else None

    def _array(self, *shape: int) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(shape, jax.numpy.dtype(self.dtype))


def parse(
    layer: Annotated[
        Text,
        typer.Argument(metavar="LAYER", help="As torch, keras or flax write it.", show_default=""),
    ] = None,
    input: Annotated[
        Text, _option("--input", "-i", help="Spatial size, one number for all axes.")
    ] = None,
    kernel: Annotated[Text, _option("--kernel", "-k", help="Kernel size, as 3 or 3x5.")] = None,
    stride: Annotated[Text, _option("--stride", "-s", help="As 2 or 2x1.")] = None,
    padding: Annotated[
        Text, _option("--padding", "-p", help="As 1, 1x2, pairs 0:1x1:0, or a name such as same.")
    ] = None,
    output_padding: Annotated[Text, _option("--output-padding", help="As torch has it.")] = None,
    output_size: Annotated[Text, _option("--output-size", help="A legal one, as 15x15.")] = None,
    dilation: Annotated[Text, _option("--dilation", "-d", help="As 2 or 2x1.")] = None,
    groups: Annotated[int | None, _option("--groups", "-g", min=1, help="Channel groups.")] = None,
    channels: Annotated[Text, _option("--channels", "-c", help="In and out, as 16:33.")] = None,
    conv: Annotated[bool, _option("--conv", help="The plain convolution instead.")] = False,
    bias: Annotated[bool, _option("--bias", help="With a bias.")] = False,
    batch: Annotated[int | None, _option("--batch", "-n", min=0, help="Examples at once.")] = None,
    dtype: Annotated[Text, _option("--dtype", help="Of every array, as float32 or bf16.")] = None,
    **layers: Text,
) -> Problem:
    """The problem that these options describe, or a layer: a constructor call as text.

    ``layer`` is one of any framework, ``layers`` have the framework's name.
    """
    said: dict[str, Any] = {
        "kernel": kernel,
        "stride": stride,
        "padding": padding,
        "output_padding": output_padding,
        "dilation": dilation,
        "groups": groups,
        "conv": conv or None,
        "bias": bias or None,
    }
    said = {name: value for name, value in said.items() if value is not None}
    texts = {f"--{name}": text for name, text in layers.items() if text is not None}
    if layer is not None:
        texts = {"LAYER": layer, **texts}
    space = sizes("input", input or UNSAID["input"])
    if texts:
        _check_alone(texts, said)
        ((option, text),) = texts.items()
        found = conventions.read(text, option.removeprefix("--") if option != "LAYER" else None)
        found = _with_channels(found, channels)
    else:
        found = _from_options({**UNSAID, "kernel": None, **said}, space, channels)
    rank = len(found.kernel)
    if output_size is not None:
        size = sizes("output-size", output_size)
        found.keywords["output_size"] = on_every_axis("output-size", size, rank)
    space = on_every_axis("input", space, rank)
    examples = 1 if batch is None else batch
    numbers = _dtype(UNSAID["dtype"] if dtype is None else dtype)
    names = frozenset(said) | ({"channels"} if channels is not None else frozenset())
    return Problem(found, space, found.in_channels or 1, examples, numbers, names)


def _check_alone(texts: dict[str, str], others: dict[str, Any]) -> None:
    names = " and ".join(texts)
    if len(texts) > 1:
        raise WrongUsage(f"give one layer at a time, not {names}.")
    if others:
        wrong = ", ".join(f"--{name.replace('_', '-')}" for name in others)
        raise WrongUsage(f"{names} is the whole layer; leave out {wrong}.")


def _with_channels(layer: LayerSpec, channels: Text) -> LayerSpec:
    """The layer with as many channels in as are said, which must be its own where it says so."""
    if channels is None:
        return layer
    c_in, c_out = in_and_out(channels)
    if c_in != (layer.in_channels or c_in) or (":" in channels and c_out != layer.out_channels):
        own = f"{layer.in_channels or 'IN'}:{layer.out_channels}"
        raise WrongUsage(f"--channels must be those of the layer, {own}, got {channels!r}.")
    return replace(layer, in_channels=c_in)


def _from_options(said: dict[str, Any], space: tuple[int, ...], channels: Text) -> LayerSpec:
    """The layer that single options describe; as many axes as the longest of them has."""
    if said["kernel"] is None:
        raise WrongUsage("give the --kernel, as in --kernel 3x3, or a layer, as in --torch.")
    window = sizes("kernel", said["kernel"])
    given = {
        "stride": sizes("stride", said["stride"]),
        "padding": paddings(said["padding"]),
        "output_padding": sizes("output-padding", said["output_padding"]),
        "dilation": sizes("dilation", said["dilation"]),
    }
    conv = said.get("conv", False)
    several = [space, window, *(value for value in given.values() if isinstance(value, tuple))]
    rank = max(map(len, several))
    keywords = {
        name: on_every_axis(name.replace("_", "-"), value, rank)
        if isinstance(value, tuple)
        else value
        for name, value in given.items()
    }
    if conv and any(keywords.pop("output_padding")):
        raise WrongUsage("--output-padding belongs to a transposed convolution, not to --conv.")
    op: Op = "conv" if conv else "conv_transpose"
    window = on_every_axis("kernel", window, rank)
    c_in, c_out = in_and_out(channels or UNSAID["channels"])
    whole = {**keywords, "groups": int(said["groups"])}
    return LayerSpec(op, c_in, c_out, window, said.get("bias", False), whole)


def _dtype(name: str) -> str:
    try:
        return str(jax.numpy.dtype(SHORT_DTYPES.get(name, name)))
    except TypeError:
        raise WrongUsage(f"--dtype must be a dtype such as float32, got {name!r}.") from None


def sizes(option: str, text: str) -> tuple[int, ...]:
    """One int per axis.

    >>> sizes("kernel", "3x5")
    (3, 5)
    """
    return tuple(_integer(option, part, text) for part in text.lower().split("x"))


def paddings(text: str) -> str | Pairs:
    """A name, or an int or a pair per axis.

    >>> paddings("same"), paddings("1"), paddings("0:1x2")
    ('SAME', (1,), ((0, 1), 2))
    """
    if text.upper() in (*NAMES, *BORDERS):
        return text.upper()
    parts = [part.split(":") for part in text.lower().split("x")]
    numbers = [tuple(_integer("padding", number, text) for number in part) for part in parts]
    if any(len(pair) > 2 for pair in numbers):
        raise WrongUsage(f"--padding has one int or lo:hi per axis, got {text!r}.")
    return tuple(pair[0] if len(pair) == 1 else (pair[0], pair[1]) for pair in numbers)


def in_and_out(text: str) -> tuple[int, int]:
    """Channels: ``16:33``, or one number for both."""
    parts = [_integer("channels", part, text) for part in text.split(":")]
    if len(parts) > 2 or min(parts) < 1:
        raise WrongUsage(f"--channels is IN:OUT, both 1 or more, got {text!r}.")
    return parts[0], parts[-1]


def on_every_axis(option: str, values: tuple[Any, ...], rank: int) -> tuple[Any, ...]:
    """One value for all axes, or as many as there are axes."""
    if len(values) not in (1, rank):
        raise WrongUsage(f"--{option} has {len(values)} axes, and the layer has {rank}.")
    return values * rank if len(values) == 1 else values


def _integer(option: str, part: str, text: str) -> int:
    try:
        number = int(part)
    except ValueError:
        example = "0:1x1:0, 1x2, 1 or a name such as same" if option == "padding" else "3x5 or 3"
        raise WrongUsage(f"--{option} is written as {example}, got {text!r}.") from None
    if abs(number) > LARGEST:
        raise WrongUsage(f"--{option} has numbers up to {LARGEST}, got {text!r}.")
    return number


def _framework_option(name: str) -> Parameter:
    """``--torch`` and the like: a layer as that framework writes it."""
    example = conventions.FRAMEWORKS[name].example
    annotation = Annotated[Text, _option(f"--{name}", help=f'Instead: "{example}".')]
    return Parameter(name, Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


def with_layer_options(
    *, without: Sequence[str] = (), example: dict[str, Any] | None = None
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Makes a command of a function of a :class:`Problem`: adds the options of :func:`parse`.

    What jtconv does not take is told as it would be to a program, without a traceback.

    Args:
        without: options that mean nothing to this command.
        example: the options of what it shows where no layer is given at all.
    """
    options = [
        parameter
        for name, parameter in signature(parse, eval_str=True).parameters.items()
        if name not in ("layers", *without)
    ]
    options += map(_framework_option, conventions.FROM_TEXT)

    def wrap(command: Callable[..., None]) -> Callable[..., None]:
        own = list(signature(command, eval_str=True).parameters.values())[1:]

        def run(**given: Any) -> None:
            layer = {option.name: given.pop(option.name) for option in options}
            with refusals_shown(), errors_are_wrong_usage():
                if example is not None and not any(layer.values()):
                    layer = example
                command(parse(**layer), **given)

        parameters = [p.replace(kind=Parameter.KEYWORD_ONLY) for p in (*options, *own)]
        run.__doc__ = command.__doc__
        run.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {p.name: p.annotation for p in parameters}
        return run

    return wrap
